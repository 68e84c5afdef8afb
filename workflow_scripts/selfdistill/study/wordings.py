r"""Wordings of contexts, word for word as others asked, so that a study names one instead of copying it.

`{prompt}` is the study's own prompt with the problem in it, `{problem}` the problem's text alone, `{solution}` what the
model is told. Sources: "P" is github.com/beanie00/self-distillation-analysis at 5c51051 (arXiv 2603.24472), "O" is
github.com/siyan-zhao/OPSD at 590ec26 (arXiv 2601.18734).
"""

import re
from collections.abc import Mapping

HOLES = ("prompt", "problem", "solution")
HOLE = re.compile(r"\{(" + "|".join(HOLES) + r")\}")
BARE = "{prompt}"

WORDINGS = {
    # P, analyzing_reasoning_behavior/eval_dapo_dataset.py: the problem's own messages. Context (1) of Table 1.
    "unguided": BARE,
    # P, analyzing_reasoning_behavior/eval_with_hint.py: build_augmented_prompt. Contexts (2) to (4) of Table 1 differ in the
    # solution alone: a correct answer, the same without its thought, an answer that was given under context (2).
    "guided": "{prompt}\n\nCorrect solution: {solution}\n\nCorrectly solve the original question.",
    # P, verl/trainer/config/actor/actor.yaml: solution_template within reprompt_template, what the teacher of SDPO is asked.
    "sdpo": "{prompt}\nCorrect solution:\n\n{solution}\n\nCorrectly solve the original question.",
    # O, data_collator.py: teacher_user_message with its transition_prompt, what the teacher of OPSD is asked.
    "opsd": (
        "{problem}\n\nHere is a reference solution to this problem:\n{solution}\n\n\nAfter understanding the reference solution "
        "and the rationale behind each step, now articulate your own step-by-step reasoning that derives the same final answer "
        "to the problem below:\n\nPlease reason step by step, and put your final answer within \\boxed{}."
    ),
    # Ours. P names a teacher that is asked to stay uncertain and publishes no text of it.
    "uncertain": (
        "{prompt}\n\nCorrect solution: {solution}\n\nCorrectly solve the original question. Reason as if the solution were not "
        "known to you: say where you are not certain, consider other ways, and go back where a step does not hold."
    ),
}


def holes_in(wording: str) -> set[str]:
    return set(HOLE.findall(wording))


def filled(wording: str, texts: Mapping[str, str]) -> str:
    """All holes filled at once: braces within a problem or a solution are its own."""
    return HOLE.sub(lambda hole: texts[hole[1]], wording)
