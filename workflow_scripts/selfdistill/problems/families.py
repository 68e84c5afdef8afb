"""Families: problems so alike that their results are not independent. They are split and resampled as one."""

from collections.abc import Iterable, Sequence

from selfdistill.problems.similarity import alike, word_grams
from selfdistill.problems.sources import RawProblem


def find_families(problems: Sequence[RawProblem], jaccard: float | None = None) -> dict[str, str]:
    """problem_id → family: problems that share a given family, in whatever source, or that are near-duplicates.

    The name is the smallest of the given family names in it, else the smallest problem_id, so that it does not
    depend on the order of rows. `problems` may repeat a problem_id with different given families.
    """
    texts = {problem.problem_id: problem.problem for problem in problems}
    links = [(f"problem {problem.problem_id}", f"family {problem.family}") for problem in problems if problem.family]
    if jaccard is not None:
        ids = list(texts)
        pairs = [word_grams(text, 2) for text in texts.values()]
        links += [
            (f"problem {ids[pair.one]}", f"problem {ids[pair.other]}")
            for pair in alike(pairs, pairs, jaccard)
            if pair.one < pair.other
        ]
    root = _merged(links)
    named: dict[str, str] = {}
    for node, top in sorted(root.items()):  # "family …" sorts before "problem …"
        named.setdefault(top, node.partition(" ")[2])
    return {key: named[root[f"problem {key}"]] if f"problem {key}" in root else key for key in texts}


def _merged(links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Union-find: each node's representative."""
    parent: dict[str, str] = {}

    def top(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in links:
        parent[top(one)] = top(other)
    return {node: top(node) for node in list(parent)}
