"""Plans: what to sample from one model. Training data and evaluation answers are asked for in the same table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl

from selfdistill.config.study import AbortLoops, Decode, Section, Study
from selfdistill.errors import UserError
from selfdistill.naming import SAMPLES
from selfdistill.sampling.requests import request_id, seed_of, shard_of
from selfdistill.tables import PLAN, PROMPTS


def tokenise_prompts(
    problems: pl.DataFrame, template: str, model: Path, chat: Mapping[str, Any] = {}, trust_remote_code: bool = False
) -> pl.DataFrame:
    """The prompt ids of every problem: the study's wording inside the model's own chat template, tokenised once. `chat`
    are the template's own switches, as enable_thinking; one that the template never reads is a mistake."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(model), local_files_only=True, trust_remote_code=trust_remote_code)
    for switch in chat:
        if switch not in str(tokenizer.chat_template):
            raise UserError(f"model.chat.{switch}: the chat template of {model} reads no {switch}; remove it.")
    rows = []
    for problem_id, text in problems.select("problem_id", "problem").iter_rows():
        message = {"role": "user", "content": template.replace("{problem}", text)}
        encoded: Any = tokenizer.apply_chat_template(
            [message], add_generation_prompt=True, tokenize=True, return_dict=True, **chat
        )
        rows.append({"problem_id": problem_id, "prompt_ids": list(encoded["input_ids"])})
    return pl.DataFrame(rows, schema=PROMPTS)


class Asked(Section):
    """What the study asks of one model. As plain data it is the parameter of the plan's rule, so that Snakemake
    re-plans exactly the models whose requests change."""

    dtype: str
    decodes: dict[str, Decode]
    train: list[str]  # decodes of training samples
    train_samples: int
    eval: list[str]  # decodes of evaluation answers
    eval_problems: int
    draws: int
    stream: str  # tells A/A twins apart
    seed: int
    shards: int
    abort_loops: AbortLoops | None = None


def asked_of(study: Study, model_id: str) -> Asked:
    """The base's training samples are models of their own, one a decode (`samples-t11`), so that a new arm or another
    evaluation touches no arm's dataset."""
    evaluation = study.evaluation
    arm = study.arms.get(model_id)
    twin = arm is not None and arm.resample
    train: list[str] = []
    evaluated: list[str] = []
    budget: Literal["quick", "full"] = "full"
    if model_id.startswith(SAMPLES):
        train = [model_id.removeprefix(SAMPLES)]
    elif model_id == "base":
        evaluated = evaluation.base
    elif twin or model_id.endswith("/at-100"):
        evaluated = evaluation.final
    else:
        evaluated, budget = evaluation.earlier, "quick"
    return Asked(
        dtype=study.model.dtype,
        decodes={name: study.decodes[name] for name in sorted({*train, *evaluated})},
        train=train,
        train_samples=study.training.samples if train else 0,
        eval=list(evaluated),
        eval_problems=evaluation.budgets[budget] if evaluated else 0,
        draws=evaluation.draws if evaluated else 0,
        stream=model_id if twin else "",
        seed=study.seed,
        shards=study.sampling.shards_base if train or model_id == "base" else study.sampling.shards_checkpoint,
        abort_loops=study.sampling.abort_loops,
    )


def make_plan(
    model_id: str, digest: str, asked: Asked, train: pl.DataFrame, evaluation: pl.DataFrame, prompts: pl.DataFrame
) -> pl.DataFrame:
    for key, wanted_problems, table in (
        ("training.samples", asked.train_samples, train),
        ("evaluation.budgets", asked.eval_problems, evaluation),
    ):
        if wanted_problems > table.height:
            raise UserError(
                f"{key}: asks for {wanted_problems} problems, but without duplicates and contamination there are "
                f"{table.height}; lower it."
            )
    prompt_ids = dict(prompts.select("problem_id", "prompt_ids").iter_rows())
    wanted = [("train", name, problem, 0) for name in asked.train for problem in _first(train, asked.train_samples)]
    wanted += [
        ("eval", name, problem, draw)
        for name in asked.eval
        for problem in _first(evaluation, asked.eval_problems)
        for draw in range(asked.draws)
    ]
    abort_loops = asked.abort_loops.model_dump() if asked.abort_loops else None
    rows = []
    for purpose, decode_id, problem_id, draw in wanted:
        decode = asked.decodes[decode_id].model_dump()
        key = request_id(
            digest, asked.dtype, prompt_ids[problem_id], decode, draw, asked.stream, asked.seed, abort_loops
        )
        rows.append(
            {
                "request_id": key,
                "model_id": model_id,
                "problem_id": problem_id,
                "purpose": purpose,
                "decode_id": decode_id,
                "draw": draw,
                "seed": seed_of(key),
                "shard": shard_of(key, asked.shards),
                "prompt_ids": prompt_ids[problem_id],
                **decode,
            }
        )
    return pl.DataFrame(rows, schema=PLAN)


def _first(problems: pl.DataFrame, count: int) -> list[str]:
    return problems.filter(pl.col("rank") < count).sort("rank")["problem_id"].to_list()
