"""What the files of the exams AIME and AMC have in common, whoever made them: every answer is a whole number."""

import re

from selfdistill.problems.datasets.dataset import Dropped, Kept
from selfdistill.problems.datasets.gold import unwrapped

WHOLE_NUMBER = re.compile(r"(-?\d+)(?:\.0)?(?:\s*\^\s*(?:\\circ|\{\s*\\circ\s*\})|°)?")
BAND = 5  # problems of an exam rise in difficulty: 1 to 5 are level 1, 6 to 10 level 2, 11 to 15 level 3


def exam_problem(name: str, problem: str, answer: str, number: int, levels: int = 3) -> Kept | Dropped:
    match = WHOLE_NUMBER.fullmatch(unwrapped(answer))
    if match is None:
        return Dropped(name, "answer is no whole number")
    return Kept(name, problem, str(int(match[1])), level=min(1 + (number - 1) // BAND, levels))
