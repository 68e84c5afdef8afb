"""Requests to sample from the lab model, as a plan would make them."""

import json
from typing import Any

from tokenizers import Tokenizer

from conftest import ROOT
from selfdistill.sampling.requests import Request, request_id, seed_of

MODEL = ROOT / "resources/lab/model"


def lab_requests(count: int, **decode: Any) -> list[Request]:
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    rows = [json.loads(line) for line in (ROOT / "resources/lab/problems/exam.jsonl").read_text().splitlines()]
    settings = {
        "max_tokens": 224, "temperature": 1.0, "top_k": 20, "top_p": 0.95, "min_p": 0.0, "presence_penalty": 0.0, **decode
    }  # fmt: skip
    asked = []
    for number in range(count):
        text = f"<|im_start|>user\n{rows[number % len(rows)]['problem']}<|im_end|>\n<|im_start|>assistant\n<think>\n"
        name = request_id("lab", "float32", [number], {}, 0, "", 0)
        asked.append(Request(name, tokenizer.encode(text).ids, seed=seed_of(name), **settings))
    return asked
