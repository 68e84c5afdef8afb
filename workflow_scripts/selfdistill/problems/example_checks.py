"""Are the examples of the prompts fit to be shown: answered in the asked format, and no evaluation problem among them?"""

import sys
from collections.abc import Sequence

from selfdistill.foundation.errors import UserError
from selfdistill.grading.answers import CLOSE_THINK, find_answer
from selfdistill.problems.contamination import find_contamination
from selfdistill.problems.examples import Example
from selfdistill.problems.normalise import problem_id
from selfdistill.problems.sources import RawProblem
from selfdistill.study.grading import AnswerFormat
from selfdistill.study.problems import Contamination

ASKED = {"boxed": "a closed \\boxed{} in its final part", "line": "a last line of Answer: and the answer"}
SHOWN = 80  # characters of a problem in a sentence


def check_examples(
    examples: Sequence[Example],
    train: Sequence[RawProblem],
    evaluation: Sequence[RawProblem],
    contamination: Contamination,
    asked: AnswerFormat,
) -> None:
    solved = [_as_problem(example, asked) for example in examples]
    for match in find_contamination(solved, evaluation, contamination)[:1]:
        raise UserError(
            f"{match.train.place}: the example {shortened(match.train.problem)!r} gives the evaluation problem of "
            f"{match.evaluation.place}, {shortened(match.evaluation.problem)!r}, away ({match.method}, "
            f"{100 * match.overlap:.0f} % alike); show another problem."
        )
    trained = {problem.problem_id for problem in train}
    if both := sum(problem.problem_id in trained for problem in solved):
        print(f"{both} of the examples are training problems, too: their prompts hold their solutions", file=sys.stderr)


def _as_problem(example: Example, asked: AnswerFormat) -> RawProblem:
    """What the contamination check compares; an example that is not in the format would teach another one."""
    found = find_answer(example.completion, CLOSE_THINK in example.completion, asked)
    if found.extracted is None:
        raise UserError(
            f"{example.place}: the completion gives no answer in the asked format, {ASKED[asked]} (grading.answer: {asked}); "
            "write it so."
        )
    return RawProblem(
        source="examples",
        path=example.path,
        line=example.line,
        id=None,
        family=None,
        level=0,
        problem=example.problem,
        answer=found.extracted,
        problem_id=problem_id(example.problem),
    )


def shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
