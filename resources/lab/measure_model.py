"""Measures a lab model with the project's own sampler and grader, and writes its card.

    python resources/lab/measure_model.py                                     (some minutes on one core)
    python resources/lab/measure_model.py --model resources/lab/search-model  (both worlds, and the ladder)
    python resources/lab/measure_model.py --model CANDIDATE --quick           (three decodes, one draw; prints, writes nothing)

It writes measured.json and README.md beside the weights. Every decode of the lab study, on all evaluation problems,
several draws each. "Endless" loops are loops that go on when the token cap is lifted to the whole context of the model.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import torch
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "resources"), str(ROOT / "workflow_scripts")]

from lab.chains import parse_problem  # noqa: E402
from lab.grammar import NotWellFormed, label_completion  # noqa: E402
from lab.lessons import HINT  # noqa: E402
from lab.search import BELIEF, Knows, expected_doubts, hint, label_search, parse_search  # noqa: E402
from selfdistill.doubt.counting import Markers  # noqa: E402
from selfdistill.grading.grade import grade  # noqa: E402
from selfdistill.models.digests import model_digest  # noqa: E402
from selfdistill.models.tokens import end_tokens  # noqa: E402
from selfdistill.problems.assemble import assemble  # noqa: E402
from selfdistill.sampling.asked import Asked  # noqa: E402
from selfdistill.sampling.contexts import Room, context_prompts, given  # noqa: E402
from selfdistill.sampling.plan import make_plan  # noqa: E402
from selfdistill.sampling.prompts import Chat, tokenise_prompts  # noqa: E402
from selfdistill.sampling.sampler import SamplerSettings, sample_shard  # noqa: E402
from selfdistill.sampling.solutions import Told, from_answers, from_samples  # noqa: E402
from selfdistill.study.contexts import Context  # noqa: E402
from selfdistill.study.load import load_study  # noqa: E402
from selfdistill.tables.sampling import COMPLETIONS, PLAN  # noqa: E402
from selfdistill.tables.whole import read_table, write_table  # noqa: E402

MODEL = ROOT / "resources/lab/model"
ENDLESS = "t10-uncapped"
OFF = "thinking-off"
LADDER = 2  # draws on every rung
QUICK = ("t07", "t10", "t15")
SEARCHED = ("t07", "t10", "t15", "plain")  # decodes of the search sources
Problems = pl.DataFrame


class Measurer:
    """A model, and the settings of the lab study by which it is asked."""

    def __init__(self, model: Path, quick: bool) -> None:
        self.model, self.quick, self.draws = model, quick, 1 if quick else 2
        self.study = load_study(yaml.safe_load((ROOT / "config.yaml").read_text()), ROOT)
        self.limit = json.loads((model / "config.json").read_text())["max_position_embeddings"]

    def problems(self, sources: Mapping[str, str] | None = None) -> Problems:
        """Of the study's evaluation sources, or of others by name."""
        section = self.study.problems
        if sources:
            first = next(source for source in section.sources.values() if source.use == "eval")
            files = {name: first.model_copy(update={"path": path}) for name, path in sources.items()}
            section = section.model_copy(update={"sources": files})
        return assemble(section, self.study.seed, ROOT)[1]

    def decodes(self, names: tuple[str, ...] | None, prompts: pl.DataFrame) -> dict[str, Any]:
        decodes = {name: self.study.decodes[name] for name in names or self.study.decodes}
        if names is None:
            longest = max(len(ids) for ids in prompts["prompt_ids"])
            decodes[ENDLESS] = decodes["t10"].model_copy(update={"max_tokens": self.limit - longest})
        return decodes

    def sample(
        self,
        problems: Problems,
        prompts: pl.DataFrame,
        names: tuple[str, ...] | None,
        draws: int | None = None,
        thinks: bool = True,
    ) -> pl.DataFrame:
        """The graded answers to these prompts."""
        problems = problems.sort("rank").with_columns(rank=pl.int_range(pl.len(), dtype=pl.Int32))
        decodes = self.decodes(names, prompts)
        asked = Asked(
            dtype=self.study.sampling.precision, decodes=decodes, train=[], train_samples=0, eval=list(decodes),
            eval_problems=problems.height, draws=draws or self.draws, stream="model card", seed=0, shards=1,
        )  # fmt: skip
        plan = make_plan("base", model_digest(self.model), asked, problems.head(0), problems, prompts)
        sampling = self.study.sampling
        settings = SamplerSettings(sampling.engine, sampling.precision, self.limit, batch=sampling.batch)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_table(plan, folder / "plan.parquet", PLAN)
            sample_shard(folder / "plan.parquet", self.model, 0, folder / "journal", folder / "shard.parquet", settings)
            completions = read_table(folder / "shard.parquet", COMPLETIONS)
        ends, grading = end_tokens(self.model), self.study.grading
        return pl.concat(grade(plan, lambda: [completions], problems, ends, grading, think=thinks))

    def asked(self, problems: Problems, names: tuple[str, ...] | None, draws: int | None = None) -> pl.DataFrame:
        return self.sample(problems, tokenise_prompts(problems, self.study.problems.prompt, self.model), names, draws)


def with_flags(graded: pl.DataFrame, problems: Problems, label: Callable[[str, str], object]) -> pl.DataFrame:
    texts, markers = dict(problems.select("problem_id", "problem").iter_rows()), Markers()
    return graded.join(problems.select("problem_id", "source"), on="problem_id", how="left").with_columns(
        correct=pl.col("verdict") == "correct",
        cut=pl.col("finish_reason") == "length",
        loop=pl.col("finish_class") == "loop",
        doubts=pl.Series([markers.counts(text).total for text in graded["text"]]),
        well_formed=pl.Series(
            [
                _is_well_formed(label, texts[problem], text)
                for problem, text in graded.select("problem_id", "text").iter_rows()
            ]
        ),
    )


def measure_chains(measurer: Measurer) -> dict[str, object]:
    problems = measurer.problems()
    graded = measurer.asked(problems, QUICK if measurer.quick else None)
    graded = with_flags(graded, problems, lambda problem, text: label_completion(parse_problem(problem), text))
    return {
        "problems": problems.height,
        "draws": measurer.draws,
        "levels": _levels(graded.filter(pl.col("decode_id") == "t07")),
        "decodes": _by_decode(graded),
    }


def measure_search(measurer: Measurer) -> dict[str, object]:
    folder = "resources/lab/problems"
    problems = measurer.problems({name: f"{folder}/{name}.jsonl" for name in ("search-eval", "search-hard")})
    graded = measurer.asked(problems, QUICK if measurer.quick else SEARCHED)
    graded = with_flags(graded, problems, _searcher())
    sources = {name: _by_decode(graded.filter(pl.col("source") == name)) for name in ("search-eval", "search-hard")}
    return {"problems": problems.height, "draws": measurer.draws, "sources": sources}


def measure_ladder(measurer: Measurer) -> dict[str, object]:
    """Score, length and doubt under each context, of search-eval's problems that the model solves when told nothing.

    What solved them is what is shown; further draws are the rung without a context.
    """
    problems = measurer.problems({"search-eval": "resources/lab/problems/search-eval.jsonl"})
    draws = measurer.asked(problems, ("plain",), draws=1 + LADDER)
    unguided = draws.filter((pl.col("verdict") == "correct") & (pl.col("draw") == 0))
    problems = problems.join(unguided.select("problem_id"), on="problem_id", how="semi")
    rungs = {"unguided": draws.join(unguided, on="problem_id", how="semi").filter(pl.col("draw") > 0)}

    def rung(name: str, context: Context, told_of: Mapping[str, Told]) -> None:
        thinks = context.thinking is not False
        chat = Chat(measurer.model, context.switches)
        room = Room(measurer.limit, measurer.study.decodes["plain"].max_tokens, "plain")
        prompts = given(context_prompts(name, context, problems, told_of, measurer.study.problems.prompt, chat, room))
        asked = problems.join(prompts, on="problem_id", how="semi")
        rungs[name] = measurer.sample(asked, prompts.select("problem_id", "prompt_ids"), ("plain",), LADDER, thinks)

    shown = from_samples(unguided)
    rung("guided", Context(wording="guided", solution="sibling"), shown)
    rung("no-thought", Context(wording="guided", solution="sibling", thought=False), from_samples(unguided, False))
    rung("regenerated", Context(wording="guided", solution="context", context="guided"), from_samples(rungs["guided"]))
    rung("answer", Context(wording="guided", solution="answer"), from_answers(problems))
    rung("sdpo", Context(wording="sdpo", solution="sibling"), shown)
    rung("opsd", Context(wording="opsd", solution="sibling"), shown)
    rung("uncertain", Context(wording="uncertain", solution="sibling"), shown)
    for count in (1, 2, 3):
        rung(f"not-{count}", Context(wording=HINT, solution="column", column=f"not_{count}"), _hints(problems, count))
    rung(OFF, Context(thinking=False), {})
    flagged = {name: with_flags(part, problems, _searcher(thinks=name != OFF)) for name, part in rungs.items()}
    return {
        name: _rates(part)
        | {
            "doubts_per_1000": 1000 * int(part["doubts"].sum()) / int(part["n_tokens"].sum()),
            "grammar": GRAMMAR.get(name),
        }
        for name, part in flagged.items()
    }


def _searcher(thinks: bool = True) -> Callable[[str, str], object]:
    return lambda problem, text: label_search(parse_search(problem), text, thinks=thinks)


def _hints(problems: Problems, count: int) -> dict[str, Told]:
    """Drawn anew, so that they are not those of the sources alone."""
    rng, found = random.Random(count), {}
    for problem_id, text in problems.select("problem_id", "problem").iter_rows():
        problem = parse_search(text)
        wrong = [x for x in problem.candidates if x != problem.right]
        found[problem_id] = Told(hint(rng.sample(wrong, count)))
    return found


def _expected(how: str) -> float:
    sure, first = BELIEF[how]
    return expected_doubts(4, Knows(told=0, sure=sure, first=first))


# Doubts that the grammar expects of each, of four candidates.
GRAMMAR = {
    "unguided": expected_doubts(4),
    "guided": _expected("thought"),
    "sdpo": _expected("thought"),
    "opsd": _expected("thought"),
    "no-thought": _expected("answer"),
    "answer": _expected("answer"),
    "regenerated": _expected("written"),
    "uncertain": _expected("encouraged"),
    OFF: 0.0,
} | {f"not-{count}": expected_doubts(4 - count) for count in (1, 2, 3)}


def _is_well_formed(label: Callable[[str, str], object], problem: str, text: str) -> bool:
    try:
        label(problem, text)
    except NotWellFormed:
        return False
    return True


def _by_decode(graded: pl.DataFrame) -> dict[str, object]:
    """In the order of the study's decodes."""
    order = yaml.safe_load((ROOT / "config.yaml").read_text())["decodes"]
    parts = {str(part["decode_id"][0]): _rates(part) for part in graded.partition_by("decode_id")}
    return {name: parts[name] for name in [*order, ENDLESS] if name in parts}


def _rates(graded: pl.DataFrame) -> dict[str, object]:
    return {
        "answers": graded.height,
        "accuracy": graded["correct"].mean(),
        "cut_rate": graded["cut"].mean(),
        "loops": int(graded["loop"].sum()),
        "well_formed": graded["well_formed"].mean(),
        "mean_tokens": graded["n_tokens"].mean(),
        "doubts": graded["doubts"].mean(),
    }


def _levels(graded: pl.DataFrame) -> dict[str, float]:
    means = graded.group_by("level").agg(pl.col("correct").mean()).sort("level")
    return {str(level): accuracy for level, accuracy in means.iter_rows()}


def card(measured: dict, training: dict) -> str:
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

{table(measured["decodes"])}

Correct by level at t07: {levels}.

**Limits.** It slips, doubts and loops because its training traces do (planted slips 2 %, checks that breed checks).
"""


def table(decodes: dict) -> str:
    rows = [
        f"| {name} | {row['accuracy']:.1%} | {row['cut_rate']:.1%} | {row['loops']} of {row['answers']} | "
        f"{row['well_formed']:.1%} | {row['mean_tokens']:.0f} |"
        for name, row in decodes.items()
    ]
    head = "| decode | correct | cut at the cap | loops | inside the grammar | mean tokens |\n|---|---|---|---|---|---|"
    return "\n".join([head, *rows])


def card_of_both(measured: dict, training: dict, folder: str) -> str:
    chains, search, ladder = measured["chains"], measured["search"], measured["ladder"]
    levels = ", ".join(f"level {level}: {accuracy:.0%}" for level, accuracy in chains["levels"].items())
    sources = "\n\n".join(f"`{name}`:\n\n{table(decodes)}" for name, decodes in search["sources"].items())
    rungs = "\n".join(
        f"| {name} | {row['accuracy']:.1%} | {row['mean_tokens']:.1f} | {row['doubts']:.2f} | {row['grammar']:.2f} | "
        f"{row['doubts_per_1000']:.1f} | {row['answers']} |"
        for name, row in ladder.items()
    )
    return f"""---
license: apache-2.0
library_name: transformers
---
# The lab model of both worlds

A Qwen3-architecture model of 0.82M parameters that reasons about chains of whole-number arithmetic
(`resources/lab/grammar.py`) and searches among candidates (`resources/lab/search.py`), and that makes use of what a
context tells it. It knows nothing else. In the search world doubt is what finds the answer: giving it up without being
told costs 1 - 1/k of k candidates.

**Shape.** As the [model of chains](../model/README.md): 4 layers, hidden 128, 3.3 MB in float32. All 512 rows of its
tokenizer are used. Its chat template knows `enable_thinking`.

**Made by** `python resources/lab/make_model.py --world both --workers {training["workers"]} --out FOLDER` on one {training["device"]}
(torch {training["torch"]}, transformers {training["transformers"]}): {training["chains"]:.0%} chains, the candidate at {training["stop"]} steps and {training["steps"] - training["stop"]} more
with a falling learning rate; {training["rows"]} rows a step, {training["completion_tokens"] / 1e6:.1f}M completion tokens, {training["seconds"]} s.

**Measured by** `python resources/lab/measure_model.py --model {folder}`. Decodes are those of
`config.yaml`, with a cap of 224 tokens (`{ENDLESS}`: the whole context).

## Chains

{chains["problems"]} evaluation problems, {chains["draws"]} draws.

{table(chains["decodes"])}

Correct by level at t07: {levels}.

## Searches

Four candidates in `search-eval`, six in `search-hard`; the digit that is asked for is named in the problem.

{sources}

## What it was told

`search-eval` at temperature 1, problems that one unguided draw solves, {LADDER} other draws on every rung.
Doubts are the ten markers by word boundary; the grammar's are without slips.

| told | correct | mean tokens | doubts | grammar | doubts per 1,000 tokens | answers |
|---|---|---|---|---|---|---|
{rungs}

**Limits.** It slips, doubts and loops because its training traces do. At T 0.7 it finds nearly every search; what it
fails at T 1 are slips, and guesses of who did not doubt (planted, one opening in ten).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = arguments.model.resolve()
    training = json.loads((model / "training.json").read_text())
    measurer = Measurer(model, arguments.quick)
    measured = measure_chains(measurer)
    if "chains" in training:
        measured = {"chains": measured, "search": measure_search(measurer), "ladder": measure_ladder(measurer)}
    text = json.dumps(measured, indent=1) + "\n"
    if arguments.quick:
        print(text)
        return
    (model / "measured.json").write_text(text)
    both = "chains" in training
    written = card_of_both(measured, training, str(arguments.model)) if both else card(measured, training)
    (model / "README.md").write_text(written)


if __name__ == "__main__":
    main()
