"""From a plan and what was sampled by it to graded rows: how each completion ended, what it answers, and if that is right."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.grading.answers import find_answer
from selfdistill.grading.classes import finish_class, finished
from selfdistill.grading.loops import find_counter, find_loop
from selfdistill.grading.other_formats import other_answer
from selfdistill.grading.verify import CORRECT as CREDITED
from selfdistill.grading.verify import GRADER, judge_answers, verify_answers
from selfdistill.study.grading import Grading
from selfdistill.tables.endings import CORRECT, NO_ANSWER, UNANSWERED, WRONG
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.schema import conform

ENDINGS = {
    name: GRADED[name]
    for name in (
        "finish_class",
        "think_closed",
        "boxed",
        "extracted",
        "loop_start",
        "loop_period",
        "loop_repeats",
        "counter_start",
        "counter_period",
        "counter_repeats",
        "other_format",
    )
}
FOUND = {"request_id": pl.String, **ENDINGS, "other_answer": pl.String}  # what is judged, and then dropped
NO_LOOP = (None, None, None)
JUDGED = ("verdict", "reason", "strict", "lenient", "disputed", "grader", "other_correct")


def grade(
    plan: pl.DataFrame,
    completions: Callable[[], Iterable[pl.DataFrame]],
    problems: pl.DataFrame,
    eos_ids: Collection[int],
    settings: Grading,
    workers: int = 1,
    think: bool = True,
) -> Iterator[pl.DataFrame]:
    """One row per request of the plan, in the order of the completions, piece by piece. `problems` holds the training
    and the evaluation problems. The completions are gone through twice, for they may be larger than memory: once for
    how each ends and what it answers, and once to be written with their verdicts.
    """
    _refuse_repeated("plan", plan, "request_id")
    _refuse_repeated("problems", problems, "problem_id")
    golds = problems.rename({"answer": "gold"})
    _check_problems(plan, golds)
    caps = dict(plan.select("request_id", "max_tokens").iter_rows())
    endings = pl.concat(
        [
            pl.DataFrame(schema=FOUND),
            *(_endings(piece, caps, frozenset(eos_ids), settings, think) for piece in completions()),
        ]
    )
    _check_completeness(plan, endings)
    # Where each completion's request and problem stand: to be looked up once, and not by every piece.
    requests = _places(endings["request_id"], plan["request_id"])
    problem_of = _places(plan["problem_id"][requests], golds["problem_id"])
    asked = endings.with_columns(golds["gold"][problem_of])
    outcomes = endings.hstack(_verdicts(asked, settings.seconds_per_answer, workers))
    request, problem = plan.drop("request_id"), golds.drop("problem_id")
    done = 0
    for piece in completions():
        here = slice(done, done + piece.height)
        rows = pl.concat(
            [piece, request[requests[here]], problem[problem_of[here]], outcomes[here].drop("request_id")],
            how="horizontal",
        )
        yield conform(rows.select(list(GRADED)), GRADED, "graded completions")
        done = here.stop


def _places(wanted: pl.Series, among: pl.Series) -> pl.Series:
    """The row of each of the names among others, where each stands once."""
    rows = pl.DataFrame({"name": among}).with_row_index("row")
    return pl.DataFrame({"name": wanted}).join(rows, on="name", how="left", maintain_order="left")["row"]


def _refuse_repeated(name: str, frame: pl.DataFrame, key: str) -> None:
    repeated = frame.filter(pl.col(key).is_duplicated())[key]
    if len(repeated):
        raise UserError(f"{name}: {key} {repeated[0]} stands there more than once; delete the table and run again.")


def _check_problems(plan: pl.DataFrame, problems: pl.DataFrame) -> None:
    unknown = plan.join(problems, on="problem_id", how="anti")["problem_id"]
    if len(unknown):
        raise UserError(
            f"plan: asks problem {unknown[0]}, which is not among the problems; delete the plan and run again."
        )


def _check_completeness(plan: pl.DataFrame, completions: pl.DataFrame) -> None:
    _refuse_repeated("completions", completions, "request_id")
    missing = plan.join(completions, on="request_id", how="anti")["request_id"]
    extra = completions.join(plan, on="request_id", how="anti")["request_id"]
    if len(missing):
        raise UserError(
            f"completions: {len(missing)} of the plan's {len(plan)} requests have none, the first is {missing[0]}; "
            "delete the model's shards and run again, what the journal holds is not sampled anew."
        )
    if len(extra):
        raise UserError(
            f"completions: {len(extra)} of them are of no request in the plan, the first is {extra[0]}; "
            "delete the model's shards and run again, they were sampled for another plan."
        )


def _endings(
    piece: pl.DataFrame, caps: Mapping[str, int], eos_ids: frozenset[int], settings: Grading, think: bool
) -> pl.DataFrame:
    endings: list[tuple[Any, ...]] = []
    columns = piece.select("request_id", "text", "finish_reason").iter_rows()
    for (request, text, finish_reason), tokens in zip(columns, _token_arrays(piece["token_ids"]), strict=True):
        last = int(tokens[-1]) if len(tokens) else None
        ended = finished(finish_reason, len(tokens), caps.get(request, 0))
        # Every completion is looked at: one that loops and then ends by itself is worth knowing too.
        loop = find_loop(tokens[:-1] if last in eos_ids else tokens, settings.loops)
        counter = find_counter(text, settings.loops) if loop is None else None
        looping = loop is not None or finish_reason == "loop" or (settings.loops.counters and counter is not None)
        answer = find_answer(text, think, settings.answer)
        extracted = answer.extracted if ended else None
        kind = finish_class(text, ended, looping, extracted)
        tails = (*(loop or NO_LOOP), *(counter or NO_LOOP))
        other = other_answer(text, settings.answer, think) if kind == NO_ANSWER else None
        found = (answer.think_closed, answer.in_format, extracted, *tails, *(other or (None, None)))
        endings.append((request, kind, *found))
    return pl.DataFrame(endings, schema=FOUND, orient="row")


def _token_arrays(column: pl.Series) -> Iterator[npt.NDArray[np.int32]]:
    """The token lists as views of one array, without a Python object per token."""
    lengths = column.list.len().to_numpy()
    flat = column.filter(column.list.len() > 0).explode().to_numpy()
    ends = np.cumsum(lengths)
    for end, length in zip(ends, lengths, strict=True):
        yield flat[end - length : end]


def _verdicts(rows: pl.DataFrame, seconds: float, workers: int) -> pl.DataFrame:
    """The strict reader's verdict counts; what both readers said stands beside it. An answer in another format is judged
    for the record alone."""
    answered, other = (rows[name].is_not_null() for name in ("extracted", "other_answer"))
    asked = rows.filter(answered).select("gold", "extracted").rows()
    judged = iter(judge_answers(asked, seconds, workers))
    others = iter(verify_answers(rows.filter(other).select("gold", "other_answer").rows(), seconds, workers))
    graded: list[tuple[Any, ...]] = []
    for has_answer, has_other, kind in zip(answered, other, rows["finish_class"], strict=True):
        other_correct = next(others) in CREDITED if has_other else None
        if not has_answer:
            graded.append((UNANSWERED, kind, None, None, False, GRADER, other_correct))
            continue
        judgement = next(judged)
        verdict = CORRECT if judgement.reason in CREDITED else WRONG
        said = (judgement.reason, judgement.strict, judgement.lenient, judgement.disputed)
        graded.append((verdict, *said, GRADER, other_correct))
    return pl.DataFrame(graded, schema={name: GRADED[name] for name in JUDGED}, orient="row")
