"""Probes whose truth is known: laws of locks and forks that are made up, moved by a known amount at known places, and written
as an engine would; and the lab's own, whose grammar knows what every token is."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.chains import Problem, generate
from lab.grammar import label_tokens, write_trace
from selfdistill.mechanism.tabulate import Tables, tabulated, token_classes
from selfdistill.study.arms import Arm
from selfdistill.study.mechanism import Mechanism
from selfdistill.study.sampling import Decode
from selfdistill.tables import words
from selfdistill.tables.mechanism import CARRIERS, DISTRIBUTIONS, PROBE_PLAN
from selfdistill.tables.whole import write_table

Array = NDArray[Any]

MODEL = Path(__file__).resolve().parents[1] / "resources/lab/model"
DECODES = {
    "hot": Decode(temperature=1.5, top_k=20, top_p=0.95, max_tokens=64),
    "plain": Decode(temperature=1.0, max_tokens=64),
}
ARMS = {
    "ssd": Arm(decode="hot", keep="everything", seeds=[0, 1000]),
    "fixed-point": Arm(decode="plain", keep="everything"),
}
WORDS = 60


class Planted(NamedTuple):
    log_p: Array  # the base's, [positions, tokens], by token
    is_lock: Array
    families: Array


def planted(rng: np.random.Generator, families: int = 40, each: int = 30, words_known: int = WORDS) -> Planted:
    """Two of three positions are locks; families differ in how sure the base is of theirs."""
    count = families * each
    logits = rng.normal(0, 1, (count, words_known))
    family = np.repeat(np.arange(families), each)
    is_lock = rng.random(count) < 2 / 3
    sure = 10 + rng.normal(0, 0.5, families)[family]
    places = np.argsort(rng.random((count, words_known)), axis=1)[:, :4]
    row = np.arange(count)
    logits[row, places[:, 0]] += np.where(is_lock, sure, 7)
    for way in (1, 2, 3):
        logits[row, places[:, way]] += np.where(is_lock, 0, 7 - 0.4 * way)
    return Planted(normalised(logits), is_lock, family)


def normalised(logits: Array) -> Array:
    largest = logits.max(-1, keepdims=True)
    return np.asarray(logits - largest - np.log(np.exp(logits - largest).sum(-1, keepdims=True)))


def write_probes(folder: Path, model_id: str, log_p: Array, top: int = 256) -> Path:
    order = np.argsort(-log_p, axis=1, kind="stable")[:, :top]
    found = np.take_along_axis(log_p, order, axis=1)
    frame = pl.DataFrame({
        "probe_id": [f"p{at}" for at in range(len(log_p))], "model_id": model_id,
        "ids": pl.Series(order.tolist(), dtype=pl.List(pl.Int32)),
        "logprobs": pl.Series(found.tolist(), dtype=pl.List(pl.Float32)),
        "log_sum_exp": 0.0, "entropy": -(np.exp(log_p) * log_p).sum(-1), "rank": 1, "logprob": log_p[:, 0],
        "engine": "planted", "engine_version": "1",
    })  # fmt: skip
    path = folder / f"{model_id}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(frame, path, DISTRIBUTIONS)
    return path


def texts(
    families: Array, writers: Array | None = None, kinds: list[str] | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A plan and carriers: one carrier a family and writer."""
    written = np.full(len(families), "base") if writers is None else writers
    carrier = [f"c{family}-{writer}" for family, writer in zip(families, written, strict=True)]
    plan = pl.DataFrame({
        "probe_id": [f"p{at}" for at in range(len(families))], "carrier_id": carrier,
        "position": np.arange(len(families)), "token_id": 0, "kinds": [kinds or [words.RANDOM]] * len(families),
    })  # fmt: skip
    names = pl.DataFrame({"carrier_id": carrier, "family": [f"f{each}" for each in families], "model_id": written})
    one_each = names.unique("carrier_id", keep="first", maintain_order=True)
    half = [words.SELECTING if int(name[1:]) % 2 else words.MEASURING for name in one_each["family"]]
    carriers = one_each.with_columns(
        problem_id=pl.col("family"), source=pl.lit("lab"), half=pl.Series(half), decode_id=pl.lit("hot"),
        prompt_ids=pl.lit([0]), token_ids=pl.lit([0]), text=pl.lit(""), n_tokens=1, verdict=pl.lit("wrong"),
        finish_class=pl.lit("answered"),
    )  # fmt: skip
    return _cast(plan, PROBE_PLAN), _cast(carriers, CARRIERS)


def _cast(frame: pl.DataFrame, schema: Mapping[str, Any]) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def tables_of(
    folder: Path,
    models: Mapping[str, Array],
    families: Array,
    writers: Array | None = None,
    arms: Mapping[str, Arm] | None = None,
    top: int = 256,
    **settings: Any,
) -> tuple[pl.DataFrame, Tables]:
    """From laws by model, `base` among them, to the classes and all tables."""
    probes = {name: write_probes(folder, name, log_p, top) for name, log_p in models.items()}
    study = Mechanism(decode="hot", **settings)
    plan, carriers = texts(families, writers)
    classes = token_classes(plan, carriers, probes["base"], DECODES[study.decode], study.classes)
    return classes, tabulated(classes, probes, study, DECODES, arms or ARMS, ["hot"], set())


def row_of(table: pl.DataFrame, **named: Any) -> dict[str, Any]:
    """The one row of these; all carriers and all positions unless said otherwise."""
    asked = {"carriers": words.BY_ALL, "position_kind": words.EVERY_KIND, **named}
    found = table.filter(
        *(pl.col(name).is_null() if value is None else pl.col(name) == value for name, value in asked.items())
    )
    return found.row(0, named=True) if found.height == 1 else _not_one(found.height, asked)


def _not_one(height: int, asked: dict[str, Any]) -> dict[str, Any]:
    raise AssertionError(f"{height} rows of {asked}")


class Labelled(NamedTuple):
    log_p: Array
    labels: Array  # fork, lock, neither
    families: Array


def lab_laws(traces: int, seed: int = 4) -> Labelled:
    """The lab model's laws along traces that the grammar writes, and what the grammar says of each token.

    Both ways to say a share begin with the token "As": a choice by the grammar's characters, and none for a token. There
    the fork is the token by which they part, two further on.
    """
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    rng = random.Random(seed)
    laws: list[Array] = []
    labels: list[Array] = []
    families: list[Array] = []
    while len(laws) < traces:
        problem = generate(rng, rng.randint(1, 4))
        text, finished = write_trace(problem, rng)
        if not finished:
            continue
        prompt = tokenizer.encode(prompt_of(problem), add_special_tokens=False).ids
        told = tokenizer.encode(text, add_special_tokens=False)
        with torch.no_grad():
            logits = model(torch.tensor([prompt + told.ids])).logits[0, len(prompt) - 1 : -1].double()
        laws.append(logits.log_softmax(-1).numpy())
        mine = np.array(label_tokens(problem, text, told.offsets))
        for at, token in enumerate(told.tokens):
            if token == "As" and mine[at] == "fork":
                mine[at], mine[at + 2] = "neither", "fork"
        labels.append(mine)
        families.append(np.full(len(mine), len(laws)))
    return Labelled(np.concatenate(laws), np.concatenate(labels), np.concatenate(families))


def prompt_of(problem: Problem) -> str:
    """As the chat template of the lab's model and the study's wording make it."""
    asked = f"{problem.text}\nPut the answer in \\boxed{{}}."
    return f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n<think>\n"
