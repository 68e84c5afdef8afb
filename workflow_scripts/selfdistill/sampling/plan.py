"""Plans: what to sample from one model. Training data and evaluation answers are asked for in the same table."""

from collections.abc import Collection

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.problems.budgets import members
from selfdistill.sampling.asked import Asked
from selfdistill.sampling.requests import noise_id, request_id, seed_of, shard_of
from selfdistill.study.evaluation import size_of
from selfdistill.tables.sampling import MIXTURE, PLAN


def make_plan(
    model_id: str,
    digest: str,
    asked: Asked,
    train: pl.DataFrame,
    evaluation: pl.DataFrame,
    prompts: pl.DataFrame,
    skipped: Collection[str] = (),
) -> pl.DataFrame:
    """`skipped` are problems that are not asked, as a context has nothing to tell of them."""
    eval_problems = size_of(asked.eval_problems, evaluation.height)
    for key, wanted_problems, table in (
        ("training.samples", asked.train_samples, train),
        ("evaluation.budgets", eval_problems, evaluation),
    ):
        if wanted_problems > table.height:
            raise UserError(
                f"{key}: asks for {wanted_problems} problems, but without duplicates and contamination there are "
                f"{table.height}; lower it."
            )
    prompt_ids = dict(prompts.select("problem_id", "prompt_ids").iter_rows())
    wanted = [
        ("train", name, problem, draw)
        for name in asked.train
        for problem in _first(train, asked.train_samples)
        if problem not in skipped
        for draw in range(asked.first_draw, asked.first_draw + asked.train_draws)
    ]
    wanted += [
        ("eval", name, problem, draw)
        for name in asked.eval
        for problem in _first(evaluation, size_of(asked.problems_of(name), evaluation.height))
        for draw in range(asked.draws)
    ]
    wanted += [
        (MIXTURE, name, problem, draw)
        for name in asked.eval
        if name not in asked.problems_at  # a mixture is told once its problems are all asked
        for problem, draws in _more_draws(asked, evaluation)
        for draw in range(asked.draws, draws)
    ]
    abort_loops = asked.abort_loops.model_dump() if asked.abort_loops else None
    rows = []
    for purpose, decode_id, problem_id, draw in wanted:
        decode = asked.decodes[decode_id].model_dump()
        noise = asked.noise_of(purpose, draw)
        prompt, stream = prompt_ids[problem_id], asked.stream
        key = request_id(digest, asked.dtype, prompt, decode, draw, stream, asked.seed, abort_loops, noise)
        seeded = key
        if noise is not None:
            seeded = noise_id(asked.dtype, prompt, decode, noise, stream, asked.seed, abort_loops)
        rows.append(
            {
                "request_id": key,
                "model_id": model_id,
                "problem_id": problem_id,
                "purpose": purpose,
                "decode_id": decode_id,
                "draw": draw,
                "seed": seed_of(seeded),
                "shard": shard_of(key, asked.shards),
                "prompt_ids": prompt,
                **decode,
            }
        )
    return pl.DataFrame(rows, schema=PLAN)


def plan_of_chosen(
    model_id: str,
    digest: str,
    asked: Asked,
    chosen: pl.DataFrame,
    prompts: pl.DataFrame,
    skipped: Collection[str] = (),
) -> pl.DataFrame:
    """As training samples of problems that were chosen, so that their ranks have gaps; no more of them than are asked for."""
    ranked = chosen.sort("rank").with_columns(pl.int_range(pl.len(), dtype=pl.Int32).alias("rank"))
    there = asked.model_copy(update={"train_samples": min(asked.train_samples, ranked.height)})
    return make_plan(model_id, digest, there, ranked, ranked.clear(), prompts, skipped)


def lowered(asked: Asked, there: int) -> str | None:
    """A sentence where the ladder asks for more problems than there are, so that all of them are asked."""
    if asked.train_samples <= there:
        return None
    return f"ladder: {asked.train_samples} problems were to be asked (ladder.problems, ladder.pool), and there are {there}: all are asked."


def _more_draws(asked: Asked, evaluation: pl.DataFrame) -> list[tuple[str, int]]:
    """The problems of mixtures that are asked more often than the rest, and how often, in the order of the ranking."""
    draws: dict[str, int] = {}
    for name, mixture in asked.mixtures.items():
        for problem in members(mixture, name, evaluation, asked.eval_problems):
            draws[problem] = max(draws.get(problem, 0), asked.mixture_draws[name])
    ranked = evaluation.sort("rank")["problem_id"].to_list()
    return [(problem, draws[problem]) for problem in ranked if problem in draws]


def _first(problems: pl.DataFrame, count: int) -> list[str]:
    return problems.filter(pl.col("rank") < count).sort("rank")["problem_id"].to_list()
