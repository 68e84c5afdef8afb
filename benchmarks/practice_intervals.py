"""How often the intervals of a practice hold the truth: simulated trainings of 16 questions × 8 answers, as in the practice lab.

python benchmarks/practice_intervals.py                 (2,000 worlds; prints the table of docs/practice.md)
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(threads, "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow_scripts"), str(ROOT / "tests")]

from practised import Truth, families, rollouts  # noqa: E402
from selfdistill.analysis.differences import Row  # noqa: E402
from selfdistill.analysis.practice import level  # noqa: E402
from selfdistill.analysis.practice_changes import Ends, change  # noqa: E402
from selfdistill.analysis.practice_questions import MEASURES, OF_GROUPS, question_sums, without_prompts  # noqa: E402
from selfdistill.tables import words  # noqa: E402

ALL = {measure.name: measure for measure in (*MEASURES, *OF_GROUPS)}
CUT = Truth(generations=1, cut=(0.1, 0.1), reward=(0.7, 0.7), coverage=400)
WHOLE = Truth(generations=1, reward=(0.6, 0.6), coverage=400)
VARYING = Truth(generations=1, reward=(0.5, 0.5), training_sd=0.1, coverage=400)
OF_A_GENERATION = {
    words.REWARD: (CUT, 0.63),
    words.MEAN_TOKENS: (CUT, 120.0),
    words.DOUBT_RATE: (CUT, 40.0),
    words.CUT_RATE: (CUT, 0.1),
    words.FLAT_RATE: (WHOLE, sum(WHOLE.flat(1))),
}
OF_A_CHANGE = {words.REWARD: -0.3, words.DOUBTS: -4.2, words.DOUBT_RATE: -30.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=2000)
    worlds = parser.parse_args().worlds
    print(f"| interval of | holds the truth in, of {worlds:,} worlds |\n|---|---|")

    def said(name: str, truth: float, row: Callable[[int], Row]) -> None:
        rows = map(row, range(worlds))
        print(f"| {name} | {sum(each['low'] <= truth <= each['high'] for each in rows) / worlds:.1%} |", flush=True)

    def asked(truth: Truth, world: int, seed: int = 0):
        return question_sums(without_prompts(rollouts(truth, seed, world)), truth.rollouts, families(truth))

    for name, (made, truth) in OF_A_GENERATION.items():
        said(name, truth, lambda world, m=made, n=name: level([asked(m, world)], ALL[n], words.CHECKPOINTS))
    for coverage, which in ((16, "the same questions"), (400, "other questions")):
        for name, truth in OF_A_CHANGE.items():
            made = Truth(generations=2, reward=(0.7, 0.4), coverage=coverage)
            told = f"change of {name}, {which}"
            said(told, truth, lambda world, m=made, n=name: change([Ends.of(asked(m, world))], ALL[n], ALL[n]))
    for claim in (words.METHOD, words.CHECKPOINTS):
        how = "three trainings that differ" if claim == words.METHOD else "the same trainings"
        named = f"{words.REWARD}, {how}, of {claim}"
        said(
            named,
            0.5,
            lambda world, c=claim: level([asked(VARYING, world, seed) for seed in range(3)], ALL[words.REWARD], c),
        )


if __name__ == "__main__":
    main()
