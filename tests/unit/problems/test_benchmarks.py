"""Claims about the benchmarks and DAPO's training problems: what is read, numbered and left out of each one's files."""

from pathlib import Path

import pyarrow as pa
import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.problems.datasets.convert import convert
from selfdistill.problems.datasets.loaders.dapo_math_17k import without_sentences
from selfdistill.rehearsal.recorded_shapes import (
    AIME_24,
    AMC_23,
    DAPO,
    DAPO_AFTER,
    DAPO_BEFORE,
    EXAM_PAGE,
    HMMT,
    aime_24_row,
    amc_23_row,
    dapo_row,
    hmmt_row,
    json_lines,
    math_500_row,
    olymmath_row,
    parquet,
)

ASK = "What is the number of ways to climb {} stairs?"
Outcome = tuple[list[tuple[str, str, int]], dict[str, int]]


def outcome(loader: str, folder: Path, **options: object) -> Outcome:
    """Id, answer and level of what is kept, and the reasons for the rest."""
    rows, dropped = convert(loader, folder, options)
    return [(row["id"], row["answer"], row["level"]) for row in rows], dropped


# MATH-500


def math_500(folder: Path, *rows: dict) -> Path:
    json_lines(folder / "test.jsonl", list(rows))
    return folder


def test_math_500_keeps_the_levels_and_subjects_asked_for(tmp_path: Path) -> None:
    subjects = ("Algebra", "Geometry", "Counting & Probability")
    folder = math_500(
        tmp_path, *(math_500_row(n, ASK.format(n), str(n), 1 + n % 5, subject=subjects[n % 3]) for n in range(15))
    )
    assert len(outcome("math-500", folder)[0]) == 15
    assert outcome("math-500", folder, levels=[5], subjects=["Geometry"]) == (
        [("test/algebra/4.json", "4", 5)], {"level not asked for": 12, "subject not asked for": 2}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"level": "Level 5"}, "no level"),
        ({"level": True}, "no level"),
        ({"level": 6}, "no level"),
        ({"answer": None}, "no problem or no answer"),
        ({"answer": 7}, "no problem or no answer"),
        ({"problem": None}, "no problem or no answer"),
    ],
)
def test_a_row_of_math_500_with_something_else_in_it_is_dropped(other: dict, reason: str, tmp_path: Path) -> None:
    sound = math_500_row(1, ASK.format(1), "1", 5)
    folder = math_500(tmp_path, sound, math_500_row(2, ASK.format(2), "2", 5) | other)
    assert outcome("math-500", folder) == ([("test/algebra/1.json", "1", 5)], {reason: 1})


# AIME24, AIME25, AMC23


def test_aime_24_reads_the_exam_and_the_number_from_the_address_and_not_from_the_order(tmp_path: Path) -> None:
    """The real file sorts addresses as texts: problem 10 follows problem 1."""
    order = [0, 9, 14, 1, 15, 24, 29]
    rows = [aime_24_row(n, ASK.format(n), str(100 + n)) for n in order]
    parquet(tmp_path / "data/train-00000-of-00001.parquet", AIME_24, rows)
    assert outcome("aime-24", tmp_path)[0] == [
        ("I-1", "100", 1), ("I-10", "109", 2), ("I-15", "114", 3), ("I-2", "101", 1),
        ("II-1", "115", 1), ("II-10", "124", 2), ("II-15", "129", 3),
    ]  # fmt: skip
    assert outcome("aime-24", tmp_path, exams=["II"])[1] == {"exam not asked for": 4}


def test_aime_24_reads_noughts_before_a_number(tmp_path: Path) -> None:
    rows = [
        aime_24_row(0, ASK.format(0), "33"),
        aime_24_row(1, ASK.format(1), "0"),
        aime_24_row(2, ASK.format(2), "\\frac12"),
        aime_24_row(3, ASK.format(3), "5", url="https://example.org/problem-4"),
        aime_24_row(4, ASK.format(4), "5", url=None),
    ]
    assert [row["answer"] for row in rows[:2]] == ["033", "000"]
    parquet(tmp_path / "data/train-00000-of-00001.parquet", AIME_24, rows)
    assert outcome("aime-24", tmp_path) == (
        [("I-1", "33", 1), ("I-2", "0", 1)], {"answer is no whole number": 1, "no exam or no number": 2}
    )  # fmt: skip


def test_aime_25_numbers_both_exams_through(tmp_path: Path) -> None:
    rows = [{"problem": ASK.format(n), "answer": str(n), "id": str(n)} for n in range(30)]
    json_lines(tmp_path / "test.jsonl", rows)
    kept, dropped = outcome("aime-25", tmp_path)
    assert ([level for _, _, level in kept], dropped) == (([1] * 5 + [2] * 5 + [3] * 5) * 2, {})
    assert [name for name, _, _ in outcome("aime-25", tmp_path, exams=["II"])[0]] == [str(n) for n in range(15, 30)]


def test_aime_25_drops_what_has_no_number(tmp_path: Path) -> None:
    rows: list[dict] = [
        {"problem": ASK.format(1), "answer": 336, "id": 0},
        {"problem": ASK.format(2), "answer": "336^\\circ", "id": "1"},
        {"problem": ASK.format(3), "answer": "3", "id": "third"},
        {"problem": ASK.format(4), "answer": None, "id": "3"},
    ]
    json_lines(tmp_path / "test.jsonl", rows)
    assert outcome("aime-25", tmp_path) == (
        [("0", "336", 1), ("1", "336", 1)], {"answer is no whole number": 1, "no number": 1}
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "answers"), [
    (pa.float64(), (27.0, -1.0, 3.5, None)), (pa.string(), ("27", "-1", "7/2", None)), (pa.int64(), (27, -1, None, None))
])  # fmt: skip
def test_amc23_reads_whole_numbers_however_they_are_stored(kind: pa.DataType, answers: tuple, tmp_path: Path) -> None:
    schema = pa.schema([field.with_type(kind) if field.name == "answer" else field for field in AMC_23])
    rows = [amc_23_row(n, ASK.format(n), "0") | {"answer": answer} for n, answer in enumerate(answers)]
    parquet(tmp_path / "test-00000-of-00001.parquet", schema, rows)
    kept, dropped = outcome("amc23", tmp_path)
    assert kept == [("12A-1", "27", 1), ("12B-1", "-1", 1)]
    assert sum(dropped.values()) == 2
    assert set(dropped) <= {"no answer", "answer is no whole number"}


def test_amc23_has_five_levels_of_five_problems(tmp_path: Path) -> None:
    rows = [
        amc_23_row(n, ASK.format(n), str(n), url=EXAM_PAGE.format(f"2023_AMC_12{'AB'[n // 25]}", n % 25 + 1))
        for n in range(50)
    ]
    parquet(tmp_path / "test-00000-of-00001.parquet", AMC_23, rows)
    kept, _ = outcome("amc23", tmp_path)
    assert [level for _, _, level in kept] == [1 + n % 25 // 5 for n in range(50)]
    assert [name for name, _, _ in outcome("amc23", tmp_path, exams=["12B"])[0]] == [f"12B-{n}" for n in range(1, 26)]


# HMMT, OlymMATH


def test_hmmt_has_three_rounds_of_two_levels(tmp_path: Path) -> None:
    rows = [hmmt_row(n, ASK.format(n), f"\\sqrt{{{n}}}") for n in range(1, 31)]
    parquet(tmp_path / "data/train-00000-of-00001.parquet", HMMT, rows)
    kept, dropped = outcome("hmmt-feb-2025", tmp_path)
    assert ([level for _, _, level in kept], dropped) == (([1] * 5 + [2] * 5) * 3, {})
    assert kept[6] == ("7", "\\sqrt{7}", 2)
    geometry, rest = outcome("hmmt-feb-2025", tmp_path, rounds=["geometry"])
    assert ([name for name, _, _ in geometry], rest) == ([str(n) for n in range(21, 31)], {"round not asked for": 20})


def test_hmmt_drops_what_has_no_number_or_no_answer(tmp_path: Path) -> None:
    rows = [hmmt_row(n, ASK.format(n), "5") for n in range(4)]
    rows[2]["answer"] = None
    rows[3]["problem_idx"] = None
    parquet(tmp_path / "data/train-00000-of-00001.parquet", HMMT, rows)
    assert outcome("hmmt-feb-2025", tmp_path) == ([("1", "5", 1)], {"no answer": 1, "no number": 2})


def test_olymmath_reads_the_languages_and_the_halves_asked_for(tmp_path: Path) -> None:
    for number, half in enumerate(("EN-EASY", "EN-HARD", "ZH-EASY", "ZH-HARD")):
        rows = [olymmath_row(f"{half}-{n}", ASK.format(10 * number + n), str(10 * number + n)) for n in range(2)]
        json_lines(tmp_path / f"data/OlymMATH-{half}.jsonl", rows)
    assert outcome("olymmath", tmp_path)[0] == [
        ("OlymMATH-EN-EASY-0", "0", 1), ("OlymMATH-EN-EASY-1", "1", 1),
        ("OlymMATH-EN-HARD-0", "10", 2), ("OlymMATH-EN-HARD-1", "11", 2),
    ]  # fmt: skip
    hard = outcome("olymmath", tmp_path, difficulties=["hard"], languages=["zh"])[0]
    assert hard == [("OlymMATH-ZH-HARD-0", "30", 2), ("OlymMATH-ZH-HARD-1", "31", 2)]


def test_olymmath_needs_only_the_files_that_are_asked_for(tmp_path: Path) -> None:
    json_lines(tmp_path / "data/OlymMATH-EN-HARD.jsonl", [olymmath_row("HARD-0-EN", ASK.format(1), "1")])
    assert len(outcome("olymmath", tmp_path, difficulties=["hard"])[0]) == 1
    with pytest.raises(UserError, match=r"holds no file 'data/OlymMATH-EN-EASY.jsonl'"):
        outcome("olymmath", tmp_path)


# DAPO-Math-17k


def dapo(folder: Path, *rows: dict) -> Path:
    parquet(folder / "data/dapo-math-17k.parquet", DAPO, list(rows))
    return folder


def test_a_problem_that_stands_a_hundred_times_in_dapo_is_kept_once(tmp_path: Path) -> None:
    rows = [dapo_row(n, ASK.format(n), str(n)) for n in range(5)] * 100
    rows, dropped = convert("dapo-math-17k", dapo(tmp_path, *rows), {})
    assert [(row["problem"], row["answer"]) for row in rows] == [(ASK.format(n), str(n)) for n in range(5)]
    assert dropped == {"copy of another row": 495}


def test_a_problem_of_dapo_with_two_answers_is_dropped(tmp_path: Path) -> None:
    rows = [dapo_row(0, ASK.format(0), "4"), dapo_row(1, ASK.format(0), "5"), dapo_row(2, ASK.format(2), "6")]
    assert [answer for _, answer, _ in outcome("dapo-math-17k", dapo(tmp_path, *rows))[0]] == ["6"]


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        (DAPO_BEFORE + "Find $x$.\n\nIt is even." + DAPO_AFTER, "Find $x$.\n\nIt is even."),
        (DAPO_BEFORE.replace("$Answer (without quotes)", "\\boxed{$Answer}") + "Find $x$." + DAPO_AFTER, "Find $x$."),
        (DAPO_BEFORE.rstrip() + "\nFind $x$." + DAPO_AFTER + "\n", "Find $x$."),
        ("Find $x$.", "Find $x$."),
        ("Solve the following: $x = 2$.", "Solve the following: $x = 2$."),
        ("Remember the answer to $x$.", "Remember the answer to $x$."),
    ],
)
def test_the_sentences_around_a_problem_of_dapo_are_taken_off_and_nothing_else(prompt: str, problem: str) -> None:
    assert without_sentences(prompt) == problem


def test_dapo_in_the_language_asked_for(tmp_path: Path) -> None:
    folder = dapo(tmp_path, dapo_row(0, "Find $x$ in $\\mathbb{N}$.", "4"), dapo_row(1, "求 $x$ 的值。", "5"))
    assert len(outcome("dapo-math-17k", folder)[0]) == 2
    assert outcome("dapo-math-17k", folder, languages=["en"])[1] == {"language not asked for": 1}
    assert [answer for _, answer, _ in outcome("dapo-math-17k", folder, languages=["zh"])[0]] == ["5"]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"prompt": []}, "not one question"),
        ({"prompt": None}, "not one question"),
        ({"prompt": [{"content": None, "role": "user"}]}, "not one question"),
        (
            {"prompt": [{"content": "Add.", "role": "system"}, {"content": "1 and 1", "role": "user"}]},
            "not one question",
        ),
        ({"reward_model": None}, "no answer"),
        ({"reward_model": {"ground_truth": None, "style": "rule"}}, "no answer"),
    ],
)
def test_a_row_of_dapo_without_a_question_or_an_answer_is_dropped(other: dict, reason: str, tmp_path: Path) -> None:
    folder = dapo(tmp_path, dapo_row(0, ASK.format(0), "4"), dapo_row(1, ASK.format(1), "5") | other)
    kept, dropped = outcome("dapo-math-17k", folder)
    assert (len(kept), dropped) == (1, {reason: 1})


def test_a_row_of_dapo_needs_no_index(tmp_path: Path) -> None:
    folder = dapo(tmp_path, *(dapo_row(n, ASK.format(n), "4", extra_info=None) for n in range(2)))
    assert [name for name, _, _ in outcome("dapo-math-17k", folder)[0]] == ["dapo-math-17k/0", "dapo-math-17k/1"]


@pytest.mark.parametrize(
    ("column", "kind"),
    [("prompt", pa.string()), ("prompt", pa.list_(pa.string())), ("prompt", pa.list_(pa.struct([("text", pa.string())]))),
     ("reward_model", pa.string())],
)  # fmt: skip
def test_a_column_of_dapo_of_another_type_is_refused(column: str, kind: pa.DataType, tmp_path: Path) -> None:
    schema = pa.schema([field.with_type(kind) if field.name == column else field for field in DAPO])
    parquet(tmp_path / "data/dapo-math-17k.parquet", schema, [dapo_row(0, ASK.format(0), "4") | {column: None}])
    with pytest.raises(UserError, match=f"its column '{column}' must be of"):
        convert("dapo-math-17k", tmp_path, {})
