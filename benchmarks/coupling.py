"""What shared random numbers save: the base and trained checkpoints of a finished lab study, sampled with shared and with own seeds.

    python benchmarks/coupling.py results [--problems 400] [--work /tmp/coupling]

Samples the base and the checkpoints of `ssd` and `fixed-point` at four temperatures, two draws to each problem, and chains
longer than the lab's at T 1; some ten minutes on one core, taken up again where it was ended. Prints nothing but progress;
writes coupling.json and coupling.md beside itself.
"""

import argparse
import json
import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "resources"), str(ROOT / "workflow_scripts")]

from lab.chains import generate  # noqa: E402
from selfdistill.grading.grade import grade  # noqa: E402
from selfdistill.models.digests import model_digest  # noqa: E402
from selfdistill.models.tokens import end_tokens  # noqa: E402
from selfdistill.sampling.asked import Asked  # noqa: E402
from selfdistill.sampling.law import Law, law_numbers, steps_of, token_weights  # noqa: E402
from selfdistill.sampling.plan import make_plan  # noqa: E402
from selfdistill.sampling.prompts import tokenise_prompts  # noqa: E402
from selfdistill.sampling.sampler import SamplerSettings, sample_shard  # noqa: E402
from selfdistill.statistics.clusters import Totals, cluster_mean, cluster_totals  # noqa: E402
from selfdistill.study.load import load_study, read_study  # noqa: E402
from selfdistill.tables.problems import PROBLEMS  # noqa: E402
from selfdistill.tables.sampling import COMPLETIONS, PLAN  # noqa: E402
from selfdistill.tables.whole import read_table, write_table  # noqa: E402

DECODES = ("t05", "t07", "t10", "t15")
LONG = "t10-uncapped"
DRAWS, RESAMPLES, LONG_PROBLEMS = 2, 2000, 200
MODELS = {"base": "", "ssd": "ssd/seed-0", "ssd, other seed": "ssd/seed-1000", "fixed-point": "fixed-point/seed-0"}
ARMS = ("ssd", "fixed-point")
STUDY = load_study(read_study(ROOT / "config.yaml"), ROOT)
CONTEXT = 512  # all that the lab model has
MARKS = (10, 25, 50, 75, 100, 150, 200)
EXPECTED = """## What to expect of a larger model

In the lab the variance of a paired difference is 2.3 to 2.8 times smaller for `ssd`, which changes the model most, and 3.1 to
5.7 times for `fixed-point`. What is left after texts have parted is little: where they did so in the first three quarters,
other noise is 1.0 to 1.5 times the same noise. So the gain is that of the answers that stay together to their end or nearly so,
and it falls with their length: for `ssd` from 4.0 times in the shortest fourth to 1.8 in the longest.

Nobody has measured how often a trained 4B model parts from its base. If it were as rarely as the lab's under vLLM, 4 times in
1,000 tokens (an assumption), half of the texts would have parted after 170 tokens, and none of a thousand thoughts of 10,000
tokens would stay together. At a hundredth of that rate two in three would, and one in seven of 50,000 tokens. So for studies of
long thoughts the planner assumes that coupling saves nothing (c = 0). It costs nothing either, and a pilot with two answers of
the base tells: `make plan ACTUAL=1`. Short answers and models that barely moved gain most.
"""
Answers = pl.DataFrame  # model, decode, problem, family, draw, tokens, correct


# ---- samples


def long_problems() -> pl.DataFrame:
    """Chains of 8 to 10 steps, where the lab's have 7 at most."""
    rng, rows = random.Random(13), []
    for number in range(LONG_PROBLEMS):
        problem = generate(rng, rng.choice((7, 8, 9)), style="plain", ending="whole")
        rows.append({"problem_id": f"long-{number}", "source": "long", "family": f"long-{number}", "level": problem.level, "problem": problem.text,
                     "answer": problem.answer, "split": "test", "rank": number})  # fmt: skip
    return pl.DataFrame(rows, schema=PROBLEMS)


def sampled(model: Path, problems: pl.DataFrame, decodes: tuple[str, ...], shared: bool, folder: Path) -> Answers:
    """Two answers of a model to every problem at every decode, graded."""
    prompts = tokenise_prompts(problems, STUDY.problems.prompt, model)
    longest = max(len(ids) for ids in prompts["prompt_ids"])
    known = dict(STUDY.decodes) | {LONG: STUDY.decodes["t10"].model_copy(update={"max_tokens": CONTEXT - longest})}
    asked = Asked(
        dtype="float32", decodes={name: known[name] for name in decodes}, train=[], train_samples=0, eval=list(decodes),
        eval_problems=problems.height, draws=DRAWS, stream="coupling", seed=STUDY.seed, shards=1,
        noises=list(range(DRAWS)) if shared else [],
    )  # fmt: skip
    plan = make_plan("base", model_digest(model), asked, problems.head(0), problems, prompts)
    write_table(plan, folder / "plan.parquet", PLAN)
    shard = folder / "shard.parquet"
    if not shard.is_file():
        settings = SamplerSettings("torch", "float32", CONTEXT, batch=STUDY.sampling.batch)
        sample_shard(folder / "plan.parquet", model, 0, folder / "journal", shard, settings)
    completions = read_table(shard, COMPLETIONS)
    rows = pl.concat(grade(plan, lambda: [completions], problems, end_tokens(model), STUDY.grading))
    return rows.sort("decode_id", "problem_id", "draw").select(
        "decode_id", "problem_id", "family", "draw", tokens="token_ids", correct=pl.col("verdict") == "correct"
    )


# ---- what two models' answers have in common


class Pairs(NamedTuple):
    """Answers of two models to the same problems, as arrays [problem, draw]."""

    base: np.ndarray
    arm: np.ndarray
    families: np.ndarray
    base_tokens: list[list[list[int]]]
    arm_tokens: list[list[list[int]]]


def pairs(base: Answers, arm: Answers, decode: str) -> Pairs:
    one, other = (answers.filter(pl.col("decode_id") == decode) for answers in (base, arm))
    assert one.select("problem_id", "draw").equals(other.select("problem_id", "draw"))
    right = [answers["correct"].to_numpy().astype(float).reshape(-1, DRAWS) for answers in (one, other)]
    tokens = [[rows[at : at + DRAWS] for at in range(0, len(rows), DRAWS)] for rows in (one["tokens"].to_list(), other["tokens"].to_list())]  # fmt: skip
    return Pairs(*right, one["family"].to_numpy()[::DRAWS], *tokens)


def compared(own: Pairs, shared: Pairs, seed: int) -> dict[str, Any]:
    """Errors of the mean paired difference, with each kind of seeds, and how many times smaller the one's square is."""
    sums = {
        name: cluster_totals((p.arm - p.base).mean(1), p.families) for name, p in (("own", own), ("shared", shared))
    }
    found: dict[str, Any] = {
        f"{name}_error": 100 * cluster_mean(*totals).standard_error for name, totals in sums.items()
    }
    found |= {f"{name}_difference": 100 * cluster_mean(*totals).estimate for name, totals in sums.items()}
    found["ratio"] = (found["own_error"] / found["shared_error"]) ** 2
    rng = np.random.default_rng(seed)
    families = len(sums["own"].totals)
    counts = rng.multinomial(families, np.full(families, 1 / families), RESAMPLES)
    found["ratio_interval"] = interval(variance(sums["own"], counts) / variance(sums["shared"], counts))
    found["own_correlation"], found["shared_correlation"] = (
        float(np.corrcoef(p.arm.mean(1), p.base.mean(1))[0, 1]) for p in (own, shared)
    )
    return found | common(shared, seed)


def variance(sums: Totals, counts: np.ndarray) -> np.ndarray:
    """Of the mean, in every resample of families."""
    weight = counts @ sums.sizes
    mean = counts @ sums.totals / weight
    residuals = sums.totals - mean[:, None] * sums.sizes
    return np.asarray((counts * residuals**2).sum(1) / weight**2)


def common(shared: Pairs, seed: int = 0) -> dict[str, Any]:
    """The correlation of what lies between draws, without bias: products of draws with the same noise less products of
    draws with another one, which have only the problem in common."""
    same, other, within = products(shared)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(same), np.full(len(same), 1 / len(same)), RESAMPLES)
    equal = [one == two for a, b in zip(shared.base_tokens, shared.arm_tokens, strict=True) for one, two in zip(a, b, strict=True)]  # fmt: skip
    return {
        "draw_correlation": float((same - other).sum() / within.sum()),
        "draw_correlation_interval": interval(counts @ (same - other) / (counts @ within)),
        "equal_texts": float(np.mean(equal)),
    }


def products(shared: Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    same = (shared.base * shared.arm).mean(1)
    other = (shared.base * shared.arm[:, ::-1]).mean(1)
    spread = [each.var(1, ddof=1) for each in (shared.base, shared.arm)]
    return same, other, (spread[0] + spread[1]) / 2


def interval(values: np.ndarray) -> list[float]:
    return [float(end) for end in np.nanpercentile(values, (2.5, 97.5))]


# ---- where texts part


def parted(one: list[int], other: list[int]) -> int | None:
    """At which token; None where they never do."""
    if one == other:
        return None
    alike = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return alike


def partings(found: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Of every pair with the same noise: the tokens it had in common, and whether it parted."""
    at, did = [], []
    for base, arm in zip(found.base_tokens, found.arm_tokens, strict=True):
        for one, other in zip(base, arm, strict=True):
            where = parted(one, other)
            at.append(len(one) if where is None else where)
            did.append(where is not None)
    return np.array(at), np.array(did)


def survival(found: Pairs) -> dict[str, Any]:
    """Partings a token at risk, and the share still the same after so many tokens (Kaplan–Meier: a pair that ends before
    it parts leaves the risk)."""
    at, did = partings(found)
    risk, alive, shares = len(at), 1.0, {}
    order = np.argsort(at, kind="stable")
    for mark in MARKS:
        while len(at) - risk < len(at) and at[order[len(at) - risk]] < mark:
            alive *= 1 - did[order[len(at) - risk]] / risk
            risk -= 1
            if not risk:
                break
        if not risk:
            break
        shares[str(mark)] = alive
    return {"hazard": float(did.sum() / (at + did).sum()), "still_the_same": shares, "base_tokens": float(np.mean([len(t) for each in found.base_tokens for t in each]))}  # fmt: skip


def by_length(found: list[Pairs]) -> list[dict[str, Any]]:
    """How much of the gain is left in fourths of the base's answers by their length: the mean squared difference of two
    answers with other noise, over that of two with the same."""
    lengths = np.concatenate([[[len(t) for t in each] for each in p.base_tokens] for p in found])
    same, other = (np.concatenate([(p.base - arm) ** 2 for p, arm in zip(found, arms, strict=True)])
                   for arms in ([p.arm for p in found], [p.arm[:, ::-1] for p in found]))  # fmt: skip
    equal = np.concatenate([[[a == b for a, b in zip(x, y, strict=True)] for x, y in zip(p.base_tokens, p.arm_tokens, strict=True)] for p in found])  # fmt: skip
    return _binned(lengths, np.quantile(lengths, (0.25, 0.5, 0.75)), same, other, equal)


def by_parting(found: list[Pairs]) -> list[dict[str, Any]]:
    """The same, of those that parted, by the share of the base's answer that was common to both."""
    at, did = (np.concatenate(each).reshape(-1, DRAWS) for each in zip(*map(partings, found), strict=True))
    lengths = np.concatenate([[[len(t) for t in each] for each in p.base_tokens] for p in found])
    same, other = (np.concatenate([(p.base - arm) ** 2 for p, arm in zip(found, arms, strict=True)])
                   for arms in ([p.arm for p in found], [p.arm[:, ::-1] for p in found]))  # fmt: skip
    return _binned((at / lengths)[did], np.array([0.25, 0.5, 0.75]), same[did], other[did], np.zeros_like(did[did]))


def _binned(key: np.ndarray, cuts: np.ndarray, same: np.ndarray, other: np.ndarray, equal: np.ndarray) -> list[dict[str, Any]]:  # fmt: skip
    where = np.digitize(key, cuts, right=True)
    return [
        {"from": float(key[where == n].min()), "to": float(key[where == n].max()), "pairs": int((where == n).sum()),
         "other": float(other[where == n].mean()), "same": float(same[where == n].mean()),
         "ratio": float(other[where == n].mean() / max(1e-9, same[where == n].mean())), "equal": float(equal[where == n].mean())}
        for n in range(len(cuts) + 1) if (where == n).any()
    ]  # fmt: skip


# ---- the chance to part, from the laws themselves


@torch.inference_mode()
def chances(folders: dict[str, Path], base: Answers, prompts: dict[str, list[int]], decode: str, texts: int = 300) -> dict[str, Any]:  # fmt: skip
    """Mean chance a token, along the base's answers, that an arm's law and the base's give another token: by inversion in
    the order of token ids, as the torch engine draws; by Gumbel noise of each token id, as vLLM draws; and the least that
    any coupling could have, the total variation."""
    from transformers import AutoModelForCausalLM

    models = {name: AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32) for name, folder in folders.items()}  # fmt: skip
    rule = STUDY.decodes[decode]
    rows = base.filter((pl.col("decode_id") == decode) & (pl.col("draw") == 0)).head(texts)
    sums: dict[str, np.ndarray] = {name: np.zeros(4) for name in folders if name != "base"}
    for problem, tokens in rows.select("problem_id", "tokens").iter_rows():
        ids = torch.tensor([prompts[problem] + tokens])
        laws = {}
        for name, model in models.items():
            logits = model(ids).logits[0, len(prompts[problem]) - 1 : -1]
            law = Law(*torch.tensor([law_numbers(rule)] * len(logits)).unbind(1))
            weights = token_weights(logits, law, steps_of([rule], logits.shape[1])).double()
            laws[name] = weights / weights.sum(1, keepdim=True)
        for name in sums:
            sums[name] += np.array([*part(laws["base"], laws[name]), len(tokens)])
    return {name: dict(zip(("inversion", "gumbel", "least"), (found[:3] / found[3]).tolist(), strict=True)) for name, found in sums.items()}  # fmt: skip


def part(p: torch.Tensor, q: torch.Tensor) -> list[float]:
    ends = [each.cumsum(1) for each in (p, q)]
    begins = [end - each for end, each in zip(ends, (p, q), strict=True)]
    together = (torch.minimum(*ends) - torch.maximum(*begins)).clamp(min=0).sum(1)
    kept = (p + q).topk(min(64, p.shape[1])).indices
    mine, theirs = p.gather(1, kept), q.gather(1, kept)
    # Both take t where E_t/p_t is the least of all and E_t/q_t too, E being exponential: 1 / Σ_s max(p_s/p_t, q_s/q_t).
    most = torch.maximum(mine[:, None] / mine[:, :, None], theirs[:, None] / theirs[:, :, None])
    chosen = (1 / most.nan_to_num(torch.inf, torch.inf).sum(2)).where((mine > 0) & (theirs > 0), 0.0).sum(1)
    least = torch.minimum(p, q).sum(1)
    return [float((1 - each).clamp(min=0).sum()) for each in (together, chosen, least)]


# ---- all of it


def measured(results: Path, count: int, work: Path) -> dict[str, Any]:
    problems = read_table(results / "problems/eval.parquet", PROBLEMS).filter(pl.col("rank") < count).sort("rank")
    folders = {"base": ROOT / STUDY.model.path} | {
        name: results / f"runs/{run}/at-100" for name, run in MODELS.items() if run
    }
    own, shared, long = ({} for _ in range(3))  # type: dict[str, Answers]
    longer = long_problems()
    for name, folder in folders.items():
        place = work / name.replace(", ", "-").replace(" ", "-")
        shared[name] = sampled(folder, problems, DECODES, True, made(place / "shared"))
        if name != "ssd, other seed":
            own[name] = sampled(folder, problems, DECODES, False, made(place / "own"))
            long[name] = sampled(folder, longer, (LONG,), True, made(place / "long"))
    prompts = dict(tokenise_prompts(problems, STUDY.problems.prompt, folders["base"]).select("problem_id", "prompt_ids").iter_rows())  # fmt: skip
    cells = [(arm, decode) for arm in ARMS for decode in DECODES]
    shared_pairs = {cell: pairs(shared["base"], shared[cell[0]], cell[1]) for cell in cells}
    return {
        "problems": count,
        "draws": DRAWS,
        "compared": {
            f"{arm} {decode}": compared(pairs(own["base"], own[arm], decode), shared_pairs[arm, decode], seed)
            for seed, (arm, decode) in enumerate(cells)
        },
        "trainings": {decode: common(pairs(shared["ssd"], shared["ssd, other seed"], decode)) for decode in DECODES},
        "texts": {f"{arm} {decode}": survival(found) for (arm, decode), found in shared_pairs.items()},
        "long": {arm: survival(found) | common(found) for arm in ARMS for found in [pairs(long["base"], long[arm], LONG)]},
        "lengths": {arm: by_length([shared_pairs[arm, decode] for decode in DECODES]) for arm in ARMS},
        "partings": {arm: by_parting([shared_pairs[arm, decode] for decode in DECODES]) for arm in ARMS},
        "laws": {decode: chances({n: folders[n] for n in ("base", *ARMS)}, shared["base"], prompts, decode) for decode in DECODES},
    }  # fmt: skip


# ---- the page


def page(found: dict[str, Any]) -> str:
    return f"""# What shared random numbers save

`python benchmarks/coupling.py results --problems {found["problems"]}` · {found["date"]} · commit {
        found["commit"][:7]
    } · torch engine, one thread, on
the checkpoints of a finished lab study

The base and the last checkpoints of two arms, {found["problems"]} problems, {
        found["draws"]
    } draws, sampled twice: with seeds of their own and with shared
ones. Intervals are 95 %, by resampling families of problems. `c` is the correlation of two draws with the same noise, of what
lies between draws: `draw_correlation` in [the planner's figures](../config/throughputs.yaml).

## The error of a paired difference

{
        table(
            [
                "arm and decode",
                "standard error, own",
                "shared",
                "variance, own / shared",
                "correlation, own",
                "shared",
                "c",
                "equal texts",
            ],
            [
                [
                    name,
                    f"{row['own_error']:.2f}",
                    f"{row['shared_error']:.2f}",
                    ranged(row["ratio"], row["ratio_interval"], 1),
                    f"{row['own_correlation']:.2f}",
                    f"{row['shared_correlation']:.2f}",
                    ranged(row["draw_correlation"], row["draw_correlation_interval"], 2),
                    f"{row['equal_texts']:.0%}",
                ]
                for name, row in found["compared"].items()
            ],
        )
    }

Errors are in points; correlations are of the problems' means. Between two trainings of `ssd` with other seeds c is {
        ", ".join(f"{row['draw_correlation']:.2f} at {decode}" for decode, row in found["trainings"].items())
    }.

## Where texts part

{
        table(
            ["arm and decode", "partings per 1,000 tokens", *(f"same after {mark}" for mark in MARKS)],
            [
                [
                    name,
                    f"{1000 * row['hazard']:.1f}",
                    *(
                        f"{row['still_the_same'][str(mark)]:.0%}" if str(mark) in row["still_the_same"] else "–"
                        for mark in MARKS
                    ),
                ]
                for name, row in [
                    *found["texts"].items(),
                    *((f"{arm} {LONG}, longer chains", row) for arm, row in found["long"].items()),
                ]
            ],
        )
    }

Shares by Kaplan and Meier: a pair that ends before it parts leaves the risk. The longer chains have 8 to 10 steps where the
lab's have 7 at most, and no cap but the model's context: {
        ", ".join(
            f"{row['base_tokens']:.0f} tokens of the base on average, c {row['draw_correlation']:.2f} and {row['equal_texts']:.0%} equal texts for {arm}"
            for arm, row in found["long"].items()
        )
    }.

## By the length of the base's answer

The mean squared difference of two answers, with other noise over that with the same noise; all four decodes together.

{
        table(
            ["arm", "tokens", "pairs", "other noise", "same noise", "ratio", "equal texts"],
            [
                [
                    arm,
                    f"{row['from']:.0f}–{row['to']:.0f}",
                    str(row["pairs"]),
                    f"{row['other']:.3f}",
                    f"{row['same']:.3f}",
                    f"{row['ratio']:.1f}",
                    f"{row['equal']:.0%}",
                ]
                for arm, rows in found["lengths"].items()
                for row in rows
            ],
        )
    }

And of those that parted, by how much of the base's answer was common to both:

{
        table(
            ["arm", "common", "pairs", "other noise", "same noise", "ratio"],
            [
                [
                    arm,
                    f"{row['from']:.0%}–{row['to']:.0%}",
                    str(row["pairs"]),
                    f"{row['other']:.3f}",
                    f"{row['same']:.3f}",
                    f"{row['ratio']:.1f}",
                ]
                for arm, rows in found["partings"].items()
                for row in rows
            ],
        )
    }

## The chance to part, from the laws themselves

Along 300 answers of the base: how often a token of the arm's law would be another than the base's, per 1,000 tokens.

{
        table(
            ["decode and arm", "torch engine", "vLLM", "least possible"],
            [
                [f"{decode}, {arm}", *(f"{1000 * row[key]:.1f}" for key in ("inversion", "gumbel", "least"))]
                for decode, arms in found["laws"].items()
                for arm, row in arms.items()
            ],
        )
    }

The torch engine draws by one uniform number along the token ids, vLLM by an exponential number for each token id. No coupling
parts more rarely than by the total variation between the laws.

{EXPECTED}"""


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ranged(value: float, ends: list[float], digits: int) -> str:
    return f"{value:.{digits}f} [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"), help="of a finished lab study")
    parser.add_argument("--problems", type=int, default=400)
    parser.add_argument("--work", type=Path, default=Path("/tmp/coupling"))
    parser.add_argument("--page", action="store_true", help="write the page anew, from coupling.json")
    asked = parser.parse_args()
    written = ROOT / "benchmarks/coupling.json"
    torch.set_num_threads(1)
    if not asked.page:
        found = measured(asked.results, asked.problems, asked.work)
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        found |= {"date": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit.strip()}
        written.write_text(json.dumps(found, indent=1) + "\n")
    written.with_suffix(".md").write_text(page(json.loads(written.read_text())))


if __name__ == "__main__":
    main()
