"""The tables of docs/contexts.md are those that were measured, and the lab's closed forms are its grammar's."""

import json
import random
import sys

import numpy as np
import pytest

from conftest import ROOT

sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "resources")]

from contexts_information import weighed  # noqa: E402
from contexts_ladder import PAGE, filled, nats_of_belief, tables_of  # noqa: E402

from lab.search import BELIEF, NOTHING, generate_search, told, write_search  # noqa: E402


def test_the_page_shows_what_was_measured() -> None:
    stored = [json.loads((ROOT / f"benchmarks/{name}.json").read_text()) for name in ("contexts_ladder", "contexts_information")]  # fmt: skip
    page = PAGE.read_text()
    assert filled(page, tables_of(*stored)) == page


@pytest.mark.parametrize("how", ["thought", "written", "answer"])
def test_what_a_context_tells_without_slips_is_what_the_grammar_weighs(how: str) -> None:
    rng, found, k = random.Random(how), [], 4
    for _ in range(600):
        problem = generate_search(rng, k)
        knows = told(problem, how)
        text, _ = write_search(problem, rng, knows)
        mine, bare = weighed(problem, text, knows), weighed(problem, text, NOTHING)
        if mine and bare:
            found.append(mine.nats - bare.nats)
    error = np.std(found) / len(found) ** 0.5
    assert np.mean(found) == pytest.approx(nats_of_belief(k, *BELIEF[how]), abs=4 * error + 0.02)
