r"""Claims about what is graded as an answer, and about which answers are right.

The tables hold what is known of math-verify 0.9.0 (issues, and what was run): where it credits too much, this grader must not.
"""

import itertools
import os
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.grading import judge as judging
from selfdistill.grading import processes
from selfdistill.grading.answers import find_answer, last_box, plain_form
from selfdistill.grading.classes import finish_class, finished
from selfdistill.grading.grade import grade
from selfdistill.grading.rationals import read_rational
from selfdistill.grading.verify import Judgement, judge_answers, quick_reason, unreadable, verify_answers
from selfdistill.study.grading import Grading, Loops
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import COMPLETIONS, GRADED, PLAN
from selfdistill.tables.schema import conform

EOS = 2
CAP = 100
HANG = r"9^{9^{9^9}}\sum_{k=1}^{2}k"


# What is an answer

ANSWERS = [
    (r"</think> \boxed{7}", "7"),
    (r"thought \boxed{3} </think> so \boxed{7}.", "7"),
    (r"</think> \boxed{1} and \boxed{2}", "2"),
    (r"</think> \boxed{\frac{a_{1}}{\sqrt{2}}} ok", r"\frac{a_{1}}{\sqrt{2}}"),
    (r"</think> \boxed{\{1,2\}}", r"\{1,2\}"),
    (r"</think> \boxed {5}", "5"),
    (r"</think> \boxed{\boxed{5}}", "5"),
    (r"</think> $\boxed{\text{004}}$", r"\text{004}"),
    (r"</think> \boxed{7} I put it in \boxed as asked.", "7"),
    (r"one </think> two </think> \boxed{7}", "7"),
    (r"\boxed{7}", None),  # the thought never ended
    (r"thought \boxed{7} </think> The answer is 7.", None),
    (r"</think> \boxed{277", None),
    (r"</think> \boxed{\frac{1}{2}", None),
    (r"</think> \boxed{\frac{1}{2\}}", None),  # the last brace is escaped
    (r"</think> \boxed{}", None),
    (r"</think> \boxed{  }", None),
    (r"</think> \boxed{7}. Wait, actually \boxed{", None),  # marin#9163: no credit for the earlier box
    (r"</think> \boxed{7} or rather \boxed{}", None),
    (r"</think> <think> hm, \boxed{7}", None),  # a second thought never ended
    ("</think> the answer is 7", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "answer"), ANSWERS)
def test_the_answer_is_the_last_closed_box_after_the_thought(text: str, answer: str | None) -> None:
    assert find_answer(text).extracted == answer


def test_what_is_known_of_an_answer_that_is_none() -> None:
    assert find_answer(r"\boxed{7}") == (False, False, None)
    assert find_answer(r"</think> \boxed{7") == (True, False, None)
    assert find_answer(r"</think> \boxed{}") == (True, True, None)


def test_a_model_without_think_tags_answers_anywhere() -> None:
    assert find_answer(r"So \boxed{7}", think=False).extracted == "7"
    assert find_answer(r"So 7", think=False).extracted is None


def test_brace_matching_is_linear_in_the_text() -> None:
    def seconds(boxes: int) -> float:
        started = time.process_time()
        assert last_box(r"\boxed{" * boxes) is None
        assert last_box(r"\boxed{1}" * boxes) == "1"
        return time.process_time() - started

    assert min(seconds(40_000) for _ in range(3)) < 8 * min(seconds(10_000) for _ in range(3))  # not 16 times


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("113.", "113"),
        (" $5$ ", "5"),
        (r"\$5", "5"),
        (r"1\,000", "1000"),
        ("1{,}000", "1,000"),
        (r"\dfrac{9}{7}", r"\frac{9}{7}"),
        (r"\left( 1,\ 2 \right)", "( 1,2 )"),
        (r"1\\ 2", r"1\\ 2"),  # a new row of a matrix is no space
        (r"\leftarrow", r"\leftarrow"),
        ("−5", "-5"),
    ],
)
def test_the_plain_form_drops_looks_only(text: str, plain: str) -> None:
    assert plain_form(text) == plain


# Which answers are right: (gold, answer, reason). Rows marked * are wrong in math-verify alone.

VERDICTS = [
    ("5", "5", "equal"),
    ("5", "5.0", "equivalent"),
    ("5", "x=5", "equivalent"),
    ("1/3", "0.333333", "equivalent"),
    ("1/3", "0.333", "different"),
    ("1000", "1,000", "equivalent"),
    ("50", r"50\%", "equivalent"),
    ("0.5", r"50\%", "equivalent"),
    ("12", r"12\text{ cm}", "equivalent"),
    ("12", r"12\text{ cm}^2", "equivalent"),
    (r"\{1,2\}", "1,2", "equivalent"),
    (r"\{1,2\}", "2", "different"),
    (r"\sqrt{8}", r"2\sqrt{2}", "equivalent"),
    ("3/2", r"1\frac{1}{2}", "equivalent"),
    ("25", "025", "equivalent"),
    ("4", "004", "equivalent"),
    ("13", r"\text{13}", "equivalent"),
    ("113", "m+n=113", "equivalent"),
    (r"\pi", "3.14159", "different"),
    ("[0,1)", r"0\le x<1", "equivalent"),  # a documented asymmetry of math-verify
    ("1.5", "1,5", "different"),
    ("113", "113.", "equal"),  # * in a box of its own
    (r"\dfrac{9}{7}", r"\frac{9}{7}", "equal"),  # * unwrapped, it parses to nothing
    (r"\dfrac{9}{7}", "9/7", "equivalent"),
    ("1/2^{99}", "1/2^{98}", "different"),  # *
    ("1/2^99", "1/2^98", "different"),  # *
    ("1/2^{99}", r"\frac{1}{2^{99}}", "equivalent"),
    (r"\frac{\sqrt{2}}{2^{99}}", r"\frac{\sqrt{2}}{2^{98}}", "different"),  # *
    (r"\frac{\sqrt{8}}{2^{99}}", r"\frac{2\sqrt{2}}{2^{99}}", "equivalent"),
    ("10^{-20}", "10^{-21}", "different"),  # *
    ("0.0000001", "0.0000002", "different"),  # *
    ("0", "0.0000001", "different"),  # *
    ("3*x-1*y+13=0", "3x+4y+14=0", "different"),  # * in some wrappings
    ("x^2+1=0", "x^2+2=0", "different"),  # *
    ("2x+3y=6", "4x+6y=12", "equivalent"),
    ("y=2x+1", "y=1+2x", "equivalent"),
    ("y=2x+1", "y=2x+2", "different"),
    ("x=5", "y=5", "different"),
    (r"x=\frac{1}{2^{99}}", r"x=\frac{1}{2^{98}}", "different"),  # *
    ("7", "hello((", "unparsed"),
    ("7", "7" * 2001, "unparsed"),
    ("7", ".", "unparsed"),
    ("123456789012345678", "123456789012345679", "different"),
    (r"x^2+2x+1", r"(x+1)^2", "equivalent"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\3\end{pmatrix}", "different"),
    (r"\text{Evelyn}", r"\text{Evelyn}", "equal"),
    (r"1\,000", "1000", "equal"),  # *
]


@pytest.fixture(scope="module")
def verdicts() -> dict[tuple[str, str], str]:
    pairs = [(gold, answer) for gold, answer, _ in VERDICTS]
    return dict(zip(pairs, verify_answers(pairs, seconds=10.0), strict=True))


@pytest.mark.parametrize(("gold", "answer", "reason"), VERDICTS, ids=lambda text: text[:30])
def test_the_known_cases_of_math_verify(verdicts: dict, gold: str, answer: str, reason: str) -> None:
    assert verdicts[gold, answer] == reason


def corpus() -> list[str]:
    values = [Fraction(n, d) for n, d in itertools.product((-7, -1, 0, 1, 3, 22, 1250), (1, 2, 3, 7, 40))]
    texts = []
    for value in values:
        n, d = value.numerator, value.denominator
        texts += [f"{n}/{d}", rf"\frac{{{n}}}{{{d}}}", rf"-\frac{{{-n}}}{{{d}}}"]
        texts += [f"{float(value):.6f}"]
        if d == 1:
            texts += [str(n), f"{n}.0", f"{n:,}", f"{n}."]
    return [*texts, ".5", r"\frac12", r"\frac{1.5}{2}", "2^{10}", "2^{-3}", "1/2^{5}", "+3", "- 7", "003", "1,250.00"]


def test_the_exact_path_agrees_with_math_verify_where_both_speak() -> None:
    """Except for numbers below its six decimals, which this corpus leaves out."""
    texts = corpus()
    parsed = {text: judging.parse_answer(plain_form(text)) for text in texts}
    assert all(read_rational(plain_form(text)) is not None for text in texts)
    pairs = list(itertools.product(texts, repeat=2))[::23]
    outcomes = set()
    for gold, answer in pairs:
        exact = quick_reason(gold, answer) in ("equal", "equivalent")
        assert exact == judging.verify(parsed[gold], parsed[answer], timeout_seconds=None), (gold, answer)
        outcomes.add(exact)
    assert outcomes == {True, False}
    assert len(pairs) > 500


@pytest.mark.parametrize(
    "text",
    ["x", "1/0", "1.2.3", "1,00", "12,34", "(1,2)", r"1\frac{1}{2}", "2x", r"\sqrt{2}", "", "-", "9^{9^9}", "2^{5000}",
     r"\frac{1}{0}", "1/2/3", "1e3", r"5\%", "١", "0^{-1}", "9" * 500],
)  # fmt: skip
def test_what_is_not_plainly_a_number_is_left_to_math_verify(text: str) -> None:
    assert read_rational(text) is None


def test_unreadable_golds_are_found() -> None:
    golds = ["5", "((((", r"\frac{1}{2}", r"2\sqrt{3}", "x²", r"\text{Evelyn}"]
    assert unreadable(golds) == {"(((("}


# Text that is not trusted


def test_a_hanging_answer_is_killed_and_the_others_are_graded(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Counted(processes.Worker):
        def __init__(self, seconds: float) -> None:
            started.append(seconds)
            super().__init__(seconds)

    monkeypatch.setattr(processes, "Worker", Counted)
    pairs = [("7", HANG), ("x+1", "1+x"), ("7", r"\sqrt{49}"), ("7", HANG), ("x+1", "x+2")]
    reasons = verify_answers(pairs, seconds=2.0, workers=1)
    assert reasons == ["timeout", "equivalent", "equivalent", "timeout", "different"]
    # For the strict reader one; for careful math-verify one that hangs, and one that asks for the hang alone.
    assert len(started) == 3


def test_more_workers_give_the_same_reasons() -> None:
    pairs = [(f"x+{i}", f"{i % 3}+x") for i in range(6)]
    assert verify_answers(pairs, 5.0, workers=2) == ["equivalent"] * 3 + ["different"] * 3


SLOW_ONCE = """
import os, time
from pathlib import Path
from selfdistill.grading.reading import compare as judging
real, notes = judging.compare, Path(os.environ["NOTES"])
def judge(gold, answer):
    first = "slow" in answer and not (notes / "slowed").exists()
    (notes / "order").open("a").write(answer + "\\n")
    if first:
        (notes / "slowed").touch()
        time.sleep(3600)
    return real(gold, answer.replace("slow", "x"))
judging.compare = judge
"""


def test_an_answer_that_a_busy_machine_was_late_with_is_asked_again_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real processes, whose grader hangs at the first sight of one answer and not at the second."""
    (tmp_path / "sitecustomize.py").write_text(SLOW_ONCE)
    library = Path(processes.__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{library}")
    monkeypatch.setenv("NOTES", str(tmp_path))
    pairs = [("x+1", "1+slow"), *((f"x+{i}", f"{i}+x") for i in range(2, 6))]
    assert verify_answers(pairs, seconds=5.0, workers=2) == ["equivalent"] * 5
    order = (tmp_path / "order").read_text().split()
    assert order.count("1+slow") == 2 and order[-1] == "1+slow", order


GROWS = "(x+y+z+w+v)^{40}"  # what math-verify multiplies it out to takes more memory than the processes below have


def test_want_of_memory_is_a_readers_failure_and_never_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    expanded = ("(x+y)^2", "x^2+2xy+y^2")
    assert judge_answers([expanded], seconds=60.0) == [Judgement("equivalent", "equal", "equal")]
    monkeypatch.setattr(processes, "MEMORY", 200 * 2**20)
    failed, judged = judge_answers([("(x+1)^{2}", GROWS), expanded], seconds=60.0)
    assert failed == Judgement("different", "different", "grader failed") and not failed.disputed
    assert judged == Judgement("equivalent", "equal", "equal")


@pytest.mark.parametrize("broken", ["verify", "parse", "holds_up"])
def test_a_memory_error_is_never_taken_for_a_verdict(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object, **named: object) -> None:
        raise MemoryError

    monkeypatch.setattr(judging, broken, fails)
    with pytest.raises(MemoryError):
        judging.careful(r"\sum_{k=1}^{2}k", r"\sum_{k=1}^{2}k+0")


def test_a_process_that_dies_has_failed_and_was_not_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying = (
        "import os\nfrom selfdistill.grading import judge\nfrom selfdistill.grading.reading import compare\n"
        "compare.compare = judge.careful = lambda *texts: os.abort()\n"
    )
    (tmp_path / "sitecustomize.py").write_text(dying)
    library = Path(processes.__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{library}")
    assert verify_answers([("x+1", "1+x")], seconds=60.0) == ["grader failed"]


def test_no_process_is_started_where_none_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    assert verify_answers([("7", "7"), ("1/2", "0.5"), ("3", "4")], 1.0) == ["equal", "equivalent", "different"]


def test_a_script_without_a_main_guard_can_grade(tmp_path: Path) -> None:
    """Snakemake's scripts have none; a spawned multiprocessing child would run the script again."""
    script = tmp_path / "script.py"
    script.write_text(
        "from selfdistill.grading.verify import verify_answers\nprint(verify_answers([('x+1', '1+x')], 10.0))\n"
    )
    library = Path(__file__).resolve().parents[3] / "workflow_scripts"
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(library)}
    )
    assert done.stdout == "['equivalent']\n", done.stderr
    assert done.stderr == ""


# How a completion ended


@pytest.mark.parametrize(
    ("reason", "n_tokens", "expected"),
    [
        ("stop", 50, True),
        ("length", 50, False),
        ("length", CAP, False),
        ("stop", CAP, False),  # exactly at the cap is cut, whatever the engine calls it
        ("stop", CAP - 1, True),
        ("loop", 50, False),  # broken off by the engine
        ("stop", 0, True),
    ],
)
def test_what_ended_by_itself(reason: str, n_tokens: int, expected: bool) -> None:
    assert finished(reason, n_tokens, CAP) is expected


@pytest.mark.parametrize(
    ("text", "ended", "looping", "answer", "expected"),
    [
        ("", True, False, None, "empty"),
        (" \n", True, True, None, "empty"),
        (" \n", False, False, None, "cut"),  # newlines up to the cap are no finished answer
        ("hm", False, False, "7", "cut"),
        ("hm hm", False, True, "7", "loop"),
        ("hm", True, False, None, "no_answer"),
        ("so", True, False, "7", "answered"),
    ],
)
def test_finish_classes(text: str, ended: bool, looping: bool, answer: str | None, expected: str) -> None:
    assert finish_class(text, ended, looping, answer) == expected


# Whole tables


def completion(text: str, tokens: list[int] | None = None, reason: str = "stop", gold: str = "7") -> dict[str, Any]:
    default = [*range(10, 30), EOS] if reason == "stop" else list(range(1000, 1000 + CAP))
    return {"text": text, "token_ids": default if tokens is None else tokens, "finish_reason": reason, "gold": gold}


def tables(rows: list[dict[str, Any]]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    plan, completions, problems = [], [], []
    for i, row in enumerate(rows):
        plan.append(
            {"request_id": f"r{i}", "model_id": "base", "problem_id": f"p{i}", "purpose": "eval", "decode_id": "t07",
             "draw": 0, "seed": i, "shard": 0, "prompt_ids": [1, 5], "max_tokens": CAP, "temperature": 0.7, "top_k": 0,
             "top_p": 1.0, "min_p": 0.0, "presence_penalty": 0.0}
        )  # fmt: skip
        completions.append(
            {"request_id": f"r{i}", "token_ids": row["token_ids"], "text": row["text"],
             "n_tokens": len(row["token_ids"]), "finish_reason": row["finish_reason"], "logprob": -1.0,
             "engine": "torch", "engine_version": "1", "seconds": 0.1}
        )  # fmt: skip
        problems.append(
            {"problem_id": f"p{i}", "source": "quiz", "family": f"f{i}", "level": 2, "problem": "?",
             "answer": row["gold"], "split": "test", "rank": i, "budgets": ["full"]}
        )  # fmt: skip
    return (
        pl.DataFrame(plan, schema=PLAN),
        pl.DataFrame(completions, schema=COMPLETIONS).reverse(),  # in the order in which they finished
        pl.DataFrame(problems, schema=PROBLEMS),
    )


def graded(*rows: dict[str, Any], counters: bool = False) -> list[dict[str, Any]]:
    plan, completions, problems = tables(list(rows))
    frame = grade_all(plan, completions, problems, Loops(counters=counters))
    assert conform(frame, GRADED, "").equals(frame)
    assert frame["request_id"].to_list() == completions["request_id"].to_list()
    return frame.reverse().rows(named=True)


def grade_all(
    plan: pl.DataFrame, completions: pl.DataFrame, problems: pl.DataFrame, loops: Loops | None = None
) -> pl.DataFrame:
    """Piece by piece, as the rule does it."""
    settings = Grading(seconds_per_answer=5.0, loops=loops or Loops())
    pieces = grade(plan, lambda: completions.iter_slices(4), problems, [EOS], settings, workers=1)
    return pl.concat([pl.DataFrame(schema=GRADED), *pieces])


RIGHT = r"thought </think> \boxed{7}"
LOOP = [*range(1000, 1000 + CAP - 80), *[1, 2, 3, 4] * 20]


def test_each_completion_gets_its_class_verdict_and_reason() -> None:
    rows = [
        (completion(RIGHT), "answered", "correct", "equal"),
        (completion(r"</think> \boxed{\frac{14}{2}}"), "answered", "correct", "equivalent"),
        (completion(r"</think> \boxed{8}"), "answered", "wrong", "different"),
        (completion(r"</think> \boxed{((}"), "answered", "wrong", "unparsed"),
        (completion("</think> it is 7"), "no_answer", "unanswered", "no_answer"),
        (completion(r"\boxed{7}"), "no_answer", "unanswered", "no_answer"),
        (completion(RIGHT, reason="length"), "cut", "unanswered", "cut"),
        (completion(RIGHT, tokens=LOOP, reason="length"), "loop", "unanswered", "loop"),
        (completion(RIGHT, tokens=list(range(CAP))), "cut", "unanswered", "cut"),
        (completion(RIGHT, tokens=[*range(10, 9 + CAP), EOS]), "cut", "unanswered", "cut"),
        (completion(RIGHT, tokens=[*range(10, 8 + CAP), EOS]), "answered", "correct", "equal"),
        (completion("", tokens=[]), "empty", "unanswered", "empty"),
        (completion("", tokens=[EOS]), "empty", "unanswered", "empty"),
        (completion(" \n ", tokens=[7, 8, EOS]), "empty", "unanswered", "empty"),
    ]
    found = [(row["finish_class"], row["verdict"], row["reason"]) for row in graded(*(row[0] for row in rows))]
    assert found == [row[1:] for row in rows]


UNFINISHED = [  # all of these are credited by math-verify on the raw text
    ("7", r"so \boxed{7}. Wait, actually let me check \boxed{"),
    ("7", r"so \boxed{7}. Wait, actually"),
    ("7", r"</think> \boxed{7}"),
    ("12", "we have n = 3, then n = 12 so perhaps the total is 12"),
    ("277", r"</think> the answer is 277"),
]


@pytest.mark.parametrize(("gold", "text"), UNFINISHED)
def test_a_cut_answer_is_never_correct(gold: str, text: str) -> None:
    (row,) = graded(completion(text, reason="length", gold=gold))
    assert (row["finish_class"], row["verdict"], row["extracted"]) == ("cut", "unanswered", None)


def test_a_cut_completion_still_says_whether_its_box_was_closed() -> None:
    (row,) = graded(completion(RIGHT + " and", reason="length"))
    assert (row["think_closed"], row["boxed"], row["extracted"]) == (True, True, None)


def test_a_loop_says_where_it_starts_and_how_often_it_repeats() -> None:
    looping, cut, stopped = graded(
        completion("a", tokens=LOOP, reason="length"),
        completion("a", reason="length"),
        completion("a", tokens=LOOP[:-5]),
    )
    assert (looping["loop_start"], looping["loop_period"], looping["loop_repeats"]) == (CAP - 80, 4, 20)
    assert cut["loop_start"] is None
    # One that loops and then ends by itself is no loop to the reader, but its loop is on record.
    assert (stopped["finish_class"], stopped["loop_period"], stopped["loop_repeats"]) == ("no_answer", 4, 18)


COUNTS = "".join(f"x_{{{n + 1}}} = x_{{{n}}} + 3, " for n in range(880, 990))


@pytest.mark.parametrize(("counters", "kind"), [(False, "cut"), (True, "loop")])
def test_a_counting_loop_is_on_record_and_of_its_class_only_where_the_study_says_so(counters: bool, kind: str) -> None:
    counting, stopped, plain, none = graded(
        completion(COUNTS, reason="length"),
        completion(COUNTS),
        completion(COUNTS, tokens=LOOP, reason="length"),
        completion(RIGHT),
        counters=counters,
    )
    assert (counting["finish_class"], counting["verdict"]) == (kind, "unanswered")
    assert (counting["counter_start"], counting["counter_period"], counting["counter_repeats"]) == (0, 19, 110)
    assert counting["loop_period"] is None
    # One that counts and then ends by itself is on record, too; where a plain loop is found, no other is looked for.
    assert (stopped["finish_class"], stopped["counter_period"]) == ("no_answer", 19)
    assert (plain["finish_class"], plain["loop_period"], plain["counter_period"]) == ("loop", 4, None)
    assert none["counter_period"] is None


def test_a_loop_that_the_engine_broke_off_is_a_loop_below_the_cap() -> None:
    (row,) = graded(completion(RIGHT, tokens=[9, *[1, 2] * 16], reason="loop"))
    # The engine's thresholds may be other ones than grading's.
    assert (row["finish_class"], row["verdict"], row["loop_period"]) == ("loop", "unanswered", None)


def test_a_hang_in_a_table_is_a_wrong_answer_and_no_more() -> None:
    rows = graded(completion(rf"</think> \boxed{{{HANG}}}"), completion(r"</think> \boxed{\sqrt{49}}"))
    assert [(row["verdict"], row["reason"]) for row in rows] == [("wrong", "timeout"), ("correct", "equivalent")]


def test_no_plan_no_rows() -> None:
    plan, completions, problems = tables([completion(RIGHT)])
    assert len(grade_all(plan.clear(), completions.clear(), problems)) == 0


def test_the_plan_and_what_was_sampled_must_be_the_same_requests() -> None:
    plan, completions, problems = tables([completion(RIGHT)] * 3)
    with pytest.raises(UserError, match="1 of the plan's 3 requests have none, the first is r1"):
        grade_all(plan, completions.filter(pl.col("request_id") != "r1"), problems)
    with pytest.raises(UserError, match="1 of them are of no request in the plan, the first is r2"):
        grade_all(plan.head(2), completions, problems)
    with pytest.raises(UserError, match="completions: request_id r0 stands there more than once"):
        grade_all(plan, pl.concat([completions, completions.tail(1)]), problems)
    with pytest.raises(UserError, match="problem p0, which is not among the problems"):
        grade_all(plan, completions, problems.tail(2))


@pytest.mark.parametrize("gold", ["banana", "none", "it is about five", "1/0"])
def test_a_gold_of_bare_words_or_nothing_is_unreadable(gold: str) -> None:
    """math-verify reads words as products of letters, so that any answer with the same letters would be right."""
    assert unreadable([gold]) == {gold}


@pytest.mark.parametrize(
    "gold", [r"\frac{\pi}{2}", r"2\sqrt{3}", "x^2+1", r"\sin x", "(1,2)", r"\left(3,\infty\right)", "m+n", r"50\%"]
)
def test_a_gold_of_mathematics_is_readable(gold: str) -> None:
    assert unreadable([gold]) == set()
