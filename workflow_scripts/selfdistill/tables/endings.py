"""The words that a graded answer carries: how the completion ended, and whether it is right. What "finished" means stands here.

They stand apart from the words of the analysis, so that a new table of the analysis grades nothing anew.
"""

from typing import Literal

FinishClass = Literal["answered", "no_answer", "empty", "cut", "loop"]

ANSWERED: FinishClass = "answered"
NO_ANSWER: FinishClass = "no_answer"  # ended by itself, without an answer in the asked format
EMPTY: FinishClass = "empty"  # ended by itself, without a word
CUT: FinishClass = "cut"  # by the token cap, or exactly at it
LOOP: FinishClass = "loop"  # cut, and its tail repeats itself; with grading.loops.counters, also one that counts

FINISHED = (ANSWERED, NO_ANSWER, EMPTY)  # ended by themselves with room to spare
UNFINISHED = (CUT, LOOP)
FINISHED_WITH_TEXT = (ANSWERED, NO_ANSWER)  # what `keep: finished` trains on: an empty completion teaches nothing

Verdict = Literal["correct", "wrong", "unanswered"]

CORRECT: Verdict = "correct"
WRONG: Verdict = "wrong"
UNANSWERED: Verdict = "unanswered"  # no answer that counts: unfinished, or none was found

# How an answer got its verdict.
Reason = Literal["equal", "equivalent", "different", "no object", "unparsed", "timeout", "grader failed"]

UNPARSED: Reason = "unparsed"  # nobody can read the answer, or the gold
NO_OBJECT: Reason = "no object"  # prose, several answers in one, or an equality that does not hold

# What one reader of an answer says of it. Two readers see it, and the strict one counts.
Reading = Literal["equal", "different", "unread", "timeout", "grader failed"]

# Reasons that say something about the grader and not about the answer.
TIMEOUT: Reason = "timeout"
GRADER_FAILED: Reason = "grader failed"
UNDECIDED = (TIMEOUT, GRADER_FAILED)

# Where an answer stands that a completion without one in the asked format gives all the same. It never counts.
OtherFormat = Literal["box", "box in the thought", "answer line", "the answer is", "####", "last number"]
