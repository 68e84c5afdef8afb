"""Models that are nearly or wholly the lab's, requests to them with shared or own noise, and how often two laws must agree."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from conftest import ROOT
from selfdistill.models.digests import model_digest
from selfdistill.sampling.asked import Asked
from selfdistill.sampling.plan import make_plan
from selfdistill.sampling.requests import Request
from selfdistill.tables.problems import PROBLEMS, PROMPTS

MODEL = ROOT / "resources/lab/model"
DECODE: dict[str, Any] = {"temperature": 1.0, "top_k": 20, "top_p": 0.95, "max_tokens": 160}
FIELDS = (
    "request_id",
    "prompt_ids",
    "max_tokens",
    "seed",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "presence_penalty",
)


def near_copy(folder: Path, share: float = 0.01) -> Path:
    """Every weight moved by about so much of its size."""
    shutil.copytree(MODEL, folder)
    randomness = torch.Generator().manual_seed(2)
    weights = load_file(MODEL / "model.safetensors")
    moved = {
        name: weight * (1 + share * torch.randn(weight.shape, generator=randomness)) for name, weight in weights.items()
    }
    save_file(moved, folder / "model.safetensors", {"format": "pt"})
    return folder


def same_copy(folder: Path) -> Path:
    """The same weights under another digest: a note in a file of the model says something else."""
    shutil.copytree(MODEL, folder)
    config = json.loads((MODEL / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"transformers_version": "0.0.0"}))
    assert model_digest(folder) != model_digest(MODEL)
    return folder


def asked_of_model(
    model: Path, count: int, shared: bool, draws: int = 1, text: str = "", **change: Any
) -> list[Request]:
    """Problem by problem, draw by draw; all of one text where one is given."""
    lines = (ROOT / "resources/lab/problems/exam.jsonl").read_text().splitlines()[:count]
    told = [f"<|im_start|>user\n{json.loads(line)['problem']}\nPut the answer in \\boxed{{}}.<|im_end|>\n<|im_start|>assistant\n<think>\n" for line in lines]  # fmt: skip
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    prompts = [tokenizer.encode(text or each).ids for each in told[: 1 if text else count]]
    draws = count if text else draws
    problems = pl.DataFrame(
        [{"problem_id": f"p{n}", "source": "exam", "family": None, "level": 1, "problem": "", "answer": "1", "split": "test", "rank": n}
         for n in range(len(prompts))], schema=PROBLEMS,
    )  # fmt: skip
    tokenised = pl.DataFrame([{"problem_id": f"p{n}", "prompt_ids": ids} for n, ids in enumerate(prompts)], schema_overrides=PROMPTS)  # fmt: skip
    stream = change.pop("stream", "")
    asked = Asked.model_validate(
        {"dtype": "float32", "decodes": {"it": DECODE | change}, "train": [], "train_samples": 0, "eval": ["it"], "eval_problems": len(prompts),
         "draws": draws, "stream": stream, "seed": 3, "shards": 1, "noises": list(range(draws)) if shared else []}
    )  # fmt: skip
    plan = make_plan("base", model_digest(model), asked, problems.head(0), problems, tokenised)
    return [Request(**row) for row in plan.select(FIELDS).iter_rows(named=True)]


def alike(one: list[int], other: list[int]) -> int:
    """How many tokens two texts have in common before they part."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def first_laws(prompt_ids: list[int], *folders: Path) -> list[torch.Tensor]:
    """What transformers says each model's next token is drawn from at temperature 1."""
    from transformers import AutoModelForCausalLM

    with torch.inference_mode():
        models = [AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32) for folder in folders]
        return [model(torch.tensor([prompt_ids])).logits[0, -1].double().softmax(-1) for model in models]


def agree_by_inversion(p: torch.Tensor, q: torch.Tensor) -> float:
    """One uniform number falls on the same token of two laws laid out in the order of token ids."""
    ends = torch.stack([p, q]).cumsum(1)
    begins = ends - torch.stack([p, q])
    return float((ends.amin(0) - begins.amax(0)).clamp(min=0).sum())


def agree_by_exponentials(p: torch.Tensor, q: torch.Tensor) -> float:
    """The same exponential number for each token id, divided by its probability, is least at the same token."""
    kept = p + q > 1e-9
    p, q = p[kept], q[kept]
    return float((1 / torch.maximum(p / p[:, None], q / q[:, None]).sum(1)).sum())
