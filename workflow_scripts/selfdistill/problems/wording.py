r"""The wording in which an arm is shown the dataset's solutions: the study's or the usual one, and whether it can be graded."""

from selfdistill.foundation.errors import UserError
from selfdistill.grading.answers import CLOSE_THINK, find_answer
from selfdistill.problems.worded import worded
from selfdistill.study.models import reference_arms
from selfdistill.study.study import Study

# Where the answer stands that is graded. The inner braces are replaced, the outer ones are LaTeX's.
WORDINGS = {"boxed": "{solution}\n\nThe answer is \\boxed{{answer}}.", "line": "{solution}\n\nAnswer: {answer}"}


def wording_of(study: Study) -> str:
    return study.problems.reference or WORDINGS[study.grading.answer]


def answer_sentence(study: Study) -> str:
    """With {answer}: how an answer is given in the format that is graded."""
    return WORDINGS[study.grading.answer].rpartition("\n")[2]


def check_wording(study: Study) -> None:
    """A model must not be taught an answer that the grader would not find."""
    if not reference_arms(study):
        return
    key, wording, thinks = "problems.reference", wording_of(study), study.model.thinks
    if "{solution}" not in wording:
        raise UserError(f"{key}: must contain {{solution}}, where the dataset's solution goes.")
    if thinks and CLOSE_THINK not in wording:
        raise UserError(
            f"{key}: has no {CLOSE_THINK}, and of this model only what follows it is graded; put it between the solution and "
            f'the answer, as "{{solution}}\\n{CLOSE_THINK}\\n\\nThe answer is \\\\boxed{{{{answer}}}}.", or say model.thinks: false.'
        )
    found = find_answer(worded(wording, "One step.", "5"), thinks, study.grading.answer)
    if "{answer}" in wording and found.extracted != "5":
        raise UserError(
            f"{key}: the grader does not find the answer in {worded(wording, '…', '5')!r}; put {{answer}} where the study's "
            "prompt asks for it."
        )
