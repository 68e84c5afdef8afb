"""The paper's toy: a small automaton that no temperature decodes well before self-distillation, and one decodes better after.

    python -m selfdistill.mechanism.automaton        (from workflow_scripts/; a second)

Sixteen tokens; a root with two good first tokens and a likelier bad one, a fork, and three locks, all of which must be passed.
Locks want a low temperature (their likeliest token is right), root and fork a high one (it is not). One temperature serves
both badly. Training on samples at T 0.9 with top-p 0.85 cuts the locks' tails away for good, and a high temperature then
costs little at them. (Appendix C.4 of arXiv 2604.01193; the tails' shapes, which it does not print, are such that its
entropies come out: 2.81 bits at the fork, 1.61 at a lock.)
"""

from typing import NamedTuple

import numpy as np

from selfdistill.mechanism.theory import Array, Laws, Rule, decoded

TRAINING = Rule(0.9, top_p=0.85)
EVALUATION_TOP_P = 0.8
TOKENS = 16
LOCKS = 3
_HEADS = {
    "root": [0.200, 0.190, 0.329, 0.126],
    "fork": [0.148, 0.280, 0.140, 0.144],
    "lock": [0.750, 0.055, 0.050, 0.037],
}
_RATIOS = {"root": 0.5, "fork": 0.5, "lock": 0.75}  # of a geometric tail
_RIGHT = {"root": [0, 1], "fork": [0], "lock": [0]}
TEMPERATURES = np.geomspace(0.2, 8, 1501)

Policies = dict[str, Array]


class Best(NamedTuple):
    temperature: float
    success: float


def teacher() -> Policies:
    """The law at each state, by token."""
    return {state: _law(head, _RATIOS[state]) for state, head in _HEADS.items()}


def _law(head: list[float], ratio: float) -> Array:
    tail = ratio ** np.arange(TOKENS - len(head))
    return np.concatenate([head, (1 - sum(head)) * tail / tail.sum()])


def student(training: Rule = TRAINING) -> Policies:
    """A perfect fit to samples of the teacher."""
    return {state: decode(law, training) for state, law in teacher().items()}


def decode(law: Array, rule: Rule) -> Array:
    """A law in the order of tokens, as a decode samples from it."""
    there = np.flatnonzero(law)
    order = there[np.argsort(-law[there], kind="stable")]
    found = np.zeros_like(law)
    found[order] = decoded(Laws.of(np.log(law[order])[None]), rule).q[0]
    return found


def success(policies: Policies, rule: Rule) -> float:
    """The chance to pass root, fork and all locks."""
    right = {state: float(decode(law, rule)[_RIGHT[state]].sum()) for state, law in policies.items()}
    return float(right["root"] * right["fork"] * right["lock"] ** LOCKS)


def best(policies: Policies, top_p: float = EVALUATION_TOP_P) -> Best:
    """The best temperature, and what it gives."""
    reached = [success(policies, Rule(float(t), top_p=top_p)) for t in TEMPERATURES]
    at = int(np.argmax(reached))
    return Best(float(TEMPERATURES[at]), reached[at])


def main() -> None:
    print("top-p  teacher, best        student, best        gain")
    for top_p in (0.65, 0.70, 0.75, 0.80, 0.85, 0.90):
        before, after = best(teacher(), top_p), best(student(), top_p)
        sides = "   ".join(f"{100 * side.success:5.2f} % at T {side.temperature:.3f}" for side in (before, after))
        print(f"{top_p:.2f}   {sides}   {100 * (after.success - before.success):+.1f} points")
    print("\nThe student's laws, likeliest first:")
    for state, law in student().items():
        print(f"{state}: " + " ".join(f"{100 * p:.1f}" for p in sorted(law[law > 0], reverse=True)))


if __name__ == "__main__":
    main()
