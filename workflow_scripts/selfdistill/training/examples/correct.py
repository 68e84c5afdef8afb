"""What arms with `keep: correct` train on: right answers alone, of the same problems and as many for each of them.

In: the graded training samples of every such arm of one decode, whose contexts may differ. A problem is taken where all of
them have a right answer to it, so that they differ in the text of the answers and in nothing else. What is learnt is the
answer behind the bare prompt, whatever its sample was told.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.study.arms import Arm
from selfdistill.tables.schema import conform
from selfdistill.tables.training import DATASET
from selfdistill.training.examples.audit import audit
from selfdistill.training.examples.filter import ArmDataset, refuse_untrainable, training_samples
from selfdistill.training.examples.kept import kept_samples

Frames = Mapping[str, pl.DataFrame]


def correct_dataset(
    name: str, arms: Mapping[str, Arm], graded: Frames, prompts: pl.DataFrame, examples: int
) -> ArmDataset:
    """Of the arm of this name; `arms` and `graded` hold its partners too, `prompts` the bare prompts of the problems."""
    arm = arms[name]
    decode = str(arm.decode)
    sampled = {each: training_samples(frame, decode) for each, frame in graded.items()}
    kept = {each: kept_samples(frame, arms[each].keep) for each, frame in sampled.items()}
    used = _learnt(name, arms, kept, shared_problems(kept, examples))
    refuse_untrainable(used)
    bare = used.drop("prompt_ids").join(prompts, on="problem_id", how="left", maintain_order="left")
    dataset = bare.rename({"token_ids": "completion_ids"}).select(list(DATASET))
    said = audit(sampled[name], kept[name], used, arm.keep, decode) | {
        "context": arm.context,
        "length_like": arm.length_like,
        "problems_with_a_right_answer": {each: frame["problem_id"].n_unique() for each, frame in kept.items()},
        "shared_problems": len(_in_all(kept)),
    }
    return ArmDataset(conform(dataset, DATASET, "dataset"), said | _lengths(name, arms, kept, used))


def shared_problems(kept: Frames, examples: int) -> list[str]:
    """The first of the ranking to which every arm has a right answer."""
    shared = _in_all(kept)
    if len(shared) < examples:
        each = ", ".join(f"{name} {frame['problem_id'].n_unique()}" for name, frame in kept.items())
        raise UserError(
            f"keep: correct leaves {len(shared)} problems to which all of these arms have a right answer ({each}), fewer than "
            f"training.examples ({examples}), and arms must take equally many steps: raise training.draws or "
            "training.samples, or lower training.examples."
        )
    return shared[:examples]


def _in_all(kept: Frames) -> list[str]:
    first, *others = [frame.sort("rank")["problem_id"].unique(maintain_order=True).to_list() for frame in kept.values()]
    return [problem for problem in first if all(problem in answered for answered in map(set, others))]


def _learnt(name: str, arms: Mapping[str, Arm], kept: Frames, problems: list[str]) -> pl.DataFrame:
    """One right answer a problem: the first drawn, or the one nearest in length to what another arm learns of it."""
    candidates = kept[name].filter(pl.col("problem_id").is_in(problems)).sort("rank", "draw", "request_id")
    like = arms[name].length_like
    if like is None:
        return candidates.unique("problem_id", keep="first", maintain_order=True)
    wanted = _learnt(like, arms, kept, problems).select("problem_id", wanted="n_tokens")
    far = (pl.col("n_tokens").cast(pl.Int64) - pl.col("wanted")).abs()
    near = candidates.join(wanted, on="problem_id", how="left", maintain_order="left")
    near = near.with_columns(far=far).sort("rank", "far", "draw", "request_id")
    return near.unique("problem_id", keep="first", maintain_order=True).drop("wanted", "far")


def _lengths(name: str, arms: Mapping[str, Arm], kept: Frames, used: pl.DataFrame) -> dict[str, Any]:
    """How far the lengths of a length-matched arm are from those that it should be like."""
    like = arms[name].length_like
    if like is None:
        return {}
    wanted = _learnt(like, arms, kept, used["problem_id"].to_list())["n_tokens"]
    gaps = used["n_tokens"] - wanted
    return {"like_mean_tokens": wanted.mean(), "mean_length_gap": gaps.mean(), "same_length": int((gaps == 0).sum())}
