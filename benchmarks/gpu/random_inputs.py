"""Models of real shapes with random weights, and random rows to train them on: for speeds, memory and whether it works.

python benchmarks/gpu/random_inputs.py model qwen3.5-4b DIR       bf16, with the lab's tokenizer
python benchmarks/gpu/random_inputs.py rows 64 600 2000 FILE      so many completions of so many tokens, as an arm's dataset
python benchmarks/gpu/random_inputs.py questions 8 MODEL FILE     so many of the lab's searches, for a model that practises
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from selfdistill.sampling.prompts import Chat, asked, user_turn  # noqa: E402
from selfdistill.tables.practice import QUESTIONS  # noqa: E402
from selfdistill.tables.training import DATASET  # noqa: E402
from selfdistill.tables.whole import write_table  # noqa: E402

LAB, END = ROOT / "resources/lab/model", 420  # the lab's <|im_end|>
PROMPT = "{problem}\nPut the answer in \\boxed{}."
ROPE = {"rope_type": "default", "rope_theta": 1e6}
DENSE = {"vocab_size": 151936, "head_dim": 128, "num_key_value_heads": 8, "max_position_embeddings": 40960}
SHAPES: dict[str, dict[str, Any]] = {
    "qwen3-0.6b": {
        "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16, "intermediate_size": 3072, "tie_word_embeddings": True,
    },
    "qwen3-1.7b": {
        "hidden_size": 2048, "num_hidden_layers": 28, "num_attention_heads": 16, "intermediate_size": 6144, "tie_word_embeddings": True,
    },
    "qwen3-8b": {
        "hidden_size": 4096, "num_hidden_layers": 36, "num_attention_heads": 32, "intermediate_size": 12288, "tie_word_embeddings": False,
    },
}  # fmt: skip


def qwen3(shape: str) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(**DENSE, **SHAPES[shape], rope_parameters=ROPE, eos_token_id=END, bos_token_id=None)
    return Qwen3ForCausalLM._from_config(config, dtype=torch.bfloat16)


def qwen35(shape: str) -> Any:
    """The composite class of the real one, its vision part as small as can be."""
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    words = 248320
    rope = {"rope_type": "default", "rope_theta": 1e7, "partial_rotary_factor": 0.25, "mrope_section": [11, 11, 10]}
    text = {
        "vocab_size": words, "hidden_size": 2560, "intermediate_size": 9216, "num_hidden_layers": 32,
        "num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 256, "linear_num_key_heads": 16,
        "linear_num_value_heads": 32, "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
        "tie_word_embeddings": True, "max_position_embeddings": 262144, "mamba_ssm_dtype": "float32",
        "rope_parameters": rope | {"mrope_interleaved": True}, "eos_token_id": END, "bos_token_id": None,
    }  # fmt: skip
    vision = {
        "depth": 1, "hidden_size": 64, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 2560,
        "num_position_embeddings": 16, "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2, "in_channels": 3,
    }  # fmt: skip
    special = {"image_token_id": words - 3, "video_token_id": words - 4, "vision_start_token_id": words - 5, "vision_end_token_id": words - 6}  # fmt: skip
    config = Qwen3_5Config(text_config=text, vision_config=vision, tie_word_embeddings=True, **special)
    return Qwen3_5ForConditionalGeneration._from_config(config, dtype=torch.bfloat16)


MAKERS = {"qwen3-0.6b": qwen3, "qwen3-1.7b": qwen3, "qwen3-8b": qwen3, "qwen3.5-4b": qwen35}


def make_model(shape: str, folder: Path) -> None:
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = MAKERS[shape](shape)
    model.save_pretrained(folder, max_shard_size="5GB")
    for file in LAB.glob("tokenizer*.json"):
        shutil.copy(file, folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": END}))


def make_rows(count: int, fewest: int, most: int, file: Path) -> None:
    random = np.random.default_rng(0)
    rows = []
    for number in range(count):
        prompt, completion = (random.integers(5, 150000, size).tolist() for size in (100, int(random.integers(fewest, most))))  # fmt: skip
        rows.append((f"r{number:04d}", "samples-t11", f"p{number}", prompt, completion, "answered", "correct", len(completion)))  # fmt: skip
    write_table(pl.DataFrame(rows, schema=DATASET, orient="row"), file, DATASET)


def make_questions(count: int, model: Path, file: Path) -> None:
    """Each with its solution, so that a teacher has something to be told however few of the answers are right."""
    lines = (ROOT / "resources/lab/problems/search-train.jsonl").read_text().splitlines()[:count]
    chat, rows = Chat(model), []
    for problem in map(json.loads, lines):
        ids = chat.ids([user_turn(asked(problem["problem"], PROMPT))])
        rows.append((problem["id"], problem["family"], problem["problem"], problem["answer"], ids, problem["solution"]))
    write_table(pl.DataFrame(rows, schema=QUESTIONS, orient="row"), file, QUESTIONS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    model = kinds.add_parser("model")
    model.add_argument("shape", choices=MAKERS)
    model.add_argument("out", type=Path)
    rows = kinds.add_parser("rows")
    for name in ("count", "fewest", "most"):
        rows.add_argument(name, type=int)
    rows.add_argument("out", type=Path)
    questions = kinds.add_parser("questions")
    questions.add_argument("count", type=int)
    questions.add_argument("model", type=Path)
    questions.add_argument("out", type=Path)
    given = parser.parse_args()
    if given.kind == "model":
        make_model(given.shape, given.out)
    elif given.kind == "questions":
        make_questions(given.count, given.model, given.out)
    else:
        make_rows(given.count, given.fewest, given.most, given.out)


if __name__ == "__main__":
    main()
