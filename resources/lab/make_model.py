"""Makes the lab's models: tokenizer, weights, configuration. One GPU, a few minutes; no network, no other data.

    python resources/lab/make_model.py --out resources/lab/model            (trains; a CUDA device is taken if there is one)
    python resources/lab/make_model.py --out /tmp/try --steps 1600          (more training: too good a model for the study)
    python resources/lab/make_model.py --world both --out /tmp/candidates   (chains and searches; several candidates)

The model of chains learns traces of `grammar.py` on problems of `chains.py`, drawn anew for every batch; that of both
worlds learns `search.py` beside them, and to follow contexts (`lessons.py`). How long is long enough is seen only
afterwards, so both worlds' training leaves a candidate at every stop of `--ways`: a copy that goes on alone, with a
learning rate that falls to nothing. `measure_model.py` then measures a model with the project's own sampler and grader
and writes its card.
"""

import argparse
import copy
import json
import math
import multiprocessing
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "resources"), str(ROOT / "workflow_scripts")]

from lab.lessons import Lesson, both_worlds, chain_alone  # noqa: E402

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\nSWITCH{% endif %}"
)
SWITCH = "{% if enable_thinking is defined and enable_thinking is false %}{{ '\\n</think>\\n\\n' }}{% endif %}"  # as in Qwen3
TEMPLATES = {"chains": TEMPLATE.replace("SWITCH", ""), "both": TEMPLATE.replace("SWITCH", SWITCH)}
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
SHAPES = {"chains": SHAPE, "both": SHAPE | {"max_position_embeddings": 1024}}
LONGEST = {"chains": 384, "both": 512}  # tokens of a row; what is longer is cut
PEAKS = {"chains": 3e-3, "both": 2e-3}  # learning rates
WARM_UP = 100  # steps
WAYS = ["0.5:600,900,1300", "0.3:900,1300,1900", "0.2:1300,1900,2800"]
FALL = 0.25  # of the steps before a stop, what a candidate goes on with a falling learning rate

Draw = Callable[[random.Random], Lesson]


def lessons_of(world: str, chains: float) -> Draw:
    return chain_alone if world == "chains" else both_worlds(chains)


def conversation(lesson: Lesson) -> tuple[str, str]:
    opening = "<think>\n" + ("" if lesson.thinks else "\n</think>\n\n")
    prompt = f"<|im_start|>user\n{lesson.asked}<|im_end|>\n<|im_start|>assistant\n{opening}"
    return prompt, lesson.completion + ("<|im_end|>" if lesson.ended else "")


def make_tokenizer(folder: Path, world: str, draw: Draw, seed: int) -> Any:
    """Byte-level BPE of 512 with single digits and single marks, so that no token straddles two parts of the grammar."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    rng = random.Random(seed)
    texts = []
    for _ in range(4000):
        lesson = draw(rng)
        texts.append(f"user\n{lesson.asked}\nassistant\n{lesson.completion}".replace("</think>", ""))
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
        "model_max_length": SHAPES[world]["max_position_embeddings"],
        "clean_up_tokenization_spaces": False,
        "chat_template": TEMPLATES[world],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    return tokenizer


def write_batches(folder: Path, world: str, chains: float, seed: int, rows: int, queue: Any) -> None:
    """A worker: batches of token rows and their masks, for ever."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the workers are many already
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    pad = tokenizer.token_to_id("<|endoftext|>")
    rng, draw, longest = random.Random(seed), lessons_of(world, chains), LONGEST[world]
    while True:
        prompts, completions = zip(*(conversation(draw(rng)) for _ in range(rows)), strict=True)
        tokens = np.full((rows, longest), pad, dtype=np.int16)
        learn = np.zeros((rows, longest), dtype=bool)
        encoded = tokenizer.encode_batch([*prompts, *completions])
        for row in range(rows):
            prompt_ids, completion_ids = encoded[row].ids, encoded[rows + row].ids
            line = (prompt_ids + completion_ids)[:longest]
            tokens[row, : len(line)] = line
            learn[row, len(prompt_ids) : len(line)] = True
        width = int(np.flatnonzero(learn.any(axis=0)).max()) + 1
        queue.put((tokens[:, :width], learn[:, :width]))


def batches(folder: Path, world: str, chains: float, seed: int, rows: int, workers: int) -> Generator[Any]:
    """The workers' batches in turn, so that the order is the same whoever is faster."""
    context = multiprocessing.get_context("spawn")
    queues: list[Any] = [context.Queue(maxsize=4) for _ in range(workers)]
    arguments = [(folder, world, chains, 1000 * seed + i, rows, queue) for i, queue in enumerate(queues)]
    processes = [context.Process(target=write_batches, args=each, daemon=True) for each in arguments]
    for process in processes:
        process.start()
    try:
        while True:
            for queue in queues:
                yield queue.get()
    finally:
        for process in processes:
            process.terminate()


def new_model(tokenizer: Any, world: str, device: str, seed: int) -> Any:
    import torch
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    end, pad = tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")
    config = Qwen3Config(
        **SHAPES[world],
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        eos_token_id=end,
        pad_token_id=pad,
        bos_token_id=None,
        use_sliding_window=False,
    )
    model = Qwen3ForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=pad)
    return model.to(device)  # type: ignore[arg-type]


class Learner:
    """A model and its optimizer on the way."""

    def __init__(self, model: Any, peak: float, device: str) -> None:
        import torch

        self.model, self.peak, self.device = model, peak, device
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=peak, betas=(0.9, 0.95), weight_decay=0.1, fused=device == "cuda"
        )
        self.steps, self.seen, self.began = 0, 0, time.time()

    def copy(self) -> "Learner":
        other = Learner(copy.deepcopy(self.model), self.peak, self.device)
        other.optimizer.load_state_dict(copy.deepcopy(self.optimizer.state_dict()))
        other.steps, other.seen, other.began = self.steps, self.seen, self.began
        return other

    def learn(self, share_of_peak: float, batch: tuple[Any, Any]) -> Any:
        """One step, and its loss."""
        import torch

        for group in self.optimizer.param_groups:
            group["lr"] = self.peak * share_of_peak
        tokens = torch.from_numpy(batch[0].astype(np.int64)).to(self.device, non_blocking=True)
        learn = torch.from_numpy(batch[1]).to(self.device, non_blocking=True)
        with torch.autocast(self.device, dtype=torch.bfloat16):
            logits = self.model(input_ids=tokens[:, :-1]).logits
        losses = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
        )
        loss = (losses * learn[:, 1:].flatten()).sum() / learn[:, 1:].sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        self.seen += int(batch[1].sum())
        return loss.detach()

    def go(self, shares: list[float], data: Iterator[Any], name: str) -> None:
        """As many steps as there are learning rates, said aloud now and then."""
        losses = []
        for number, share in enumerate(shares, start=1):
            losses.append(self.learn(share, next(data)))
            if self.steps % 200 == 0 or number == len(shares):
                mean = sum(float(loss) for loss in losses) / len(losses)
                seconds = time.time() - self.began
                print(
                    f"{name}: step {self.steps}  loss {mean:.4f}  {self.seen / 1e6:.1f}M tokens  {seconds:.0f} s",
                    flush=True,
                )
                losses = []

    def save(self, folder: Path, **facts: Any) -> None:
        import torch
        import transformers

        self.model.float().cpu().save_pretrained(folder)
        facts |= {
            "steps": self.steps,
            "peak": self.peak,
            "completion_tokens": self.seen,
            "seconds": round(time.time() - self.began),
            "device": torch.cuda.get_device_name() if self.device == "cuda" else "CPU",
            "torch": torch.__version__.split("+")[0],
            "transformers": transformers.__version__,
        }
        (folder / "training.json").write_text(json.dumps(facts, indent=2) + "\n")


def train_chains(learner: Learner, data: Iterator[Any], steps: int) -> None:
    shares = [
        max(0.01, min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps)))
        for step in range(steps)
    ]
    learner.go(shares, data, "chains")


def train_both(
    learner: Learner, data: Iterator[Any], stops: list[int], until: float, done: Callable[[Learner, int], None]
) -> None:
    """One way at the peak, and a candidate at every stop, as long as there is time for the way to the next."""
    for stop in stops:
        if time.time() > until:
            print(f"no time for the stop at {stop} steps", flush=True)
            return
        ahead = range(learner.steps, stop)
        learner.go([min(1.0, (step + 1) / WARM_UP) for step in ahead], data, "both")
        candidate, fall = learner.copy(), round(FALL * stop)
        candidate.go([max(0.01, 1 - (step + 1) / fall) for step in range(fall)], data, f"  candidate at {stop}")
        done(candidate, stop)


def train(arguments: argparse.Namespace) -> None:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    until = time.time() + arguments.seconds
    world, seed, rows, out = arguments.world, arguments.seed, arguments.rows, arguments.out

    def begin(folder: Path, chains: float) -> tuple[Learner, Generator[Any]]:
        tokenizer = make_tokenizer(folder, world, lessons_of(world, chains), seed)
        model = new_model(tokenizer, world, device, seed)
        return Learner(model, arguments.peak or PEAKS[world], device), batches(
            folder, world, chains, seed, rows, arguments.workers
        )

    if world == "chains":
        learner, data = begin(out, 1.0)
        train_chains(learner, data, arguments.steps)
        learner.save(out, rows=rows, seed=seed)
        return
    for chains, stops in map(way, arguments.ways):
        folder = out / f"chains-{100 * chains:.0f}"
        learner, data = begin(folder, chains)

        def done(candidate: Learner, stop: int, folder: Path = folder, chains: float = chains) -> None:
            place = folder / f"at-{stop}"
            place.mkdir(exist_ok=True)
            for name in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(folder / name, place / name)
            candidate.save(place, rows=rows, workers=arguments.workers, seed=seed, chains=chains, stop=stop)

        train_both(learner, data, stops, until, done)
        data.close()


def way(text: str) -> tuple[float, list[int]]:
    """The share of chains and the stops of "0.5:600,900"."""
    chains, stops = text.split(":")
    return float(chains), [int(stop) for stop in stops.split(",")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--world", choices=list(SHAPES), default="chains")
    parser.add_argument("--steps", type=int, default=620, help="of the model of chains")
    parser.add_argument("--ways", nargs="+", default=WAYS, help="of both worlds: share of chains, colon, stops")
    parser.add_argument("--seconds", type=float, default=280, help="after which no further candidate is begun")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--peak", type=float, help="learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=12, help="processes that write lessons; others write other ones")
    train(parser.parse_args())
