"""Claims about GSM8K, SVAMP, ASDiv and MAWPS: their answers and solutions, as their hubs and as their authors serve them."""

import json
import random
from fractions import Fraction
from pathlib import Path

import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.grading.verify import CORRECT, verify_answers
from selfdistill.problems.datasets.arithmetic import exact, shown, worked
from selfdistill.problems.datasets.convert import convert
from selfdistill.problems.datasets.fetch import fetch, layout_of
from selfdistill.problems.datasets.loaders.svamp import IN_TEST
from selfdistill.problems.datasets.registry import dataset_of
from selfdistill.problems.datasets.word_problems import filled_in, untokenised
from selfdistill.problems.sources import read_source
from selfdistill.rehearsal.recorded_shapes import (
    ASDIV,
    GSM8K,
    MAWPS,
    SVAMP,
    asdiv_row,
    gsm8k_row,
    json_lines,
    mawps_row,
    parquet,
    svamp_row,
    write_in_shape,
)

ASK = "Ann has {} shells. How many are that?"
Outcome = tuple[list[tuple[str, str, int, str | None]], dict[str, int]]


def outcome(loader: str, folder: Path, **options: object) -> Outcome:
    """Id, answer, level and solution of what is kept, and the reasons for the rest."""
    rows, dropped = convert(loader, folder, options)
    return [(row["id"], row["answer"], row["level"], row.get("solution")) for row in rows], dropped


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# Equations


@pytest.mark.parametrize(
    ("equation", "steps"),
    [
        ("( 76.0 - 25.0 )", ["76 - 25 = 51"]),
        ("( ( 16.0 - 11.0 ) + 12.0 )", ["16 - 11 = 5", "5 + 12 = 17"]),
        ("( 67.0 * ( 66.0 / 6.0 ) )", ["66 / 6 = 11", "67 * 11 = 737"]),
        ("8-3-2", ["8 - 3 = 5", "5 - 2 = 3"]),
        ("2+3*4", ["3 * 4 = 12", "2 + 12 = 14"]),
        ("12/8", ["12 / 8 = 1.5"]),
        ("10/3*6", ["10 / 3 = 10/3", "(10/3) * 6 = 20"]),
        ("5-8+1", ["5 - 8 = -3", "-3 + 1 = -2"]),
        ("4-(3-5)", ["3 - 5 = -2", "4 - (-2) = 6"]),
        ("-(3)+5", ["-3 + 5 = 2"]),
        ("- 8.0 2.0", ["8 - 2 = 6"]),
        ("/ + 5.0 35.0 8.0", ["5 + 35 = 40", "40 / 8 = 5"]),
        (".5*.25", ["0.5 * 0.25 = 0.125"]),
        ("7", []),
        ("-8", []),
    ],
)
def test_an_equation_is_worked_out_a_line_an_operation(equation: str, steps: list[str]) -> None:
    found = worked(equation)
    assert found is not None
    assert found.steps == steps


@pytest.mark.parametrize(
    "text",
    ["", "x+1", "3 +", "(3", "3)", "3 4", "1/0", "2**3", "__import__('os')", "1" * 301, "(" * 299 + "1", "+ 1"],
)
def test_what_is_no_arithmetic_has_no_reading(text: str) -> None:
    assert worked(text) is None


def grown(rng: random.Random, depth: int) -> tuple[str, Fraction]:
    """An expression with brackets round every operation, and its value."""
    if depth == 0:
        number = rng.randint(1, 99)
        return f"{number}.0", Fraction(number)
    (one, left), (other, right) = grown(rng, rng.randrange(depth)), grown(rng, rng.randrange(depth))
    operation = rng.choice("+-*/" if right else "+-*")
    value = {"+": left + right, "-": left - right, "*": left * right}.get(operation, left / right if right else left)
    return f"( {one} {operation} {other} )", value


def test_values_are_those_of_the_trees_that_the_expressions_were_grown_from() -> None:
    rng = random.Random(5)
    for _ in range(300):
        text, value = grown(rng, rng.randint(1, 4))
        found = worked(text)
        if len(text) <= 300:
            assert found is not None and found.value == value
            assert not found.steps or found.steps[-1].endswith(f"= {shown(value)}")


@pytest.mark.parametrize(
    ("number", "seen"),
    [("27.0", "27"), (27.0, "27"), ("1,200.50", "1200.5"), ("56/9", "56/9"), (".5", "0.5"), ("-0.25", "-0.25"), (0.1, "0.1")],
)  # fmt: skip
def test_numbers_are_shown_as_people_write_them(number: str | float, seen: str) -> None:
    value = exact(number)
    assert value is not None
    assert shown(value) == seen


def test_what_is_no_number_is_none() -> None:
    assert [exact(text) for text in ("", "nan", "1e5", "five", "3/0", "1 2")] == [None] * 6


# Texts


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Ed 's cat ate 3 % of $ 4.50 , and did n't stop .", "Ed's cat ate 3% of $4.50, and didn't stop."),
        ("How many ( in all ) ?", "How many (in all)?"),
        ("It costs .5 dollars", "It costs .5 dollars"),
        ("There are 3 cats, and 4 dogs. How many?", "There are 3 cats, and 4 dogs. How many?"),
    ],
)
def test_words_cut_apart_are_put_together(text: str, seen: str) -> None:
    assert untokenised(text) == seen


def test_numbers_are_put_back_into_their_places() -> None:
    assert filled_in("Ann has N_00 shells and N_01 stones", ["3.0", "2.50"]) == "Ann has 3 shells and 2.5 stones"
    assert filled_in("- number1 number0", ["3.0", "8.0"]) == "- 8 3"
    assert filled_in("Ann has number2 shells", ["3.0", "8.0"]) is None
    assert filled_in("Ann has number0 shells", ["some"]) is None
    assert filled_in("a number 5", []) == "a number 5"


# GSM8K


def test_gsm8k_takes_out_the_marks_of_the_calculator_and_reads_what_follows_the_hashes(tmp_path: Path) -> None:
    text = "Half is 48/2 = <<48/2=24>>24.\nTogether it is $48+24 = $<<48+24=72>>72."
    rows = [
        gsm8k_row(ASK.format(1), "") | {"answer": f"{text}\n#### 72"},
        gsm8k_row(ASK.format(2), "") | {"answer": "So it is 1,200.\n#### 1,200"},
        gsm8k_row(ASK.format(3), "") | {"answer": "It is less.\n#### -12"},
        gsm8k_row(ASK.format(4), "") | {"answer": "It is $18.\n#### $18"},
        gsm8k_row(ASK.format(5), "") | {"answer": "It is 5."},
        gsm8k_row(ASK.format(6), "") | {"answer": "It is five.\n#### five"},
        {"question": None, "answer": "It is 5.\n#### 5"},
    ]
    parquet(tmp_path / "main/train-00000-of-00001.parquet", GSM8K, rows)
    assert outcome("gsm8k", tmp_path) == (
        [
            ("train/0", "72", 1, "Half is 48/2 = 24.\nTogether it is $48+24 = $72."),
            ("train/1", "1200", 1, "So it is 1,200."),
            ("train/2", "-12", 1, "It is less."),
            ("train/3", "18", 1, "It is $18."),
        ],
        {"no number after ####": 2, "no problem or no answer": 1},
    )


def test_gsm8k_counts_the_steps(tmp_path: Path) -> None:
    rows = [gsm8k_row(ASK.format(n), "") | {"answer": "A step.\n" * n + "#### 7"} for n in range(1, 8)]
    parquet(tmp_path / "main/train-00000-of-00001.parquet", GSM8K, rows)
    assert [level for _, _, level, _ in outcome("gsm8k", tmp_path)[0]] == [1, 1, 2, 2, 3, 3, 3]


@pytest.mark.parametrize("place", ["", "grade_school_math/data/"])
def test_gsm8k_reads_the_authors_files_a_split_at_a_time(place: str, tmp_path: Path) -> None:
    for number, split in enumerate(("train", "test")):
        json_lines(tmp_path / f"{place}{split}.jsonl", [gsm8k_row(ASK.format(number), str(number))])
    assert [row[:2] for row in outcome("gsm8k", tmp_path)[0]] == [("train/0", "0")]
    assert [row[:2] for row in outcome("gsm8k", tmp_path, splits=["test"])[0]] == [("test/0", "1")]
    assert len(outcome("gsm8k", tmp_path, splits=["test", "train"])[0]) == 2


def test_a_story_that_speaks_of_what_was_shown_needs_no_picture(tmp_path: Path) -> None:
    """In the real file these are three of 8,792, and all stand without a picture."""
    stories = [
        "Five advertisements were shown in the figure below the stands. How many minutes did they take?",
        "The area was equal to that in the previous problem. If the area was 100, how long is a side?",
    ]
    json_lines(tmp_path / "train.jsonl", [gsm8k_row(story, "10") for story in stories])
    rows, dropped = convert("gsm8k", tmp_path, {})
    assert ([row["problem"] for row in rows], [row["needs_picture"] for row in rows], dropped) == (
        stories,
        ["no"] * 2,
        {},
    )


def test_a_line_separator_of_unicode_does_not_tear_a_line_of_json(tmp_path: Path) -> None:
    json_lines(tmp_path / "train.jsonl", [gsm8k_row("Ann has 3\u2028 shells.\u2029How many?", "3")])
    (row,) = convert("gsm8k", tmp_path, {})[0]
    assert row["problem"] == "Ann has 3\n shells.\nHow many?"
    line = written(tmp_path / "rows.jsonl", json.dumps(row, ensure_ascii=False) + "\n").read_text()
    assert len(line.splitlines()) == 1
    assert read_source("s", "rows.jsonl", tmp_path)[0].solution == row["solution"]


# SVAMP


def test_svamp_joins_body_and_question_and_works_out_the_equation(tmp_path: Path) -> None:
    rows = [
        svamp_row(1, "", "", Body="Ann had 16 shells. She lost 11.", Question="How many are left?", Equation="( 16.0 - 11.0 )") | {"Answer": "5"},
        svamp_row(2, "", "", Body="If Bob has 2 ", Question=" how many are 3 times as many and 1?", Equation="( ( 2.0 * 3.0 ) + 1.0 )") | {"Answer": "7.0"},
        svamp_row(3, ASK.format(3), "5", Equation="( 4.0 - 2.0 )"),
        svamp_row(4, ASK.format(4), "4", Equation="4.0"),
        svamp_row(5, ASK.format(5), "many"),
    ]  # fmt: skip
    parquet(tmp_path / "data/train-00000-of-00001.parquet", SVAMP, rows)
    assert outcome("svamp", tmp_path) == (
        [
            ("chal-1", "5", 1, "16 - 11 = 5"),
            ("chal-2", "7", 2, "2 * 3 = 6\n6 + 1 = 7"),
            ("chal-4", "4", 1, None),
        ],
        {"equation and answer disagree": 1, "answer is no number": 1},
    )
    problems = [row["problem"] for row in convert("svamp", tmp_path, {})[0]]
    assert problems[:2] == [
        "Ann had 16 shells. She lost 11. How many are left?",
        "If Bob has 2 how many are 3 times as many and 1?",
    ]


def test_svamp_splits_the_authors_file_as_the_hub_does(tmp_path: Path) -> None:
    rows = [svamp_row(n, ASK.format(n), "7") | {"Answer": 7.0} for n in range(1, 1001)]
    written(tmp_path / "SVAMP.json", json.dumps(rows))
    train, test = (outcome("svamp", tmp_path, splits=[split])[0] for split in ("train", "test"))
    assert (len(train), len(test)) == (700, 300)
    assert {row[0] for row in train}.isdisjoint(row[0] for row in test)
    # Problems of which public notes and copies say where the hub has them.
    assert {"chal-363", "chal-442", "chal-675", "chal-947", "chal-736"} <= {row[0] for row in test}
    assert {"chal-777", "chal-508", "chal-680"} <= {row[0] for row in train}
    assert len(outcome("svamp", tmp_path, splits=["train", "test"])[0]) == 1000
    assert IN_TEST.bit_count() == 300


def test_svamp_reads_the_hubs_other_files(tmp_path: Path) -> None:
    written(tmp_path / "train.json", json.dumps([svamp_row(1, ASK.format(1), "7") | {"Answer": 7.0}]))
    written(tmp_path / "test.json", json.dumps([svamp_row(2, ASK.format(2), "8") | {"Answer": 8.0}]))
    assert [row[1] for row in outcome("svamp", tmp_path, splits=["test"])[0]] == ["8"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[{", "is not JSON"),
        ('{"ID": "chal-1"}', "is not a JSON list"),
        ('[{"ID": "chal-1"}]', "row 1: has no 'Question' but 'ID'"),
        ("[7]", "row 1: is not a JSON object"),
        ("", "is empty"),
    ],
)
def test_a_list_that_is_something_else_is_one_sentence(content: str, said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "SVAMP.json", content)
    with pytest.raises(UserError, match=said) as error:
        convert("svamp", tmp_path, {})
    assert str(path) in str(error.value)


# ASDiv

PROBLEM = """
    <Problem ID="{name}" Grade="{grade}" Source="http://example.org">
        <Body>{body}</Body>
        <Question>How many?</Question>
        <Solution-Type>{kind}</Solution-Type>
        <Answer>{answer}</Answer>
        <Formula>{formula}</Formula>
    </Problem>"""


def asdiv(folder: Path, *rows: dict[str, str], place: str = "ASDiv.xml") -> Path:
    problems = "".join(
        PROBLEM.format(**({"name": f"n-{n}", "grade": "3", "body": f"Story {n}.", "kind": "Sum"} | row))
        for n, row in enumerate(rows)
    )
    head = '<?xml version="1.0" encoding="UTF-8" ?>\n<Machine-Reading-Corpus-File><ProblemSet>'
    written(folder / place, f"{head}{problems}</ProblemSet></Machine-Reading-Corpus-File>")
    return folder


@pytest.mark.parametrize(
    ("answer", "formula", "gold", "solution"),
    [
        ("9 (apples)", "7+2=9", "9", "7 + 2 = 9"),
        ("6 (cupcakes)", "(9-6)*2=6", "6", "9 - 6 = 3\n3 * 2 = 6"),
        ("3.5 (square feet)", "7/2=3.5", "3.5", "7 / 2 = 3.5"),
        ("32 (tables)", "287/9=31 r8", "32", None),
        ("121 (cups)", "315/218=1 r97; 218-97=121", "121", "315 / 218 = 1 r97\n218 - 97 = 121"),
        ("182 (sparrows)", "LCM[13,14]=182", "182", "LCM[13,14] = 182"),
        ("9.6 (km)", "3200 (m)*3=9600 m; 9600/1000 (m/km) = 9.6 (km)", "9.6", "3200 (m) * 3 = 9600 m\n9600 / 1000 (m/km) = 9.6 (km)"),
        ("42", "x:The number; 2*x=84", "42", None),
        ("8", "4, 6, 8", "8", None),
        ("6th", "3+3=6 (th)", "6", "3 + 3 = 6"),
        ("1,200 (people)", "600*2=1200", "1,200", "600 * 2 = 1200"),
        ("$5", "2+3=5", "5", "2 + 3 = 5"),
        ("3/7", "3:7=3/7", "3/7", "3:7 = 3 / 7"),
        ("-(1/3)", "n:The number; 3n=-1", "-(1/3)", None),
        ("5 (m)", "2+2=5", "5", None),
    ],
)  # fmt: skip
def test_asdiv_reads_the_number_and_keeps_a_formula_that_ends_in_it(
    answer: str, formula: str, gold: str, solution: str | None, tmp_path: Path
) -> None:
    folder = asdiv(tmp_path, {"answer": answer, "formula": formula})
    assert outcome("asdiv", folder) == ([("n-0", gold, 3, solution)], {})


def test_asdiv_drops_what_is_no_one_number(tmp_path: Path) -> None:
    ratio = {"answer": "7:6", "formula": "52-24=28; 28:24=7:6", "kind": "Ratio"}
    folder = asdiv(
        tmp_path,
        ratio,
        {"answer": "9 (apples); 8 (pears)", "formula": "x"},
        {"answer": "Yes", "formula": "x"},
        {"answer": "Vendor 2", "formula": "x"},
        {"answer": "3:30 p.m.", "formula": "x"},
        {"answer": "5:45", "formula": "hh:mm=5:45"},
    )
    kept, dropped = outcome("asdiv", folder)
    assert kept == [("n-0", "7:6", 3, "52 - 24 = 28\n28:24 = 7:6")]
    assert dropped == {"several answers": 1, "words for an answer": 3, "a time of day": 1}


def test_asdiv_keeps_the_grades_asked_for_and_reads_the_repository_as_it_is(tmp_path: Path) -> None:
    rows = [{"answer": str(n), "formula": f"{n}+0={n}", "grade": str(n)} for n in range(1, 8)]
    folder = asdiv(tmp_path, *rows, place="dataset/ASDiv.xml")
    kept, dropped = outcome("asdiv", folder, grades=[5, 6])
    assert [(level, answer) for _, answer, level, _ in kept] == [(5, "5"), (6, "6")]
    assert dropped == {"grade not asked for": 4, "no grade": 1}


def test_asdiv_reads_the_hubs_copy(tmp_path: Path) -> None:
    rows = [asdiv_row(ASK.format(1), "9"), asdiv_row(ASK.format(2), "9", solution_type="Ratio") | {"answer": "7:6"}]
    parquet(tmp_path / "asdiv/validation-00000-of-00001.parquet", ASDIV, rows)
    assert outcome("asdiv", tmp_path)[0] == [
        ("validation-00000-of-00001/0", "9", 1, "9 + 0 = 9"), ("validation-00000-of-00001/1", "7:6", 1, None)
    ]  # fmt: skip


BOMB = '<?xml version="1.0"?>\n<!DOCTYPE lolz [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n<Problem ID="1" Grade="1">&b;</Problem>'
THIEF = BOMB.replace('<!ENTITY a "aaaa">', '<!ENTITY a SYSTEM "file:///etc/passwd">')


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (BOMB, "declares a document type or entities"),
        (THIEF, "declares a document type or entities"),
        ("<?xml version='1.0'?><a>", "cannot be read as XML"),
        ("<?xml version='1.0'?><a/>", "holds no <Problem>"),
        ("<?xml version='1.0'?><a><Problem ID='1' Grade='1'/></a>", "<Problem> 1: has no 'Question'"),
        ("<!DOCTYPE html><html>Sign in</html>", "is a web page"),
        ("", "is empty"),
    ],
)
def test_an_xml_file_that_is_something_else_is_one_sentence(content: str, said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "ASDiv.xml", content)
    with pytest.raises(UserError, match=said) as error:
        convert("asdiv", tmp_path, {})
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value).strip()


# MAWPS


def test_mawps_reads_the_hubs_copy(tmp_path: Path) -> None:
    rows = [
        mawps_row("a", "Ann 's cat ate 3 % of $ 8 . How many ?", "5", equation="x=(8.0-3.0)"),
        mawps_row("b", ASK.format(2), "0.5", result="1/2", equation="x=1.0/2.0"),
        mawps_row("c", ASK.format(3), "1200", result="1_200", equation="x=1_000+200"),
        mawps_row("d", ASK.format(4), "7", equation="7.0=x+3.0"),
        mawps_row("e", ASK.format(5), "4", equation="7.0=x+3.0"),
        mawps_row("f", "Ann ate 0.3333333333333333 of a pie . How many ?", "2"),
        mawps_row("g", ASK.format(7), "12", equation="x=((1.0+2.0)*(2.0+2.0))"),
    ]
    parquet(tmp_path / "data/train-00000-of-00001-4bb1451333aad61c.parquet", MAWPS, rows)
    assert outcome("mawps", tmp_path) == (
        [
            ("mawps__a", "5", 1, "8 - 3 = 5"),
            ("mawps__b", "0.5", 1, "1 / 2 = 0.5"),
            ("mawps__c", "1200", 1, "1000 + 200 = 1200"),
            ("mawps__e", "4", 1, None),
            ("mawps__g", "12", 3, "1 + 2 = 3\n2 + 2 = 4\n3 * 4 = 12"),
        ],
        {"a decimal without an end": 1, "equation and answer disagree": 1},
    )
    assert convert("mawps", tmp_path, {})[0][0]["problem"] == "Ann's cat ate 3% of $8. How many?"


def test_mawps_reads_the_toolkits_files(tmp_path: Path) -> None:
    def row(number: int, equation: str, answer: object) -> dict[str, object]:
        text = f"Ann has {number} shells , and more . How many ?"
        return {"id": number, "original_text": text, "segmented_text": text, "equation": equation, "ans": answer}

    written(
        tmp_path / "trainset.json", json.dumps([row(1, "x=56*9", 504.0), row(2, "X=41+57", "98"), row(3, "x=1", None)])
    )
    written(tmp_path / "validset.json", json.dumps([row(4, "X=(27.0*16.0)", 432.0)]))
    written(tmp_path / "testset.json", json.dumps([row(5, "", 5)]))
    assert outcome("mawps", tmp_path) == (
        [("1", "504", 1, "56 * 9 = 504"), ("2", "98", 1, "41 + 57 = 98")], {"answer is no number": 1}
    )  # fmt: skip
    assert [row[0] for row in outcome("mawps", tmp_path, splits=["validation", "test"])[0]] == ["4", "5"]


def test_mawps_puts_the_numbers_back(tmp_path: Path) -> None:
    head = "Question,Numbers,Equation,Answer\n"
    written(
        tmp_path / "train.csv",
        head + "Ann has number0 shells and lost number1 . How many ?,8.0 2.0,- number0 number1,6\n"
        "Bob has number2 shells . How many ?,8.0 2.0,number2,6\n",
    )
    written(tmp_path / "dev.csv", head + '"Cid has N_00 , and N_01 more . How many ?",8.0 2.5,N_00 + N_01,10.5\n')
    assert outcome("mawps", tmp_path) == ([("train/0", "6", 1, "8 - 2 = 6")], {"a number is missing": 1})
    assert convert("mawps", tmp_path, {})[0][0]["problem"] == "Ann has 8 shells and lost 2. How many?"
    rows, _ = convert("mawps", tmp_path, {"splits": ["validation"]})
    assert [(row["problem"], row["answer"]) for row in rows] == [("Cid has 8, and 2.5 more. How many?", "10.5")]
    (tmp_path / "train.csv").unlink()
    written(tmp_path / "MAWPS.csv", head + "Dan has N_00 shells . How many ?,8.0,N_00,8.0\n")
    assert outcome("mawps", tmp_path)[0] == [("train/0", "8", 1, None)]


# The files of others than the hub


@pytest.mark.parametrize(
    ("loader", "files"),
    [
        ("gsm8k", ["train.jsonl", "test.jsonl"]),
        ("gsm8k", ["grade_school_math/data/train.jsonl", "grade_school_math/data/test.jsonl"]),
        ("svamp", ["SVAMP.json"]),
        ("asdiv", ["ASDiv.xml"]),
        ("asdiv", ["dataset/ASDiv.xml"]),
        ("mawps", ["testset.json", "trainset.json", "validset.json"]),
    ],
)
def test_what_somebody_put_into_the_folder_is_taken_and_no_hub_is_asked(
    loader: str, files: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    for name in [*files, "README.md", "other/train.jsonl"]:
        written(folder / name, "content")
    facts = fetch("problems.sources.x", "dataset", None, "", str(folder), str(tmp_path / "revisions.lock"), loader)
    assert sorted(facts["sums"]) == sorted(files)


def test_a_part_of_somebodys_copy_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "data/train.jsonl", "content")
    with pytest.raises(UserError, match=r"is no whole copy of openai/gsm8k, for it has no test\.jsonl"):
        fetch("problems.sources.x", "dataset", None, "", str(tmp_path / "data"), str(tmp_path / "lock"), "gsm8k")


def test_the_hubs_files_come_before_others(tmp_path: Path) -> None:
    dataset = dataset_of("gsm8k")
    assert layout_of(dataset, tmp_path / "none") == dataset.files
    written(tmp_path / "train.jsonl", "content")
    assert layout_of(dataset, tmp_path) == dataset.elsewhere[0]
    written(tmp_path / "main/train-00000-of-00001.parquet", "content")
    assert layout_of(dataset, tmp_path) == dataset.files


@pytest.mark.parametrize(("loader", "split"), [("gsm8k", "test"), ("svamp", "test"), ("mawps", "validation")])
def test_a_rehearsal_has_problems_in_every_split(loader: str, split: str, tmp_path: Path) -> None:
    write_in_shape(loader, tmp_path, [(ASK.format(n), str(n), 1) for n in range(1, 9)])
    for asked in ([split], ["train"]):
        assert len(convert(loader, tmp_path, {"splits": asked}).rows) == 8


# What a model may write for these answers


def test_the_ways_in_which_models_write_such_answers_are_told_right_from_wrong() -> None:
    right = [
        ("18", r"\$18"), ("18", r"\$18.00"), ("18", "18 dollars"), ("1200", "1,200"), ("1200", r"\$1{,}200"), ("1,200", "1200"),
        ("60", r"60\text{ apples}"), ("60", "60 apples"), ("50", r"50\%"), ("3.5", r"3\frac{1}{2}"), ("3.5", "7/2"),
        ("7:6", "7:6"), ("7:6", r"\frac{7}{6}"), ("7:6", "14:12"), ("6", "6th"), ("-(1/3)", r"-\frac{1}{3}"), ("16", r"16\text{ sq. ft}"),
    ]  # fmt: skip
    wrong = [
        ("18", "81"),
        ("60", "6"),
        ("7:6", "6:7"),
        ("120", r"2\text{ hours}"),
        ("0.2", r"20\text{ cents}"),
        ("-3", "3"),
    ]
    found = verify_answers(right + wrong, 10.0)
    assert [reason in CORRECT for reason in found] == [True] * len(right) + [False] * len(wrong)
