"""Does a model answer in the asked format, without and with solved problems shown first?

python benchmarks/answer_formats.py MODEL FOLDER 20

FOLDER holds train.jsonl and test.jsonl of GSM8K as its authors publish them; 20 is how many test problems are asked.
"""

import json
import re
import sys
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

from selfdistill.grading.answers import find_answer
from selfdistill.grading.other_formats import other_answer
from selfdistill.grading.verify import CORRECT, verify_answers
from selfdistill.models.tokens import end_tokens, load_tokenizer
from selfdistill.problems.examples import read_examples
from selfdistill.sampling.engines.contract import EngineSettings
from selfdistill.sampling.engines.torch_engine import TorchEngine
from selfdistill.sampling.prompts import tokenise_prompts
from selfdistill.sampling.requests import Request
from selfdistill.study.grading import AnswerFormat

SHOWN, CAP, TEMPERATURE, CONTEXT = 3, 220, 0.7, 1024
DAPO = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: $Answer "
    "(without quotes) where $Answer is the answer to the problem.\n\n{problem}\n\nRemember to put your answer on its own "
    'line after "Answer:".'
)
ASKED: dict[AnswerFormat, tuple[str, str]] = {
    "boxed": ("{problem}\nPut your final answer in \\boxed{}.", "%s\n\nThe answer is \\boxed{%s}."),
    "line": (DAPO, "%s\n\nAnswer: %s"),
}


def rows(file: Path, count: int) -> list[tuple[str, str, str]]:
    """Problem, solution without the calculator's marks, answer."""
    found = []
    for line in islice(file.read_text(encoding="utf-8").splitlines(), count):
        row = json.loads(line)
        solution, _, answer = row["answer"].rpartition("####")
        found.append((row["question"], re.sub(r"<<.*?>>", "", solution).strip(), answer.strip().replace(",", "")))
    return found


def main(model: Path, folder: Path, count: int) -> None:
    asked, shown = rows(folder / "test.jsonl", count), rows(folder / "train.jsonl", SHOWN)
    problems = pl.DataFrame({"problem_id": [str(i) for i in range(count)], "problem": [row[0] for row in asked]})
    tokenizer = load_tokenizer(model)
    engine = TorchEngine(EngineSettings(model, "float32", CONTEXT, end_tokens(model), batch=count))
    for (name, (prompt, wording)), examples in ((item, k) for k in (0, SHOWN) for item in ASKED.items()):
        with TemporaryDirectory() as made:
            file = Path(made) / "examples.jsonl"
            turns = [{"problem": q, "completion": wording % (solution, answer)} for q, solution, answer in shown]
            file.write_text("".join(f"{json.dumps(turn)}\n" for turn in turns))
            prompts = tokenise_prompts(problems, prompt, model, examples=read_examples(str(file))[:examples])
        requests = [
            Request(key, list(ids), CAP, 1000 + int(key), TEMPERATURE, 0, 1.0, 0.0, 0.0)
            for key, ids in prompts.iter_rows()
        ]
        finished = {
            int(sample.request_id): tokenizer.decode(sample.token_ids, skip_special_tokens=True)
            for sample in engine.sample(iter(requests))
            if sample.finish_reason == "stop"
        }
        answers = {i: find_answer(text, False, name).extracted for i, text in finished.items()}
        otherwise = {i: other_answer(finished[i], name, False) for i, answer in answers.items() if answer is None}
        found = [(asked[i][2], answer) for i, answer in answers.items() if answer is not None]
        found_otherwise = [(asked[i][2], other.content) for i, other in otherwise.items() if other]
        right, right_otherwise = (
            sum(reason in CORRECT for reason in verify_answers(pairs, 10.0)) for pairs in (found, found_otherwise)
        )
        print(
            f"{name}, {examples} examples: of {count} answers {len(finished)} ended by themselves, {len(found)} in the format, "
            f"{right} right; {len(found_otherwise)} in another, {right_otherwise} of these right",
            flush=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
