"""Plans: what to sample from one model. Training data and evaluation answers are asked for in the same table."""

from pathlib import Path
from typing import Any, Literal

import polars as pl

from selfdistill.config.study import Decode, Section, Study
from selfdistill.errors import UserError
from selfdistill.sampling.requests import request_id, seed_of, shard_of
from selfdistill.tables import PLAN, PROMPTS


def tokenise_prompts(problems: pl.DataFrame, template: str, model: Path) -> pl.DataFrame:
    """The prompt ids of every problem: the study's wording inside the model's own chat template, tokenised once."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(model), local_files_only=True, trust_remote_code=False)
    if not tokenizer.chat_template:
        raise UserError(f"{model}: the tokenizer has no chat template; add chat_template to its tokenizer_config.json.")
    rows = []
    for problem_id, text in problems.select("problem_id", "problem").iter_rows():
        message = {"role": "user", "content": template.replace("{problem}", text)}
        encoded: Any = tokenizer.apply_chat_template([message], add_generation_prompt=True, tokenize=True, return_dict=True)
        rows.append({"problem_id": problem_id, "prompt_ids": list(encoded["input_ids"])})
    return pl.DataFrame(rows, schema=PROMPTS)


class Asked(Section):
    """What the study asks of one model. As plain data it is the parameter of the plan's rule, so that Snakemake
    re-plans exactly the models whose requests change."""

    decodes: dict[str, Decode]
    train: list[str]  # decodes of training samples
    train_samples: int
    eval: list[str]  # decodes of evaluation answers
    eval_problems: int
    draws: int
    stream: str  # tells A/A twins apart
    seed: int
    shards: int


def asked_of(study: Study, model_id: str) -> Asked:
    evaluation = study.evaluation
    arm = study.arms.get(model_id)
    twin = arm is not None and arm.resample
    train: list[str] = []
    budget: Literal["quick", "full"] = "full"
    if model_id == "base":
        train, decodes = sorted({arm.decode for arm in study.arms.values() if arm.decode}), evaluation.base
    elif twin or model_id.endswith("/at-100"):
        decodes = evaluation.final
    else:
        decodes, budget = evaluation.earlier, "quick"
    return Asked(
        decodes={name: study.decodes[name] for name in sorted({*train, *decodes})},
        train=train,
        train_samples=study.training.samples if train else 0,
        eval=list(decodes),
        eval_problems=evaluation.budgets[budget],
        draws=evaluation.draws,
        stream=model_id if twin else "",
        seed=study.seed,
        shards=study.sampling.shards_base if model_id == "base" else study.sampling.shards_checkpoint,
    )


def make_plan(
    model_id: str, digest: str, asked: Asked, train: pl.DataFrame, evaluation: pl.DataFrame, prompts: pl.DataFrame
) -> pl.DataFrame:
    prompt_ids = dict(prompts.select("problem_id", "prompt_ids").iter_rows())
    wanted = [("train", name, problem, 0) for name in asked.train for problem in _first(train, asked.train_samples)]
    wanted += [
        ("eval", name, problem, draw)
        for name in asked.eval
        for problem in _first(evaluation, asked.eval_problems)
        for draw in range(asked.draws)
    ]
    rows = []
    for purpose, decode_id, problem_id, draw in wanted:
        decode = asked.decodes[decode_id].model_dump()
        key = request_id(digest, prompt_ids[problem_id], decode, draw, asked.stream, asked.seed)
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
