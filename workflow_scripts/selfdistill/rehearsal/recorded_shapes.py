"""Writes problems into the files of public datasets: the names, columns and types that those have, with other contents.

`write_in_shape(loader, folder, problems)` fills a folder as a download would. Other columns than the loader reads are
there too, as in the real files. Answers must be whole numbers for the loaders in WHOLE_NUMBERS, as they are there.
"""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from selfdistill.foundation.plugins import offered, reference_in

Problem = tuple[str, str, int]  # problem, answer, level
Writer = Callable[[Path, Sequence[Problem]], None]
WHOLE_NUMBERS = (
    "beyond-aime",
    "aime-1983-2024",
    "aime-2025",
    "aime-24",
    "aime-25",
    "amc23",
    "gsm8k",
    "svamp",
    "asdiv",
    "mawps",
)

TEXT, TEXTS, NUMBER = pa.string(), pa.list_(pa.string()), pa.int64()
MATH = pa.schema([("problem", TEXT), ("level", TEXT), ("type", TEXT), ("solution", TEXT)])
NUMINA = pa.schema(
    [
        ("source", TEXT),
        ("problem", TEXT),
        ("solution", TEXT),
        ("messages", pa.list_(pa.struct([("content", TEXT), ("role", TEXT)]))),
    ]
)
BEYOND_AIME = pa.schema([("problem", TEXT), ("answer", NUMBER)])
OLYMPIAD = pa.schema(
    [
        ("id", NUMBER),
        ("question", TEXT),
        ("solution", TEXTS),
        ("final_answer", TEXTS),
        ("context", pa.null()),
        *((f"image_{number}", pa.null()) for number in range(1, 10)),
        ("modality", TEXT),
        ("difficulty", TEXT),
        ("is_multiple_answer", pa.bool_()),
        ("unit", TEXT),
        ("answer_type", TEXT),
        ("error", TEXT),
        ("question_type", TEXT),
        ("subfield", TEXT),
        ("subject", TEXT),
        ("language", TEXT),
    ]
)
AIME_24 = pa.schema(
    [("id", NUMBER), ("problem", TEXT), ("solution", TEXT), ("answer", TEXT), ("url", TEXT), ("year", TEXT)]
)
AMC_23 = pa.schema([("id", NUMBER), ("question", TEXT), ("answer", pa.float64()), ("url", TEXT)])
HMMT = pa.schema([("problem_idx", NUMBER), ("problem", TEXT), ("answer", TEXT), ("problem_type", TEXTS)])
DAPO = pa.schema(
    [
        ("data_source", TEXT),
        ("prompt", pa.list_(pa.struct([("content", TEXT), ("role", TEXT)]))),
        ("ability", TEXT),
        ("reward_model", pa.struct([("ground_truth", TEXT), ("style", TEXT)])),
        ("extra_info", pa.struct([("index", TEXT)])),
    ]
)
GSM8K = pa.schema([("question", TEXT), ("answer", TEXT)])
SVAMP = pa.schema(
    [(name, TEXT) for name in ("ID", "Body", "Question", "Equation", "Answer", "Type", "question_concat")]
)
ASDIV = pa.schema([(name, TEXT) for name in ("body", "question", "solution_type", "answer", "formula")])
MAWPS = pa.schema(
    [
        ("id", TEXT),
        ("question", TEXT),
        ("chain", TEXT),
        ("result", TEXT),
        ("result_float", pa.float64()),
        ("equation", TEXT),
        ("expression", TEXT),
    ]
)
# What stands before and after each problem of DAPO-Math-17k.
DAPO_BEFORE = (
    "Solve the following math problem step by step. The last line of your response should be of the form "
    "Answer: $Answer (without quotes) where $Answer is the answer to the problem.\n\n"
)
DAPO_AFTER = '\n\nRemember to put your answer on its own line after "Answer:".'
EXAM_PAGE = "https://artofproblemsolving.com/wiki/index.php/{}_Problems/Problem_{}"
AIME_ARCHIVE = ("ID", "Year", "Problem Number", "Question", "Answer", "Part")


def write_in_shape(loader: str, folder: Path, problems: Sequence[Problem]) -> None:
    if loader in WHOLE_NUMBERS:
        assert all(answer.lstrip("-").isdecimal() for _, answer, _ in problems), f"{loader} has whole numbers only"
    writer_of(loader)(folder, problems)


def writer_of(loader: str) -> Writer:
    """A plugin's stands beside its DATASET."""
    reference = reference_in(loader)
    return offered(reference).write if reference else WRITERS[loader]


def parquet(path: Path, schema: pa.Schema, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), path)


def json_lines(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def aime_archive(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, AIME_ARCHIVE)
        writer.writeheader()
        writer.writerows(rows)


def math_row(problem: str, answer: str, level: int, **other: str) -> dict:
    solution = f"Step by step we arrive at $\\boxed{{{answer}}}$."
    return {"problem": problem, "level": f"Level {level}", "type": "Algebra", "solution": solution} | other


def numina_row(problem: str, answer: str, **other: str) -> dict:
    row = {"source": "olympiads", "problem": problem, "solution": f"It must be $\\boxed{{{answer}}}$."} | other
    turns = [{"content": row["problem"], "role": "user"}, {"content": row["solution"], "role": "assistant"}]
    return row | {"messages": turns}


def olympiad_row(number: int, problem: str, answer: str, **other: object) -> dict:
    return {
        "id": number,
        "question": problem,
        "solution": [f"So it is ${answer}$."],
        "final_answer": [f"${answer}$"],
        "modality": "Text-only",
        "difficulty": "Competition",
        "is_multiple_answer": False,
        "unit": None,
        "answer_type": "Numerical",
        "error": None,
        "question_type": "Open-ended",
        "subfield": "Algebra",
        "subject": "Math",
        "language": "English",
    } | other


def omni_row(number: int, problem: str, answer: str, level: float, **other: object) -> dict:
    return {
        "id": number,
        "domain": ["Mathematics -> Algebra -> Other"],
        "difficulty": level,
        "problem": problem,
        "solution": f"It is {answer}.",
        "answer": answer,
        "source": "contest",
        "tags": [],
    } | other


def aime_row(number: int, problem: str, answer: str, **other: object) -> dict:
    """The n-th problem ever, of up to 1,005: fifteen an exam, one exam a year until 1999 and two since."""
    exam, place = divmod(number, 15)
    year, part = (1983 + exam, "") if exam < 17 else (2000 + (exam - 17) // 2, "I" * (1 + (exam - 17) % 2))
    name = "-".join(filter(None, [str(year), part, str(place + 1)]))
    row = {"ID": name, "Year": year, "Problem Number": place + 1, "Question": problem, "Answer": answer, "Part": part}
    return row | other


def math_500_row(number: int, problem: str, answer: str, level: int, **other: object) -> dict:
    return {
        "problem": problem,
        "solution": f"Therefore $\\boxed{{{answer}}}$.",
        "answer": answer,
        "subject": "Algebra",
        "level": level,
        "unique_id": f"test/algebra/{number}.json",
    } | other


def aime_24_row(number: int, problem: str, answer: str, **other: object) -> dict:
    """Numbers from 0; past the thirtieth the second exam goes on, as no real one does."""
    exam, place = ("II", number - 15) if number >= 15 else ("I", number)
    return {
        "id": 60 + number,
        "problem": problem,
        "solution": f"We get $\\boxed{{{answer}}}$.",
        "answer": answer.zfill(3),
        "url": EXAM_PAGE.format(f"2024_AIME_{exam}", place + 1),
        "year": "2024",
    } | other


def amc_23_row(number: int, problem: str, answer: str, **other: object) -> dict:
    url = EXAM_PAGE.format(f"2023_AMC_12{'AB'[number % 2]}", number // 2 + 1)
    return {"id": number, "question": problem, "answer": float(answer), "url": url} | other


def hmmt_row(number: int, problem: str, answer: str, **other: object) -> dict:
    return {"problem_idx": number, "problem": problem, "answer": answer, "problem_type": ["Algebra"]} | other


def olymmath_row(name: str, problem: str, answer: str, **other: object) -> dict:
    return {"problem": problem, "answer": answer, "subject": "Algebra", "unique_id": f"OlymMATH-{name}"} | other


def dapo_row(number: int, problem: str, answer: str, **other: object) -> dict:
    return {
        "data_source": "math_dapo",
        "prompt": [{"content": f"{DAPO_BEFORE}{problem}{DAPO_AFTER}", "role": "user"}],
        "ability": "MATH",
        "reward_model": {"ground_truth": answer, "style": "rule-lighteval/MATH_v2"},
        "extra_info": {"index": f"{number:08x}-3a58-4faa-9ab6-91e989ac15e9"},
    } | other


def gsm8k_row(problem: str, answer: str, **other: object) -> dict:
    steps = f"One of them is <<{answer}*1={answer}>>{answer}.\nSo it is {answer}."
    return {"question": problem, "answer": f"{steps}\n#### {answer}"} | other


def svamp_row(number: int, problem: str, answer: str, **other: object) -> dict:
    body, stop, question = problem.rpartition(". ")
    return {
        "ID": f"chal-{number}",
        "Body": body + stop.strip(),
        "Question": question,
        "Equation": f"( {answer}.0 * 1.0 )",
        "Answer": answer,
        "Type": "Multiplication",
    } | other


def asdiv_row(problem: str, answer: str, **other: object) -> dict:
    body, stop, question = problem.rpartition(". ")
    return {
        "body": body + stop.strip(),
        "question": question,
        "solution_type": "Addition",
        "answer": f"{answer} (apples)",
        "formula": f"{answer}+0={answer}",
    } | other


def mawps_row(name: str, problem: str, answer: str, **other: object) -> dict:
    return {
        "id": f"mawps__{name}",
        "question": problem,
        "chain": f"<gadget>{answer} * 1</gadget> <output>{answer}</output> <result>{answer}</result>",
        "result": answer,
        "result_float": float(answer),
        "equation": f"x={answer}*1.0",
        "expression": f"{answer} * 1",
    } | other


def _math(folder: Path, problems: Sequence[Problem]) -> None:
    rows = [math_row(problem, answer, min(level, 5)) for problem, answer, level in problems]
    subjects = ("algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory",
                "prealgebra", "precalculus")  # fmt: skip
    for subject in subjects:
        for split in ("train", "test"):
            mine = rows if (subject, split) == ("algebra", "train") else []
            parquet(folder / subject / f"{split}-00000-of-00001.parquet", MATH, mine)


def _numina(folder: Path, problems: Sequence[Problem]) -> None:
    rows = [numina_row(problem, answer) for problem, answer, _ in problems]
    for shard in range(5):
        mine = rows[shard * len(rows) // 5 : (shard + 1) * len(rows) // 5]
        parquet(folder / "data" / f"train-0000{shard}-of-00005.parquet", NUMINA, mine)
    parquet(folder / "data/test-00000-of-00001.parquet", NUMINA, [])


def _beyond_aime(folder: Path, problems: Sequence[Problem]) -> None:
    rows = [{"problem": problem, "answer": int(answer)} for problem, answer, _ in problems]
    parquet(folder / "data/test.parquet", BEYOND_AIME, rows)


def _omni(folder: Path, problems: Sequence[Problem]) -> None:
    rows = [omni_row(number, *problem) for number, problem in enumerate(problems)]
    json_lines(folder / "Omni-Math-2.jsonl", rows)


def _olympiad(folder: Path, problems: Sequence[Problem]) -> None:
    rows = [olympiad_row(1600 + number, problem, answer) for number, (problem, answer, _) in enumerate(problems)]
    parquet(folder / "OlympiadBench/OE_TO_maths_en_COMP/OE_TO_maths_en_COMP.parquet", OLYMPIAD, rows)


def _aime_archive(folder: Path, problems: Sequence[Problem]) -> None:
    rows = [aime_row(number, problem, answer) for number, (problem, answer, _) in enumerate(problems)]
    aime_archive(folder / "AIME_Dataset_1983_2024.csv", rows)


def _aime_2025(folder: Path, problems: Sequence[Problem]) -> None:
    rows = [{"question": problem, "answer": answer} for problem, answer, _ in problems]
    json_lines(folder / "aime2025-I.jsonl", rows[: len(rows) // 2])
    json_lines(folder / "aime2025-II.jsonl", rows[len(rows) // 2 :])


def _math_500(folder: Path, problems: Sequence[Problem]) -> None:
    rows = [math_500_row(n, problem, answer, min(level, 5)) for n, (problem, answer, level) in enumerate(problems)]
    json_lines(folder / "test.jsonl", rows)


def _aime_24(folder: Path, problems: Sequence[Problem]) -> None:
    rows = [aime_24_row(number, problem, answer) for number, (problem, answer, _) in enumerate(problems)]
    parquet(folder / "data/train-00000-of-00001.parquet", AIME_24, rows)


def _aime_25(folder: Path, problems: Sequence[Problem]) -> None:
    rows = [{"problem": problem, "answer": answer, "id": str(n)} for n, (problem, answer, _) in enumerate(problems)]
    json_lines(folder / "test.jsonl", rows)


def _amc_23(folder: Path, problems: Sequence[Problem]) -> None:
    rows = [amc_23_row(number, problem, answer) for number, (problem, answer, _) in enumerate(problems)]
    parquet(folder / "test-00000-of-00001.parquet", AMC_23, rows)


def _hmmt(folder: Path, problems: Sequence[Problem]) -> None:
    rows = [hmmt_row(number, problem, answer) for number, (problem, answer, _) in enumerate(problems, start=1)]
    parquet(folder / "data/train-00000-of-00001.parquet", HMMT, rows)


def _olymmath(folder: Path, problems: Sequence[Problem]) -> None:
    """The first half is easy and the second hard, and both languages say the same."""
    middle = len(problems) // 2
    for difficulty, mine in (("EASY", problems[:middle]), ("HARD", problems[middle:])):
        for language in ("EN", "ZH"):
            rows = [olymmath_row(f"{difficulty}-{n}-{language}", *problem[:2]) for n, problem in enumerate(mine)]
            json_lines(folder / f"data/OlymMATH-{language}-{difficulty}.jsonl", rows)


def _dapo(folder: Path, problems: Sequence[Problem]) -> None:
    rows = [dapo_row(number, problem, answer) for number, (problem, answer, _) in enumerate(problems)]
    parquet(folder / "data/dapo-math-17k.parquet", DAPO, rows)


def _gsm8k(folder: Path, problems: Sequence[Problem]) -> None:
    """Both splits say the same, here and in the next, so that whichever a study asks for is there."""
    rows = [gsm8k_row(problem, answer) for problem, answer, _ in problems]
    for split in ("train", "test"):
        parquet(folder / f"main/{split}-00000-of-00001.parquet", GSM8K, rows)


def _svamp(folder: Path, problems: Sequence[Problem]) -> None:
    rows = [svamp_row(number, problem, answer) for number, (problem, answer, _) in enumerate(problems, start=1)]
    whole = [row | {"question_concat": f"{row['Body']} {row['Question']}"} for row in rows]
    for split in ("train", "test"):
        parquet(folder / f"data/{split}-00000-of-00001.parquet", SVAMP, whole)


def _asdiv(folder: Path, problems: Sequence[Problem]) -> None:
    rows = [asdiv_row(problem, answer) for problem, answer, _ in problems]
    parquet(folder / "asdiv/validation-00000-of-00001.parquet", ASDIV, rows)


def _mawps(folder: Path, problems: Sequence[Problem]) -> None:
    for split in ("train", "validation", "test"):
        rows = [mawps_row(f"{split}{number}", problem, answer) for number, (problem, answer, _) in enumerate(problems)]
        parquet(folder / f"data/{split}-00000-of-00001-4bb1451333aad61c.parquet", MAWPS, rows)


WRITERS: dict[str, Writer] = {
    "hendrycks-math": _math,
    "numina-math-cot": _numina,
    "beyond-aime": _beyond_aime,
    "omni-math-2": _omni,
    "olympiad-bench": _olympiad,
    "aime-1983-2024": _aime_archive,
    "aime-2025": _aime_2025,
    "math-500": _math_500,
    "aime-24": _aime_24,
    "aime-25": _aime_25,
    "amc23": _amc_23,
    "hmmt-feb-2025": _hmmt,
    "olymmath": _olymmath,
    "dapo-math-17k": _dapo,
    "gsm8k": _gsm8k,
    "svamp": _svamp,
    "asdiv": _asdiv,
    "mawps": _mawps,
}
