"""A solution and its answer, put into the wording in which a model is shown them."""

import re

HOLE = re.compile(r"\{(solution|answer)\}")


def worded(wording: str, solution: str, answer: str) -> str:
    """Both put in at once: braces within a solution are the solution's own."""
    texts = {"solution": solution, "answer": answer}
    return HOLE.sub(lambda hole: texts[hole[1]], wording)
