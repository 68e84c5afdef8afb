"""From the raw sources to the tables of training and evaluation problems, and the record of contamination.

How many duplicates each source held is said on stderr, which is the rule's log.
"""

import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.grading.verify import CORRECT, unreadable, verify_answers
from selfdistill.problems.budgets import ranking, split_families
from selfdistill.problems.contamination import Match, find_contamination
from selfdistill.problems.example_checks import check_examples
from selfdistill.problems.examples import read_examples
from selfdistill.problems.families import find_families
from selfdistill.problems.sources import RawProblem, read_source
from selfdistill.study.grading import AnswerFormat
from selfdistill.study.problems import Problems
from selfdistill.tables.problems import CONTAMINATION, PROBLEMS
from selfdistill.tables.schema import conform

SECONDS_PER_ANSWER = 20.0


class ProblemTables(NamedTuple):
    train: pl.DataFrame  # sorted by rank, as the next
    evaluation: pl.DataFrame
    contamination: pl.DataFrame  # sorted by training problem


def assemble(
    problems: Problems, seed: int, root: Path = Path("."), examples_answer: AnswerFormat = "boxed"
) -> ProblemTables:
    """`examples_answer` is the format in which the examples of the prompts, where there are some, have to answer."""
    raw: dict[str, list[RawProblem]] = {"train": [], "eval": []}
    for name, source in problems.sources.items():
        raw[source.use].extend(read_source(name, source.path, root))
    check_golds(raw["train"] + raw["eval"])
    if problems.examples:
        examples = read_examples(problems.examples, root)
        check_examples(examples, raw["train"], raw["eval"], problems.contamination, examples_answer)
    order = list(problems.sources)
    public = {name for name, source in problems.sources.items() if source.loader}
    evaluation, train = (without_duplicates(raw[use], order, public) for use in ("eval", "train"))

    matches = find_contamination(train, evaluation, problems.contamination)
    dropped = {match.train.problem_id for match in matches}
    train = [problem for problem in train if problem.problem_id not in dropped]

    # Families look at dropped copies too: one may belong to a family that the kept one does not name.
    families = find_families(raw["eval"], problems.contamination.jaccard)
    split = split_families(families, {p.problem_id: (p.source, p.level) for p in evaluation}, problems.dev_share, seed)
    if len(set(split.values())) < 2:
        raise UserError(
            f"study file: problems.dev_share: {problems.dev_share} of {len(set(families.values()))} evaluation families "
            "leaves dev or test empty; add evaluation problems or change the share."
        )
    train_table = _table(
        train,
        families=find_families(raw["train"]),
        split={problem.problem_id: "train" for problem in train},
        use="train",
        seed=seed,
    )
    evaluation_table = _table(evaluation, families, split, "eval", seed)
    return ProblemTables(train_table, evaluation_table, _contamination_table(matches))


def check_golds(problems: Sequence[RawProblem]) -> None:
    """A gold answer that cannot be read would mark every answer wrong, silently."""
    bad = unreadable([problem.answer for problem in problems], SECONDS_PER_ANSWER)
    for problem in problems:
        if problem.answer in bad:
            raise UserError(
                f"{problem.place}: the answer {problem.answer!r} is not one that math-verify can read; "
                "write it in LaTeX without dollars, or remove the problem."
            )


def without_duplicates(
    problems: Sequence[RawProblem], order: Sequence[str], public: Collection[str] = ()
) -> list[RawProblem]:
    """One of each problem_id: of the first source in order and, within it, of the first text, whatever the rows' order.

    Different answers to one problem are the user's to mend. In a public dataset they cannot be mended: such a problem is
    dropped with all its copies.
    """
    place = {name: number for number, name in enumerate(order)}
    kept: dict[str, RawProblem] = {}
    copies: list[tuple[RawProblem, RawProblem]] = []
    for problem in sorted(problems, key=lambda p: (p.problem_id, place[p.source], p.problem, p.answer, p.level)):
        first = kept.setdefault(problem.problem_id, problem)
        if first is not problem:
            copies.append((first, problem))
    reasons = verify_answers([(first.answer, copy.answer) for first, copy in copies], SECONDS_PER_ANSWER)
    contradicted: dict[str, str] = {}
    for (first, copy), reason in zip(copies, reasons, strict=True):
        if reason in CORRECT:
            continue
        if first.source in public or copy.source in public:
            contradicted[first.problem_id] = f"{first.place} and {copy.place}"
        else:
            raise UserError(
                f"{first.place} and {copy.place}: are the same problem with different answers, {first.answer!r} and "
                f"{copy.answer!r}; correct one or remove both."
            )
    for source, count in sorted(Counter(copy.source for _, copy in copies).items()):
        print(f"{source}: {count} of its problems stood elsewhere already and were dropped", file=sys.stderr)
    for places in contradicted.values():
        print(f"{places}: give one problem different answers; it was dropped", file=sys.stderr)
    return [problem for name, problem in kept.items() if name not in contradicted]


def _table(
    problems: Sequence[RawProblem],
    families: Mapping[str, str],
    split: Mapping[str, str],
    use: str,
    seed: int,
) -> pl.DataFrame:
    strata = {p.problem_id: (split[p.problem_id], p.source, p.level) for p in problems}
    rank = {name: position for position, name in enumerate(ranking(strata, use, seed))}
    rows = [
        {
            "problem_id": p.problem_id,
            "source": p.source,
            "family": families[p.problem_id],
            "level": p.level,
            "problem": p.problem,
            "answer": p.answer,
            "split": split[p.problem_id],
            "rank": rank[p.problem_id],
        }
        for p in problems
    ]
    return conform(pl.DataFrame(rows, schema=PROBLEMS).sort("rank"), PROBLEMS, f"{use} problems")


def _contamination_table(matches: Sequence[Match]) -> pl.DataFrame:
    rows = [
        {
            "train_problem_id": match.train.problem_id,
            "eval_problem_id": match.evaluation.problem_id,
            "train_source": match.train.source,
            "eval_source": match.evaluation.source,
            "method": match.method,
            "overlap": match.overlap,
            "answers_agree": match.answers_agree,
            "train_problem": match.train.problem,
            "eval_problem": match.evaluation.problem,
        }
        for match in matches
    ]
    return pl.DataFrame(rows, schema=CONTAMINATION).sort("train_problem_id", "eval_problem_id")
