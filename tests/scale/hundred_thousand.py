"""The steps of `test_memory.py`, each a process of its own that prints its peak memory in MiB.

python tests/scale/hundred_thousand.py STEP FOLDER COUNT TOKENS
"""

import resource
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from selfdistill.sampling.requests import Given, NextTokens, Probed, Request, Sample, request_id, seed_of  # noqa: E402
from selfdistill.tables.problems import PROBLEMS  # noqa: E402
from selfdistill.tables.sampling import COMPLETIONS, GRADED, PLAN  # noqa: E402
from selfdistill.tables.streams import TableWriter, read_pieces  # noqa: E402
from selfdistill.tables.whole import read_table, write_table  # noqa: E402

PROBLEM_COUNT = 1000
MODEL = ROOT / "resources/lab/model"


def own_peak() -> int:
    """In KiB. What getrusage says of a process is never less than what its parent held when it was started."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def make_plan(folder: Path, count: int, tokens: int) -> None:
    names = [request_id("digest", "float32", [number], {}, 0, "", 0) for number in range(count)]
    columns = {
        "request_id": names, "model_id": ["base"] * count, "problem_id": [f"p{n % PROBLEM_COUNT}" for n in range(count)],
        "purpose": ["eval"] * count, "decode_id": ["t07"] * count, "draw": [n // PROBLEM_COUNT for n in range(count)],
        "seed": [seed_of(name) for name in names], "shard": [0] * count,
        "prompt_ids": np.tile(np.arange(120, dtype=np.int32), (count, 1)), "max_tokens": [tokens + 1] * count,
        "temperature": [0.7] * count, "top_k": [20] * count, "top_p": [0.95] * count, "min_p": [0.0] * count,
        "presence_penalty": [0.0] * count,
    }  # fmt: skip
    plan = pl.DataFrame(columns).with_columns(pl.col("prompt_ids").cast(PLAN["prompt_ids"]))
    write_table(plan, folder / "plan.parquet", PLAN)


class QuickEngine:
    """An engine as fast as memory: what is measured is the sampler around it."""

    name, version = "torch", "quick"

    def __init__(self, tokens: int) -> None:
        self.tokens, self.rng = tokens, np.random.default_rng(0)

    def sample(self, requests: Iterator[Request]) -> Iterator[Sample]:
        for request in requests:
            ids = self.rng.integers(10, 400, self.tokens).tolist()
            yield Sample(request.request_id, ids, "stop", [-0.5] * self.tokens, 0.1)

    def score(self, given: list[Given]) -> list[list[float]]:
        raise NotImplementedError

    def distributions(self, given: Iterable[Probed], top: int) -> Iterator[NextTokens]:
        raise NotImplementedError


def sample(folder: Path, count: int, tokens: int) -> None:
    import torch  # noqa: F401  it is there in a real sampler

    from selfdistill.sampling import sampler

    sampler.open_engine = lambda name, settings: QuickEngine(tokens)
    settings = sampler.SamplerSettings("torch", "float32", 320)
    sampler.sample_shard(folder / "plan.parquet", MODEL, 0, folder / "journal-0", folder / "shard-0.parquet", settings)


def make_journal(folder: Path, count: int, tokens: int) -> None:
    """Two folded segments of what a model with a large vocabulary might have said, sorted as segments are."""
    rng = np.random.default_rng(0)
    ids = read_table(folder / "plan.parquet", PLAN, ["request_id"])["request_id"].sort()
    (folder / "journal-0").mkdir()
    (folder / "journal-0/journal.json").write_text('{"engine": "torch"}')
    words = ["therefore", "wait", "\\frac{1}{2}", "so", "we have", "let", "x=", "\n\n"]
    for number in range(2):
        mine = ids.gather_every(2, number)
        with TableWriter(folder / f"journal-0/00000{number}.parquet", COMPLETIONS) as table:
            for rows in mine.to_frame().iter_slices(500):
                n = rows.height
                prose = [" ".join(rng.choice(words, tokens // 2)) for _ in range(4)]
                endings = [f"</think> \\boxed{{{i % 7}}}" if i % 5 else " and so on" for i in range(n)]
                table.write(
                    rows.with_columns(
                        token_ids=pl.Series(rng.integers(10, 5000, (n, tokens), dtype=np.int32)).cast(COMPLETIONS["token_ids"]),
                        text=pl.Series([prose[i % 4] + endings[i] for i in range(n)]),
                        n_tokens=pl.lit(tokens), finish_reason=pl.lit("stop"), logprob=pl.lit(-1.0),
                        engine=pl.lit("torch"), engine_version=pl.lit("x"), seconds=pl.lit(1.0),
                    )
                )  # fmt: skip


def seal(folder: Path, count: int, tokens: int) -> None:
    from selfdistill.sampling.sampler import SamplerSettings, sample_shard

    settings = SamplerSettings("torch", "float32", 10**6)
    sample_shard(folder / "plan.parquet", MODEL, 0, folder / "journal-0", folder / "shard-0.parquet", settings)


def grade(folder: Path, count: int, tokens: int) -> None:
    from selfdistill.grading.grade import grade
    from selfdistill.study.grading import Grading

    problems = pl.DataFrame(
        [
            {"problem_id": f"p{n}", "source": "s", "family": f"f{n}", "level": 1, "problem": "?", "answer": "3",
             "split": "test", "rank": n}
            for n in range(PROBLEM_COUNT)
        ], schema=PROBLEMS,
    )  # fmt: skip
    pieces = grade(
        read_table(folder / "plan.parquet", PLAN), lambda: read_pieces(folder / "shard-0.parquet", COMPLETIONS),
        problems, [1], Grading(),
    )  # fmt: skip
    with TableWriter(folder / "graded.parquet", GRADED) as table:
        for piece in pieces:
            table.write(piece)


if __name__ == "__main__":
    step, folder, count, tokens = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    {"plan": make_plan, "sample": sample, "journal": make_journal, "seal": seal, "grade": grade}[step](
        folder, count, tokens
    )
    # The grading processes count too; they are children.
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss if step == "grade" else 0
    print((own_peak() + children) // 1024)
