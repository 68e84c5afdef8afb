"""Times the grader on long answers with LaTeX results, and weighs the tables that hold them: figures for config/throughputs.yaml.

    python benchmarks/grading_speed.py --answers 200 --tokens 24000

The tokens are words drawn by Zipf's law from a vocabulary of 150,000, which compress about as English does. Every answer is
a surd of its own, so that each goes through math-verify and none is remembered. Prints JSON.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from selfdistill.grading.grade import grade
from selfdistill.study.grading import Grading, Loops
from selfdistill.study.sampling import Decode
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import COMPLETIONS, GRADED, PLAN
from selfdistill.tables.whole import write_table

VOCABULARY, END = 150_000, 150_001
Row = dict[str, Any]


def rows(number: int, tokens: int, randomness: np.random.Generator) -> tuple[Row, Row, Row]:
    """A request, its completion and its problem."""
    ids = randomness.zipf(1.3, size=4 * tokens)
    ids = ids[ids < VOCABULARY][:tokens]
    text = " ".join(f"{(int(word) * 2654435761) % 2**32:x}"[: 2 + int(word) % 6] for word in ids)
    decode = Decode(temperature=1.0, max_tokens=2 * tokens).model_dump()
    name = {"request_id": f"{number:064x}", "problem_id": f"{number:016x}"}
    plan = name | {"model_id": "base", "purpose": "eval", "decode_id": "plain", "draw": 0, "seed": number, "shard": 0,
                   "prompt_ids": [1] * 150, **decode}  # fmt: skip
    completion = {"request_id": name["request_id"], "token_ids": [*map(int, ids), END], "n_tokens": tokens + 1,
                  "text": rf"{text}</think> \boxed{{\frac{{\sqrt{{{7 * number + 3}}}}}{{2}}}}", "finish_reason": "stop",
                  "logprob": -1.0, "engine": "torch", "engine_version": "1", "seconds": 1.0}  # fmt: skip
    problem = {"problem_id": name["problem_id"], "source": "made", "family": str(number), "level": 1, "problem": "?",
               "answer": rf"\sqrt{{{7 * number + 3}}}/2", "split": "test", "rank": number}  # fmt: skip
    return plan, completion, problem


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=24_000)
    asked = parser.parse_args()
    randomness = np.random.default_rng(1)
    made = list(zip(*(rows(number, asked.tokens, randomness) for number in range(asked.answers)), strict=True))
    plan, completions, problems = (
        pl.DataFrame(list(table), schema=schema)
        for table, schema in zip(made, (PLAN, COMPLETIONS, PROBLEMS), strict=True)
    )
    settings = Grading(loops=Loops(max_period=2048, min_repeats=4, min_tokens=256))
    began = time.monotonic()
    graded = pl.concat(grade(plan, lambda: iter([completions]), problems, [END], settings))
    seconds = time.monotonic() - began
    assert (graded["verdict"] == "correct").all(), graded["reason"].value_counts()
    with tempfile.TemporaryDirectory() as folder:
        sizes = {}
        for name, table, schema in (("shard", completions, COMPLETIONS), ("graded", graded, GRADED)):
            write_table(table, Path(folder) / name, schema)
            sizes[f"{name}_bytes_per_token"] = (Path(folder) / name).stat().st_size / table["n_tokens"].sum()
    print(json.dumps({"answers_per_second": asked.answers / seconds, **sizes}, indent=1))


if __name__ == "__main__":
    main()
