"""Claims about public datasets: what of their files becomes a problem, what is dropped and why, what is refused."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from converted import SHARD, numina, outcome
from selfdistill.examination.loaders import CHECKS
from selfdistill.foundation.errors import UserError
from selfdistill.grading.verify import unreadable
from selfdistill.problems.datasets.convert import audit, convert
from selfdistill.problems.datasets.document import page
from selfdistill.problems.datasets.loaders.numina_math_cot import LEVELS
from selfdistill.problems.datasets.registry import all_datasets
from selfdistill.rehearsal.recorded_shapes import (
    BEYOND_AIME,
    MATH,
    OLYMPIAD,
    WHOLE_NUMBERS,
    aime_archive,
    aime_row,
    json_lines,
    math_row,
    numina_row,
    olympiad_row,
    omni_row,
    parquet,
    write_in_shape,
)

DATASETS = all_datasets()
ROOT = Path(__file__).resolve().parents[3]
LAB = [
    (row["problem"], row["answer"], row["level"])
    for row in map(json.loads, (ROOT / "resources/lab/problems/exam.jsonl").read_text().splitlines())
]
ASK = "What is the number of ways to climb {} stairs?"
OLYMPIAD_FILE = "OlympiadBench/OE_TO_maths_en_COMP/OE_TO_maths_en_COMP.parquet"
ARCHIVE_FILE = "AIME_Dataset_1983_2024.csv"


def suited(loader: str, problems: list = LAB) -> list:
    return [problem for problem in problems if loader not in WHOLE_NUMBERS or problem[1].isdecimal()]


# All loaders


@pytest.mark.parametrize("claim", CHECKS)
@pytest.mark.parametrize("loader", DATASETS)
def test_a_loader_keeps_what_loaders_are_examined_for(loader: str, claim: str, tmp_path: Path) -> None:
    CHECKS[claim](loader, tmp_path, suited(loader))


@pytest.mark.parametrize("loader", DATASETS)
def test_a_missing_column_is_named_with_those_that_are_there(loader: str, tmp_path: Path) -> None:
    write_in_shape(loader, tmp_path, suited(loader)[:4])
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            pq.write_table(table.rename_columns([f"my_{name}" for name in table.column_names]), path)
        else:
            text = path.read_text()
            path.write_text(text.replace("question", "task").replace("Question", "Task").replace('"problem"', '"task"'))
    with pytest.raises(
        UserError, match=r"has no (?:column )?'(?i:problem|prompt|question|source|id)' but .*(?i:task|my_)"
    ):
        convert(loader, tmp_path, {})


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    other = pa.schema([("problem", pa.string()), ("answer", pa.string())])
    parquet(tmp_path / "data/test.parquet", other, [{"problem": "How many?", "answer": "5"}])
    with pytest.raises(UserError, match="its column 'answer' must be of whole number but is of string"):
        convert("beyond-aime", tmp_path, {})


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    write_in_shape("numina-math-cot", tmp_path, LAB)
    path = tmp_path / SHARD.format(2)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UserError, match="is no whole Parquet file"):
        convert("numina-math-cot", tmp_path, {})


def test_a_row_with_too_few_fields_names_its_line(tmp_path: Path) -> None:
    aime_archive(tmp_path / ARCHIVE_FILE, [aime_row(0, "How many?", "5")])
    with open(tmp_path / ARCHIVE_FILE, "a") as handle:
        handle.write("1984-1,1984,1\n")
    with pytest.raises(UserError, match=r"line 3: has not as many fields"):
        convert("aime-1983-2024", tmp_path, {})


def test_what_is_no_json_names_its_line(tmp_path: Path) -> None:
    write_in_shape("omni-math-2", tmp_path, LAB[:2])
    with open(tmp_path / "Omni-Math-2.jsonl", "a") as handle:
        handle.write('{"id": 7,\n')
    with pytest.raises(UserError, match="line 3: is not JSON"):
        convert("omni-math-2", tmp_path, {})


# Options


@pytest.mark.parametrize(
    ("loader", "options", "said"),
    [
        ("hendrycks-meth", {}, "there is no such loader; did you mean 'hendrycks-math'?"),
        ("hendrycks-math", {"level": [5]}, "there is no option 'level'; did you mean 'levels'?"),
        ("beyond-aime", {"years": [1, 2]}, "there is no option 'years'; there are: pictures, limit, skip."),
        ("hendrycks-math", {"levels": 5}, "levels: must be a list of some of 1, 2, 3, 4, 5, but is 5."),
        ("hendrycks-math", {"levels": [4, 6]}, "levels: there is no 6; there are: 1, 2, 3, 4, 5."),
        ("hendrycks-math", {"levels": []}, "levels: must be a list"),
        ("hendrycks-math", {"levels": [True]}, "levels: there is no True"),
        ("hendrycks-math", {"levels": [5, 5]}, "levels: names something twice"),
        ("hendrycks-math", {"subjects": ["algebras"]}, "there is no 'algebras'; did you mean 'algebra'?"),
        ("numina-math-cot", {"letters": "yes"}, "letters: must be true or false, but is 'yes'."),
        ("aime-1983-2024", {"years": [2024, 1983]}, "years: must be the first and the last"),
        ("aime-2025", {"limit": 0}, "limit: must be a whole number above zero, but is 0."),
    ],
)
def test_a_wrong_option_is_one_sentence(loader: str, options: dict, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        convert(loader, tmp_path, options)
    assert said in str(error.value)


def test_a_limit_draws_the_same_problems_whatever_the_order_and_the_neighbours(tmp_path: Path) -> None:
    write_in_shape("omni-math-2", tmp_path / "one", LAB)
    write_in_shape("omni-math-2", tmp_path / "other", random.Random(1).sample(LAB, len(LAB)))
    drawn = [convert("omni-math-2", tmp_path / name, {"limit": 40}) for name in ("one", "other")]
    texts = [{row["problem"] for row in rows} for rows, _ in drawn]
    assert texts[0] == texts[1]
    assert [(len(rows), dropped) for rows, dropped in drawn] == [(40, {"over the limit": len(LAB) - 40})] * 2
    more = convert("omni-math-2", tmp_path / "one", {"limit": 80})[0]
    assert texts[0] < {row["problem"] for row in more}
    assert [row["id"] for row in more] == sorted((row["id"] for row in more), key=int)


def test_what_is_skipped_is_what_a_limit_alone_would_keep(tmp_path: Path) -> None:
    write_in_shape("omni-math-2", tmp_path, LAB)
    first, rest, part = (
        convert("omni-math-2", tmp_path, options) for options in ({"limit": 40}, {"skip": 40}, {"skip": 40, "limit": 9})
    )
    texts = [{row["problem"] for row in rows} for rows, _ in (first, rest, part)]
    assert not texts[0] & texts[1] and len(texts[0] | texts[1]) == len(LAB)
    assert texts[2] < texts[1] and len(texts[2]) == 9
    assert rest.dropped == {"left for another study": 40}
    assert part.dropped == {"left for another study": 40, "over the limit": len(LAB) - 49}


def test_a_limit_is_filled_although_some_answers_cannot_be_read(tmp_path: Path) -> None:
    rows = [omni_row(n, ASK.format(n), "1/0" if n % 2 else str(n), 5) for n in range(40)]
    json_lines(tmp_path / "Omni-Math-2.jsonl", rows)
    answers, dropped = outcome("omni-math-2", tmp_path, limit=15)
    assert len(answers) == 15
    assert "1/0" not in answers
    assert dropped["unreadable answer"] > 0
    assert len(answers) + sum(dropped.values()) == 40


# Reference solutions

WITH_SOLUTIONS = {
    "hendrycks-math": r"Step by step we arrive at $\boxed{7}$.",
    "numina-math-cot": r"It must be $\boxed{7}$.",
    "math-500": r"Therefore $\boxed{7}$.",
    "omni-math-2": "It is 7.",
    "olympiad-bench": "So it is $7$.",
    "aime-24": r"We get $\boxed{7}$.",
    "gsm8k": "One of them is 7.\nSo it is 7.",
    "svamp": "7 * 1 = 7",
    "asdiv": "7 + 0 = 7",
    "mawps": "7 * 1 = 7",
}


@pytest.mark.parametrize("loader", DATASETS)
def test_a_line_has_the_datasets_solution_and_no_such_key_where_there_is_none(loader: str, tmp_path: Path) -> None:
    write_in_shape(loader, tmp_path, [(ASK.format(n), "7", 1) for n in range(4)])
    conversion = convert(loader, tmp_path, {})
    assert conversion.rows
    assert {row.get("solution") for row in conversion.rows} == {WITH_SOLUTIONS.get(loader)}
    assert audit(loader, {}, conversion)["solutions"] == (4 if loader in WITH_SOLUTIONS else 0)
    assert all(("solution" in row) is (loader in WITH_SOLUTIONS) for row in conversion.rows)


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("Half of 14 is\r\n\x00 7: \\boxed{7}. ", "Half of 14 is\n 7: \\boxed{7}."),
        ("It is \x08oxed{7}, for $\x0crac{14}{2}$.", r"It is \boxed{7}, for $\frac{14}{2}$."),
        ("Two lines:\n$a = 7\nu = a$, so \\boxed{7}.", "Two lines:\n$a = 7\nu = a$, so \\boxed{7}."),
        ("$\x0cunny$: \\boxed{7}", None),
        ("As in https://example.org/page: \\boxed{7}", None),
    ],
)
def test_a_solution_that_cannot_be_read_is_left_out_and_the_problem_stays(
    raw: str, cleaned: str | None, tmp_path: Path
) -> None:
    write_in_shape("hendrycks-math", tmp_path, [])
    parquet(tmp_path / "algebra/train-00000-of-00001.parquet", MATH, [math_row(ASK.format(1), "7", 5, solution=raw)])
    (row,) = convert("hendrycks-math", tmp_path, {})[0]
    assert row.get("solution") == cleaned
    assert not row["mended"]


def test_a_copy_without_the_column_of_solutions_is_read(tmp_path: Path) -> None:
    for loader, file in (("olympiad-bench", OLYMPIAD_FILE), ("aime-24", "data/train-00000-of-00001.parquet")):
        write_in_shape(loader, tmp_path / loader, [(ASK.format(1), "7", 1)])
        path = tmp_path / loader / file
        pq.write_table(pq.read_table(path).drop_columns(["solution"]), path)
        (row,) = convert(loader, tmp_path / loader, {})[0]
        assert "solution" not in row


# MATH


def test_math_keeps_the_levels_subjects_and_splits_asked_for(tmp_path: Path) -> None:
    write_in_shape("hendrycks-math", tmp_path, [])
    for number, (subject, split) in enumerate([("algebra", "train"), ("geometry", "train"), ("algebra", "test")]):
        rows = [
            math_row(ASK.format(10 * number + level), str(100 * number + level), level, type="Any")
            for level in range(1, 6)
        ]
        parquet(tmp_path / subject / f"{split}-00000-of-00001.parquet", MATH, rows)
    assert len(outcome("hendrycks-math", tmp_path)[0]) == 10
    assert outcome("hendrycks-math", tmp_path, levels=[4, 5]) == (
        ["4", "5", "104", "105"], {"level not asked for": 6}
    )  # fmt: skip
    asked = {"subjects": ["algebra"], "splits": ["train", "test"], "levels": [1]}
    rows, _ = convert("hendrycks-math", tmp_path, asked)
    assert [(row["id"], row["answer"], row["level"]) for row in rows] == [
        ("algebra/train/0", "1", 1), ("algebra/test/0", "201", 1)
    ]  # fmt: skip


def test_math_reads_the_box_of_the_solution(tmp_path: Path) -> None:
    write_in_shape("hendrycks-math", tmp_path, [])
    rows = [
        math_row(ASK.format(1), "", 5, solution=r"Half of it, so $\boxed{\frac{3}{\sqrt{2}}}.$"),
        math_row(ASK.format(2), "", 5, solution=r"First \boxed{7}, and again \boxed{7}."),
        math_row(ASK.format(3), "", 5, solution=r"Either \boxed{7} or \boxed{8}."),
        math_row(ASK.format(4), "", 5, solution="It is 7."),
        math_row(ASK.format(5), "", 5, solution=r"It is \boxed{7"),
        math_row(ASK.format(6), "9", 5) | {"level": "Level ?"},
    ]
    parquet(tmp_path / "algebra/train-00000-of-00001.parquet", MATH, rows)
    assert outcome("hendrycks-math", tmp_path) == (
        [r"\frac{3}{\sqrt{2}}", "7"], {"no boxed answer": 2, "no level": 1, "several answers": 1}
    )  # fmt: skip


def test_math_keeps_letters_when_asked_to(tmp_path: Path) -> None:
    write_in_shape("hendrycks-math", tmp_path, [])
    rows = [math_row("Enter the letter: (A) 3 (B) 4", r"\text{(B)}", 5), math_row(ASK.format(2), "7", 5)]
    parquet(tmp_path / "algebra/train-00000-of-00001.parquet", MATH, rows)
    assert outcome("hendrycks-math", tmp_path) == (["7"], {"multiple choice": 1})
    assert outcome("hendrycks-math", tmp_path, letters=True) == (["B", "7"], {})


# NuminaMath


@pytest.mark.parametrize(
    ("kept", "dropped", "reason"),
    [
        ("Prove that n is even and find the least n.", "Prove that the sum of two even numbers is even.", "proof"),
        ("Show that it is finite. How many are there?", "Show that $a + b \\ge 2$.", "proof"),
        ("Prove $a > 1$ and find a.", "Prove $a > b$, which lie between the values.", "proof"),
        ("What is P(A) + P(B) + P(C)?", "Which is it? (A) 3 (B) 4 (C) 5 (D) 6", "multiple choice"),
        ("Lines through A, B and C. How many?", "Which is it?\nA. $3$\nB. $4$\nC. $5$", "multiple choice"),
        (
            "Find it. $\\textbf{(N)}$",
            "Find it. $\\textbf{(A) } 3 \\textbf{(B) } 4 \\textbf{(C) } 5$",
            "multiple choice",
        ),
        ("Find f(1) + f(2).", "(1) Find a. (2) Find b.", "several questions"),
        ("Find a (i.e. the first).", "Find: (i) the first term; (ii) the second term.", "several questions"),
        (
            "Find the area of a square of side 3.",
            "Find the area of the square in the figure.",
            "needs a picture",
        ),
    ],
)
def test_numina_filters_by_the_problem(kept: str, dropped: str, reason: str, tmp_path: Path) -> None:
    folder = numina(tmp_path, numina_row(kept, "11"), numina_row(dropped, "12"))
    assert outcome("numina-math-cot", folder) == (["11"], {reason: 1})


def test_numina_drops_proofs_without_a_box_as_proofs(tmp_path: Path) -> None:
    rows = [
        numina_row("Prove that it is even.", "", solution="Clear."),
        numina_row("Prove that it is even and find it.", "", solution="Clear."),
        numina_row("Find it.", "", solution="Clear."),
    ]
    assert outcome("numina-math-cot", numina(tmp_path, *rows)) == ([], {"no boxed answer": 1, "proof": 2})


def test_numina_keeps_letters_when_asked_to(tmp_path: Path) -> None:
    choice = numina_row("Which is it? (A) 3 (B) 4 (C) 5", r"\text{(B)}")
    assert outcome("numina-math-cot", numina(tmp_path, choice)) == ([], {"multiple choice": 1})
    assert outcome("numina-math-cot", tmp_path, letters=True) == (["B"], {})


def test_numina_leaves_out_what_other_datasets_have_and_what_a_model_wrote(tmp_path: Path) -> None:
    folder = numina(tmp_path, *(numina_row(ASK.format(n), str(n), source=source) for n, source in enumerate(LEVELS)))
    rows, dropped = convert("numina-math-cot", folder, {})
    assert [row["level"] for row in rows] == [LEVELS[source] for source in ("cn_k12", "aops_forum", "olympiads")]
    assert dropped == {"source not asked for": 6}
    rows, _ = convert("numina-math-cot", folder, {"sources": ["synthetic_math"]})
    assert [row["level"] for row in rows] == [LEVELS["synthetic_math"]]


def test_a_source_that_is_not_known_is_not_kept(tmp_path: Path) -> None:
    folder = numina(tmp_path, numina_row("How many?", "1", source="elsewhere"))
    assert outcome("numina-math-cot", folder) == ([], {"source not asked for": 1})


# Omni-MATH-2, OlympiadBench, BeyondAIME, AIME


def test_omni_drops_what_is_tagged_and_rounds_the_difficulty(tmp_path: Path) -> None:
    rows = [
        omni_row(0, ASK.format(0), "10", 4.0),
        omni_row(1, ASK.format(1), "11", 6.75),
        omni_row(2, ASK.format(2), "12", 5.0, tags=["proof"]),
        omni_row(3, ASK.format(3), "13", 5.0, tags=["should delete", "duplicate"]),
        omni_row(4, ASK.format(4), "14", 5.0, tags="image"),
        omni_row(5, ASK.format(5), "15", 5.0, tags="[]"),
        omni_row(6, ASK.format(6), "16", 5.0, difficulty=None),
        omni_row(7, ASK.format(7), "17", 5.0) | {"answer": None},
    ]
    json_lines(tmp_path / "Omni-Math-2.jsonl", rows)
    kept, dropped = convert("omni-math-2", tmp_path, {})
    assert [(row["id"], row["answer"], row["level"]) for row in kept] == [
        ("0", "10", 4),
        ("1", "11", 7),
        ("5", "15", 5),
    ]
    assert dropped == {"no level": 1, "no problem or no answer": 1, "tagged as not of one exact answer": 3}
    assert outcome("omni-math-2", tmp_path, levels=[7])[0] == ["11"]


def test_half_a_level_is_rounded_up_and_not_to_the_even_one(tmp_path: Path) -> None:
    halves = [0.5, 1.0, 2.5, 3.49, 4.5, 5.5, 8.5, 9.5]
    json_lines(tmp_path / "Omni-Math-2.jsonl", [omni_row(n, ASK.format(n), "1", half) for n, half in enumerate(halves)])
    rows, _ = convert("omni-math-2", tmp_path, {})
    assert [row["level"] for row in rows] == [1, 1, 3, 3, 5, 6, 9, 10]


def test_olympiad_bench_keeps_single_exact_answers_that_stand_alone(tmp_path: Path) -> None:
    rows = [
        olympiad_row(0, ASK.format(0), "10"),
        olympiad_row(1, ASK.format(1), "(1, 2)", answer_type="Tuple"),
        olympiad_row(2, ASK.format(2), "[0, 1)", answer_type="Interval"),
        olympiad_row(3, ASK.format(3), "x^2 + 1", answer_type="Expression"),
        olympiad_row(4, ASK.format(4), "14", unit="metres"),
        olympiad_row(5, ASK.format(5), "1, 2", is_multiple_answer=True),
        olympiad_row(6, ASK.format(6), "", final_answer=["$1$", "$2$"]),
        olympiad_row(7, ASK.format(7), "17", error="1e-1"),
        olympiad_row(8, ASK.format(8), "18", context="Let n be as above."),
        olympiad_row(9, ASK.format(9), "19", answer_type="Need_human_evaluate"),
        olympiad_row(10, "What is the area? <image_1>", "20"),
        olympiad_row(11, ASK.format(11), "", final_answer=None),
    ]
    schema = OLYMPIAD.set(OLYMPIAD.get_field_index("context"), pa.field("context", pa.string()))
    parquet(tmp_path / OLYMPIAD_FILE, schema, rows)
    answers, dropped = outcome("olympiad-bench", tmp_path)
    assert answers == ["10", "(1, 2)", "[0, 1)", "x^2 + 1", "14"]
    assert dropped == {
        "an answer with a tolerance": 1,
        "kind of answer not asked for": 1,
        "needs a context that stands elsewhere": 1,
        "needs a picture": 1,
        "no answer": 1,
        "several answers": 2,
    }
    assert outcome("olympiad-bench", tmp_path, kinds=["Tuple"])[0] == ["(1, 2)"]


def test_beyond_aime_drops_a_row_without_an_answer(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"problem": ASK.format(1), "answer": 8}, {"problem": ASK.format(2), "answer": None}]
    parquet(tmp_path / "data/test.parquet", BEYOND_AIME, rows)
    assert outcome("beyond-aime", tmp_path) == (["8"], {"no answer": 1})


def test_aime_years_are_kept_from_the_first_to_the_last(tmp_path: Path) -> None:
    rows = [aime_row(15 * year, ASK.format(year), str(year)) for year in range(17)]
    aime_archive(tmp_path / ARCHIVE_FILE, rows)
    kept, dropped = convert("aime-1983-2024", tmp_path, {"years": [1985, 1987]})
    assert [row["id"] for row in kept] == ["1985-1", "1986-1", "1987-1"]
    assert dropped == {"year not asked for": 14}


def test_aime_answers_are_whole_numbers_and_levels_bands_of_five(tmp_path: Path) -> None:
    answers = ["080", "5", "7", "336^\\circ", "12.0", "7/2", "900", "1", "2", "3", "4", "6", "8", "9", "10"]
    aime_archive(tmp_path / ARCHIVE_FILE, [aime_row(n, ASK.format(n), answer) for n, answer in enumerate(answers)])
    kept, dropped = convert("aime-1983-2024", tmp_path, {})
    assert [row["answer"] for row in kept][:6] == ["80", "5", "7", "336", "12", "900"]
    assert [row["level"] for row in kept] == [1] * 5 + [2] * 4 + [3] * 5
    assert dropped == {"answer is no whole number": 1}


def test_both_exams_of_2025_are_read(tmp_path: Path) -> None:
    json_lines(tmp_path / "aime2025-I.jsonl", [{"question": ASK.format(n), "answer": str(n)} for n in range(15)])
    json_lines(tmp_path / "aime2025-II.jsonl", [{"question": ASK.format(15 + n), "answer": "1"} for n in range(15)])
    rows, _ = convert("aime-2025", tmp_path, {})
    assert len(rows) == len({row["id"] for row in rows}) == 30
    assert rows[-1]["id"] == "aime2025-II-15"
    (tmp_path / "aime2025-II.jsonl").unlink()
    with pytest.raises(UserError, match="aime2025-II.jsonl"):
        convert("aime-2025", tmp_path, {})


# Rows that are the same


def test_copies_are_kept_once_and_quarrels_not_at_all(tmp_path: Path) -> None:
    rows = [
        numina_row("Find the half of 1.", r"\frac12"),
        numina_row("Find  the HALF of 1.", "0.5"),
        numina_row("Find the half of 3.", "1.5"),
        numina_row("Find the half of 3.", "2"),
        numina_row("Find the half of 3.", "1.5"),
        numina_row("Find the half of 6.", "3"),
    ]
    folder = numina(tmp_path, *rows)
    assert outcome("numina-math-cot", folder) == (
        [r"\frac12", "3"], {"copy of another row": 1, "problem with two answers": 3}
    )  # fmt: skip


def test_no_two_rows_have_one_id(tmp_path: Path) -> None:
    json_lines(tmp_path / "Omni-Math-2.jsonl", [omni_row(3, ASK.format(n), str(n), 5) for n in range(3)])
    assert outcome("omni-math-2", tmp_path) == (["0"], {"id of another row": 2})


PIECES = [
    "[asy]", "[/asy]", r"\includegraphics{a}", "![a](b)", "<img src=a>", "\x00", "\x0c", "\r", "\n", "$", r"\boxed{", "}",
    "{", r"\frac{1}{2}", "Prove that", "(1)", "(2)", "A.", "B.", "C.", "5", ",", "http://a", "\ud7ff", "é", "x", " ", "find",
    r"\text{", "=", r"\pm", "as shown in the figure", "\x0crac", "\u200b",
]  # fmt: skip


def test_whatever_stands_in_the_files_no_picture_or_control_character_comes_out(tmp_path: Path) -> None:
    rng = random.Random(5)

    def scramble() -> str:
        return " ".join(rng.choice(PIECES) for _ in range(rng.randint(0, 9)))

    texts = [(f"{n} {scramble()}", f"{scramble()} 7" if rng.random() < 0.2 else "7") for n in range(3000)]
    folder = numina(tmp_path, *(numina_row(*text) for text in texts))
    json_lines(tmp_path / "Omni-Math-2.jsonl", [omni_row(n, *text, 5) for n, text in enumerate(texts)])
    for loader in ("numina-math-cot", "omni-math-2"):
        rows, dropped = convert(loader, folder, {})
        assert len(rows) + sum(dropped.values()) == len(texts)
        assert len(rows) > 100
        for row in rows:
            assert not any(mark in row["problem"] for mark in ("includegraphics", "![", "<img", "http://"))
            assert row["problem"].count("[asy]") == row["problem"].count("[/asy]")
            assert all(character >= " " or character in "\n\t" for character in row["problem"] + row["answer"])
            assert row["problem"] == row["problem"].strip() != ""
        assert not unreadable([row["answer"] for row in rows])


# The page


def test_the_page_says_what_the_loaders_do() -> None:
    assert (ROOT / "docs/datasets.md").read_text() == page(), "run: make datasets"
    assert all(f"`{name}`" in page() and dataset.licence in page() for name, dataset in DATASETS.items())


def test_revisions_are_whole_names() -> None:
    revisions = [dataset.revision for dataset in DATASETS.values() if dataset.revision]
    assert len(revisions) == len(set(revisions)) >= 5
    assert all(re.fullmatch(r"[0-9a-f]{40}", revision) for revision in revisions)
