"""Measures the lab model with the project's own sampler and grader, and writes its card.

    python resources/lab/measure_model.py         (some minutes on one core; writes model/measured.json and model/README.md)

Every decode of the lab study, on all evaluation problems, several draws each. "Endless" loops are loops that go on when
the token cap is lifted to the whole context of the model.
"""

import json
import sys
import tempfile
from pathlib import Path

import polars as pl
import torch
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "resources"), str(ROOT / "workflow_scripts")]

from lab.chains import parse_problem  # noqa: E402
from lab.grammar import NotWellFormed, label_completion  # noqa: E402
from selfdistill.grading.grade import grade  # noqa: E402
from selfdistill.models.digests import model_digest  # noqa: E402
from selfdistill.models.tokens import end_tokens  # noqa: E402
from selfdistill.problems.assemble import assemble  # noqa: E402
from selfdistill.sampling.plan import Asked, make_plan  # noqa: E402
from selfdistill.sampling.prompts import tokenise_prompts  # noqa: E402
from selfdistill.sampling.sampler import SamplerSettings, sample_shard  # noqa: E402
from selfdistill.study.load import load_study  # noqa: E402
from selfdistill.tables.sampling import COMPLETIONS, PLAN  # noqa: E402
from selfdistill.tables.whole import read_table, write_table  # noqa: E402

DRAWS = 2
MODEL = ROOT / "resources/lab/model"
ENDLESS = "t10-uncapped"


def measure() -> dict[str, object]:
    study = load_study(yaml.safe_load((ROOT / "config.yaml").read_text()), ROOT)
    train, problems, _ = assemble(study.problems, study.seed, ROOT)
    decodes = dict(study.decodes)
    limit = json.loads((MODEL / "config.json").read_text())["max_position_embeddings"]
    prompts = tokenise_prompts(problems, study.problems.prompt, MODEL)
    longest = max(len(ids) for ids in prompts["prompt_ids"])
    decodes[ENDLESS] = decodes["t10"].model_copy(update={"max_tokens": limit - longest})
    asked = Asked(
        dtype=study.sampling.precision, decodes=decodes, train=[], train_samples=0, eval=list(decodes), eval_problems=problems.height,
        draws=DRAWS, stream="model card", seed=0, shards=1,
    )  # fmt: skip
    plan = make_plan("base", model_digest(MODEL), asked, train, problems, prompts)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(plan, folder / "plan.parquet", PLAN)
        settings = SamplerSettings(study.sampling.engine, study.sampling.precision, limit, batch=study.sampling.batch)
        sample_shard(folder / "plan.parquet", MODEL, 0, folder / "journal", folder / "shard.parquet", settings)
        completions = read_table(folder / "shard.parquet", COMPLETIONS)
    graded = pl.concat(grade(plan, lambda: [completions], problems, end_tokens(MODEL), study.grading))
    texts = dict(problems.select("problem_id", "problem").iter_rows())
    well_formed = [
        _is_well_formed(texts[problem], text) for problem, text in graded.select("problem_id", "text").iter_rows()
    ]
    graded = graded.with_columns(
        correct=pl.col("verdict") == "correct",
        cut=pl.col("finish_reason") == "length",
        loop=pl.col("finish_class") == "loop",
        well_formed=pl.Series(well_formed),
    )
    return {
        "problems": problems.height,
        "draws": DRAWS,
        "levels": _levels(graded.filter(pl.col("decode_id") == "t07")),
        "decodes": {name: _rates(graded.filter(pl.col("decode_id") == name)) for name in decodes},
    }


def _is_well_formed(problem: str, text: str) -> bool:
    try:
        label_completion(parse_problem(problem), text)
    except NotWellFormed:
        return False
    return True


def _rates(graded: pl.DataFrame) -> dict[str, object]:
    return {
        "answers": graded.height,
        "accuracy": graded["correct"].mean(),
        "cut_rate": graded["cut"].mean(),
        "loops": int(graded["loop"].sum()),
        "well_formed": graded["well_formed"].mean(),
        "mean_tokens": graded["n_tokens"].mean(),
    }


def _levels(graded: pl.DataFrame) -> dict[str, float]:
    means = graded.group_by("level").agg(pl.col("correct").mean()).sort("level")
    return {str(level): accuracy for level, accuracy in means.iter_rows()}


def card(measured: dict, training: dict) -> str:
    rows = "\n".join(
        f"| {name} | {row['accuracy']:.1%} | {row['cut_rate']:.1%} | {row['loops']} of {row['answers']} | "
        f"{row['well_formed']:.1%} | {row['mean_tokens']:.0f} |"
        for name, row in measured["decodes"].items()
    )
    levels = ", ".join(f"level {level}: {accuracy:.0%}" for level, accuracy in measured["levels"].items())
    return f"""---
license: apache-2.0
library_name: transformers
---
# The lab model

A Qwen3-architecture model of 0.82M parameters that reasons about chains of whole-number arithmetic, for testing and
teaching the pipeline. It knows nothing else. Its reasoning follows a grammar (`resources/lab/grammar.py`), so that the
truth about its forks and locks is known.

**Shape.** Hidden 128, 4 layers, 4 heads of 32 with one key-value head, FFN 384, tied embeddings, byte-level BPE with
single digits (414 of 512 rows used), chat marks and `<think>` as in Qwen3. float32, 3.3 MB.

**Made by** `python resources/lab/make_model.py --out resources/lab/model` on one {training["device"]} (torch
{training["torch"]}, transformers {training["transformers"]}): {training["steps"]} steps of {training["rows"]} traces,
{training["completion_tokens"] / 1e6:.1f}M completion tokens, {training["seconds"]} s. Training is stopped early on purpose: with more of it the
model makes too few mistakes to study.

**Measured by** `python resources/lab/measure_model.py` with the project's sampler and grader: {measured["problems"]} evaluation
problems, {measured["draws"]} draws, cap 224 tokens (`{ENDLESS}`: the whole context). Decodes are those of `config.yaml`.

| decode | correct | cut at the cap | loops | inside the grammar | mean tokens |
|---|---|---|---|---|---|
{rows}

Correct by level at t07: {levels}.

**Limits.** It slips, doubts and loops because its training traces do (planted slips 2 %, checks that breed checks).
"""


def main() -> None:
    torch.set_num_threads(1)
    measured = measure()
    (MODEL / "measured.json").write_text(json.dumps(measured, indent=1) + "\n")
    training = json.loads((MODEL / "training.json").read_text())
    (MODEL / "README.md").write_text(card(measured, training))


if __name__ == "__main__":
    main()
