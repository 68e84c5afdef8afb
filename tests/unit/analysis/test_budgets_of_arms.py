"""Arms are compared after equally many steps, or the study says that one has a budget of its own."""

from selfdistill.analysis.invariants import steps_held, uneven_steps


def manifest(arm: str, steps: int, seed: int = 0) -> dict[str, object]:
    return {"arm": arm, "training_seed": seed, "steps": steps}


RUNS = [manifest("ssd", 50), manifest("filter-only", 50), manifest("long", 100), manifest("long", 100, seed=1000)]


def test_another_number_of_steps_breaks_the_comparison() -> None:
    assert uneven_steps(RUNS[:2]) is None
    assert "long (seed 0)" in (uneven_steps(RUNS) or "")


def test_an_unequal_budget_that_the_study_allows_is_stated_with_its_steps() -> None:
    assert uneven_steps(RUNS, ["long"]) is None
    assert steps_held(RUNS, ["long"]).endswith("but for long (100 steps), as the study says.")
    assert steps_held(RUNS[:2], []) == "Differences between arms are not differences in steps."


def test_the_seeds_of_an_arm_with_its_own_budget_and_the_other_arms_must_still_agree() -> None:
    assert uneven_steps([*RUNS, manifest("long", 90, seed=2000)], ["long"])
    assert uneven_steps([*RUNS, manifest("keep-cut", 40)], ["long"])


def test_arms_that_practise_agree_with_each_other_and_are_not_held_against_others() -> None:
    practised = [manifest("grpo", 20), manifest("sdpo", 20)]
    assert uneven_steps([*RUNS[:2], *practised], practising=["grpo", "sdpo"]) is None
    assert uneven_steps([*RUNS[:2], *practised])
    assert "sdpo (seed 1000)" in (
        uneven_steps([*practised, manifest("sdpo", 18, 1000)], practising=["grpo", "sdpo"]) or ""
    )
    assert steps_held([*RUNS[:2], *practised], [], ["grpo", "sdpo"]) == (
        "Differences between arms are not differences in steps. Arms that practise and arms that learn from a dataset are not "
        "compared in steps."
    )
    assert steps_held(practised, [], ["grpo", "sdpo"]) == "Differences between arms are not differences in steps."
