"""Times the search for loops in long completions, and counts what it finds at the end of given texts.

    python benchmarks/loop_detection.py                        milliseconds a completion, by kind of tail and longest period
    python benchmarks/loop_detection.py --texts traces.jsonl   found in real texts, and false alarms where they are cut

A line of traces.jsonl is {"source": …, "text": …}. Their tokens are not known, so words, digits and signs stand for them.
The texts that end in no loop are cut at every hundredth character: what is found there would be a false alarm. Prints
JSON.
"""

import argparse
import json
import re
import sys
import time
from collections import Counter as Tally
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from selfdistill.grading.loops import find_counter, find_loop
from selfdistill.study.grading import Loops

TOKENS = 32_768
LIMITS = {
    "96, 4, 48": Loops(max_period=96, min_repeats=4, min_tokens=48),
    "512, 4, 256": Loops(max_period=512, min_repeats=4, min_tokens=256),
    "2048, 4, 48": Loops(max_period=2048, min_repeats=4, min_tokens=48),
    "2048, 4, 256": Loops(max_period=2048, min_repeats=4, min_tokens=256),
}
COUNTED = ("2048, 4, 48", "2048, 4, 256")
TOKEN = re.compile(r"\s?[^\W\d]+|\s?\d|\s?[^\w\s]|\s")


def tails(rng: np.random.Generator) -> dict[str, tuple[np.ndarray, str]]:
    """Tokens and text of completions of TOKENS tokens, by what they end in."""
    words = (rng.zipf(1.3, size=16 * TOKENS) - 1).astype(np.int64)
    words = words[words < 150_000][:TOKENS].astype(np.int32)
    unit = np.arange(2000, dtype=np.int32)
    return {
        "no loop": (words, spelled(words)),
        "no loop, the last token is the most frequent": (np.append(words[:-1], 0).astype(np.int32), spelled(words)),
        "a period of 2,000 tokens": (np.concatenate([words, np.tile(unit, 17)])[-TOKENS:], spelled(np.tile(unit, 17))),
        "one token over and over, left once": (np.append(np.zeros(TOKENS), [1, *[0] * 30]).astype(np.int32), "a" * 4 * TOKENS),
        "a table of numbers": (words, " ".join(map(str, rng.integers(0, 1000, TOKENS)))),
        "a counting loop": (words, "".join(f"x_{{{n + 1}}} = x_{{{n}}} + 3, " for n in range(TOKENS // 5))),
    }  # fmt: skip


def spelled(tokens: np.ndarray) -> str:
    return " ".join(f"{(int(token) * 2654435761) % 2**32:x}"[: 2 + int(token) % 4] for token in tokens)


def milliseconds(work: Callable[[], Any], times: int = 20) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return round(1e3 * sorted(taken)[times // 2], 3)


def speed() -> dict[str, Any]:
    return {
        name: {f"loop {limits}": milliseconds(lambda: find_loop(tokens, settings)) for limits, settings in LIMITS.items()}  # noqa: B023
        | {f"counting loop {limits}": milliseconds(lambda: find_counter(text, LIMITS[limits])) for limits in COUNTED}  # noqa: B023
        for name, (tokens, text) in tails(np.random.default_rng(1)).items()
    }  # fmt: skip


def tokenised(text: str, known: dict[str, int]) -> np.ndarray:
    return np.array([known.setdefault(token, len(known)) for token in TOKEN.findall(text)], dtype=np.int32)


def found_in(texts: list[dict[str, str]]) -> dict[str, Any]:
    known: dict[str, int] = {}
    at_end: dict[str, Tally[str]] = {}
    plain = []
    for row in texts:
        tokens, kinds = tokenised(row["text"], known), set()
        kinds |= {f"loop {limits}" for limits, settings in LIMITS.items() if find_loop(tokens, settings)}
        if not kinds:
            kinds |= {f"counting loop {limits}" for limits in COUNTED if find_counter(row["text"], LIMITS[limits])}
        at_end.setdefault(row["source"], Tally()).update(["texts", *kinds])
        if not kinds:
            plain.append(row["text"])
    alarms: Tally[str] = Tally()
    for text in plain:
        cuts = [text[:end] for end in range(100, len(text), 100)]
        alarms["cuts"] += len(cuts)
        for limits in COUNTED:
            loops = sum(find_loop(tokenised(cut, known), LIMITS[limits]) is not None for cut in cuts)
            counting = sum(find_counter(cut, LIMITS[limits]) is not None for cut in cuts)
            alarms.update(
                {
                    f"loop {limits}, cuts": loops,
                    f"loop {limits}, texts": int(loops > 0),
                    f"counting loop {limits}, cuts": counting,
                    f"counting loop {limits}, texts": int(counting > 0),
                }
            )
    return {"at the end": at_end, "texts that end in none": len(plain), "alarms where they are cut": alarms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path)
    asked = parser.parse_args()
    result = found_in([json.loads(line) for line in asked.texts.open()]) if asked.texts else speed()
    print(json.dumps(result, indent=1, sort_keys=bool(asked.texts)))


if __name__ == "__main__":
    main()
