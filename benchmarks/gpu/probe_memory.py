"""What probing takes on a GPU: the laws at 64 positions of each of 200 texts of 32,000 tokens, of a model of random weights.

python benchmarks/gpu/probe_memory.py OUT.json                                   the shape of Qwen3-4B, bf16, on one GPU
python benchmarks/gpu/probe_memory.py OUT.json --shape tiny --device cpu --dtype float32 --tokens 300 --carriers 4

Memory is the most that torch held on the GPU, from loading the weights on; the head's logits of a whole text would be 19 GB
in float32 alone. One text is also read everywhere (a strip), and of some the depth of every thought is measured.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from selfdistill.mechanism.depth import divergences  # noqa: E402
from selfdistill.sampling.engines.contract import EngineSettings  # noqa: E402
from selfdistill.sampling.engines.torch_engine import TorchEngine  # noqa: E402
from selfdistill.sampling.requests import Probed  # noqa: E402

SHAPES: dict[str, dict[str, Any]] = {
    "qwen3-4b": {
        "vocab_size": 151936, "hidden_size": 2560, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8,
        "head_dim": 128, "intermediate_size": 9728,
    },
    "tiny": {
        "vocab_size": 1000, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 16, "intermediate_size": 128,
    },
}  # fmt: skip
ROPE = {"rope_type": "default", "rope_theta": 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", choices=list(SHAPES), default="qwen3-4b")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--tokens", type=int, default=32_000, help="of each text, its prompt of 100 among them")
    parser.add_argument("--carriers", type=int, default=200)
    parser.add_argument("--positions", type=int, default=64)
    parser.add_argument("--depths", type=int, default=4, help="texts whose depths are measured")
    parser.add_argument("--top", type=int, default=256)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), asked)
        found = measured(Path(folder), asked)
    asked.out.write_text(json.dumps(found, indent=1) + "\n")


def write_model(folder: Path, asked: argparse.Namespace) -> None:
    """Random weights, made where they are fastest to make."""
    torch.manual_seed(0)
    config = transformers.Qwen3Config(
        **SHAPES[asked.shape],
        max_position_embeddings=40_960,
        rope_parameters=ROPE,
        tie_word_embeddings=True,
        eos_token_id=1,
        bos_token_id=None,
    )
    with torch.device(asked.device):
        model = transformers.Qwen3ForCausalLM._from_config(config, dtype=getattr(torch, asked.dtype))
    model.save_pretrained(folder)
    print(f"{sum(each.numel() for each in model.parameters()) / 1e9:.2f} billion weights", flush=True)
    del model
    if asked.device == "cuda":
        torch.cuda.empty_cache()


def measured(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    if asked.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    began = time.monotonic()
    settings = EngineSettings(folder, asked.dtype, asked.tokens + 1, [1], batch=1, device=asked.device, top=asked.top)
    engine = TorchEngine(settings)
    about = {"shape": asked.shape, "dtype": asked.dtype, "tokens": asked.tokens, "torch": torch.__version__}
    about["device"] = torch.cuda.get_device_name() if asked.device == "cuda" else "cpu"
    found: dict[str, Any] = about | {"loading_seconds": round(time.monotonic() - began, 1), "loaded_gb": peak(asked)}
    rng = np.random.default_rng(0)
    texts = [text(str(number), rng, asked) for number in range(asked.carriers)]
    found["probes"] = read(engine, texts, asked)
    found["strip"] = read(engine, [text("strip", rng, asked, everywhere=True)], asked)
    if asked.depths:
        began = time.monotonic()
        for each in texts[: asked.depths]:
            divergences(engine.decoder, each)
        seconds = time.monotonic() - began
        found["depths"] = {"carriers": asked.depths, "seconds": round(seconds, 2), "peak_gb": peak(asked)}
        print(json.dumps({"depths": found["depths"]}), flush=True)
    return found


def text(name: str, rng: np.random.Generator, asked: argparse.Namespace, everywhere: bool = False) -> Probed:
    ids = rng.integers(2, SHAPES[asked.shape]["vocab_size"], asked.tokens).tolist()
    length = asked.tokens - 100
    chosen = range(length) if everywhere else rng.choice(length, asked.positions, replace=False)
    return Probed(name, ids[:100], ids[100:], sorted(map(int, chosen)))


def read(engine: TorchEngine, texts: Iterable[Probed], asked: argparse.Namespace) -> dict[str, Any]:
    began, count, positions, last = time.monotonic(), 0, 0, 0.0
    for told in engine.distributions(texts, asked.top):
        count, positions = count + 1, positions + len(told.ranks)
        if time.monotonic() - last > 20 or count == 1:
            last = time.monotonic()
            print(f"{count} texts, {last - began:.1f} s, at most {peak(asked)} GB", flush=True)
    seconds = time.monotonic() - began
    found = {"carriers": count, "positions": positions, "seconds": round(seconds, 2), "peak_gb": peak(asked)}
    found["tokens_per_second"] = round(count * asked.tokens / seconds)
    print(json.dumps(found), flush=True)
    return found


def peak(asked: argparse.Namespace) -> float | None:
    return round(torch.cuda.max_memory_allocated() / 1e9, 2) if asked.device == "cuda" else None


if __name__ == "__main__":
    main()
