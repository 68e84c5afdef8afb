"""Makes the lab model: tokenizer, weights, configuration. One GPU, a few minutes; no network, no other data.

    python resources/lab/make_model.py --out resources/lab/model            (trains; a CUDA device is taken if there is one)
    python resources/lab/make_model.py --out /tmp/try --steps 1600          (more training: too good a model for the study)

The model learns traces of `grammar.py` on problems of `chains.py`, drawn anew for every batch. `measure_model.py`
then measures it with the project's own sampler and grader and writes the model card.
"""

import argparse
import json
import math
import multiprocessing
import random
import sys
import time
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "resources"), str(ROOT / "workflow_scripts")]

from lab.chains import generate  # noqa: E402
from lab.grammar import write_trace  # noqa: E402

CONTEXT = 384
PROMPT = "{problem}\nPut the answer in \\boxed{{}}."
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
SHAPE: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}


def conversation(problem: str, completion: str, ended: bool) -> tuple[str, str]:
    prompt = f"<|im_start|>user\n{PROMPT.format(problem=problem)}<|im_end|>\n<|im_start|>assistant\n<think>\n"
    return prompt, completion + ("<|im_end|>" if ended else "")


def make_tokenizer(folder: Path, seed: int) -> Any:
    """Byte-level BPE of 512 with single digits and single marks, so that no token straddles two parts of the grammar."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    rng = random.Random(seed)
    texts = []
    for _ in range(4000):
        problem = generate(rng, rng.randint(1, 6))
        texts.append(
            f"user\n{PROMPT.format(problem=problem.text)}\nassistant\n{write_trace(problem, rng)[0]}".replace(
                "</think>", ""
            )
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\p{L}+|\p{N}|\s|[^\s\p{L}\p{N}]"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SHAPE["vocab_size"] - len(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # As in Qwen: the chat marks are special, the think tags are not, so that decoding keeps them.
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in SPECIAL[:3]])
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in SPECIAL[3:]])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "padding_side": "left",
        "model_max_length": SHAPE["max_position_embeddings"],
        "clean_up_tokenization_spaces": False,
        "chat_template": TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    return tokenizer


def write_batches(folder: Path, seed: int, rows: int, queue: Any) -> None:
    """A worker: batches of token rows and their masks, for ever."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    pad = tokenizer.token_to_id("<|endoftext|>")
    rng = random.Random(seed)
    while True:
        prompts, completions = [], []
        for _ in range(rows):
            problem = generate(rng, rng.randint(1, 6))
            prompt, completion = conversation(problem.text, *write_trace(problem, rng))
            prompts.append(prompt)
            completions.append(completion)
        tokens = np.full((rows, CONTEXT), pad, dtype=np.int16)
        learn = np.zeros((rows, CONTEXT), dtype=bool)
        encoded = tokenizer.encode_batch(prompts + completions)
        for row in range(rows):
            prompt_ids, completion_ids = encoded[row].ids, encoded[rows + row].ids
            line = (prompt_ids + completion_ids)[:CONTEXT]
            tokens[row, : len(line)] = line
            learn[row, len(prompt_ids) : len(line)] = True
        width = int(np.flatnonzero(learn.any(axis=0)).max()) + 1
        queue.put((tokens[:, :width], learn[:, :width]))


def train(folder: Path, steps: int, rows: int, peak: float, seed: int, workers: int) -> None:
    import torch
    import transformers
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    tokenizer = make_tokenizer(folder, seed)
    context = multiprocessing.get_context("spawn")
    queue: Queue[Any] = context.Queue(maxsize=64)  # type: ignore[assignment]
    processes = [
        context.Process(target=write_batches, args=(folder, 1000 * seed + i, rows, queue), daemon=True)
        for i in range(workers)
    ]
    for process in processes:
        process.start()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(seed)
    end, pad = tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")
    config = Qwen3Config(
        **SHAPE,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        eos_token_id=end,
        pad_token_id=pad,
        bos_token_id=None,
        use_sliding_window=False,
    )
    model = Qwen3ForCausalLM(config)
    model.to(device)  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=peak, betas=(0.9, 0.95), weight_decay=0.1, fused=device == "cuda"
    )
    began, seen, loss_sum = time.time(), 0, torch.zeros((), device=device)
    for step in range(steps):
        share = min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = peak * max(share, 0.01)
        tokens_here, learn_here = queue.get()
        tokens = torch.from_numpy(tokens_here.astype(np.int64)).to(device, non_blocking=True)
        learn = torch.from_numpy(learn_here).to(device, non_blocking=True)
        with torch.autocast(device, dtype=torch.bfloat16):
            logits = model(input_ids=tokens[:, :-1]).logits
        losses = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
        )
        loss = (losses * learn[:, 1:].flatten()).sum() / learn[:, 1:].sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seen += int(learn_here.sum())
        loss_sum += loss.detach()
        if (step + 1) % 200 == 0:
            print(
                f"step {step + 1}  loss {float(loss_sum) / 200:.4f}  {seen / 1e6:.0f}M tokens  {time.time() - began:.0f} s",
                flush=True,
            )
            loss_sum.zero_()
    for process in processes:
        process.terminate()
    model.float().cpu()
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=pad)
    model.save_pretrained(folder)
    facts = {
        "steps": steps,
        "rows": rows,
        "peak": peak,
        "seed": seed,
        "completion_tokens": seen,
        "seconds": round(time.time() - began),
        "device": torch.cuda.get_device_name() if device == "cuda" else "CPU",
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
    }
    (folder / "training.json").write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=620)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--peak", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=12)
    arguments = parser.parse_args()
    train(arguments.out, arguments.steps, arguments.rows, arguments.peak, arguments.seed, arguments.workers)
