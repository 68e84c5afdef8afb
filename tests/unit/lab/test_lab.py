"""The lab's truth: what its problems say, what its grammar allows, and that model and card are what they claim."""

import json
import random
import re
from fractions import Fraction
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from lab.chains import SOURCES, Problem, generate, make_source, parse_problem
from lab.grammar import NotWellFormed, label_completion, label_tokens, write_trace
from lab.make_model import SHAPE

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "resources/lab/model"


def problems(count: int, seed: int = 1) -> list[Problem]:
    rng = random.Random(seed)
    return [generate(rng, rng.randint(1, 6)) for _ in range(count)]


def value_of(answer: str) -> Fraction:
    found = re.fullmatch(r"\\frac\{(\d+)\}\{(\d+)\}", answer)
    return Fraction(int(found[1]), int(found[2])) if found else Fraction(answer)


def test_a_problem_is_read_back_from_its_text() -> None:
    for problem in problems(500):
        assert parse_problem(problem.text) == problem


def test_answers_are_what_exact_arithmetic_gives() -> None:
    for problem in problems(500):
        value = Fraction(problem.start)
        for operation, operand in problem.steps:
            value = {
                "add": value + operand,
                "subtract": value - operand,
                "multiply": value * operand,
                "divide": value / operand,
            }[operation]
        assert value_of(problem.answer) == value / problem.divisor


def test_the_shipped_sources_have_the_forms_levels_and_families_that_analyses_need() -> None:
    for name, (use, *_rest) in SOURCES.items():
        rows = [json.loads(line) for line in (ROOT / f"resources/lab/problems/{name}.jsonl").read_text().splitlines()]
        made = make_source(name, 20261121)
        assert rows[: len(made)] == made, "the shipped file is not what the generator makes"
        families = {row["family"] for row in rows}
        assert len(families) < len(rows)
        forms = {
            "fraction" if "frac" in row["answer"] else "decimal" if "." in row["answer"] else "integer" for row in rows
        }
        assert forms == {"fraction", "decimal", "integer"}
        assert use in ("train", "eval")
    levels = {level for _, _, weights, _, _ in SOURCES.values() for level in weights}
    assert len(levels) >= 5


def test_every_trace_of_the_grammar_is_well_formed_and_its_labels_cover_it() -> None:
    rng = random.Random(2)
    seen = set()
    for problem in problems(400, seed=3):
        text, finished = write_trace(problem, rng)
        if not finished:
            continue
        labels = label_completion(problem, text)
        assert len(labels) == len(text)
        seen |= set(labels)
    assert seen == {"fork", "lock", "neither"}


def test_labels_are_those_a_person_would_give() -> None:
    problem = parse_problem("Start with 48. Add 27. Share among 6.")
    text = "In parts, 48+27=48+20+7=68+7=75. Wait, check: 48+27=75.\n</think>\n\nAs a ratio \\boxed{25/2}."
    labels = label_completion(problem, text)
    forks = [i for i, label in enumerate(labels) if label == "fork"]
    assert [text[i : i + 6] for i in forks] == ["In par", " Wait,", "\n</thi", "</thin", "As a r"]
    assert all(labels[i] == "lock" for i, character in enumerate(text) if character.isdigit())
    assert labels[text.index("+")] == "lock" and labels[text.index("=")] == "neither"


def test_a_slip_stands_at_a_lock_and_the_trace_goes_on_from_it() -> None:
    problem = parse_problem("Start with 48. Add 27. Add 11.")
    labels = label_completion(problem, "Then 48+27=76.\nThen 76+11=87.\n</think>\n\nThe answer is \\boxed{87}.")
    assert labels[11] == "lock"


@pytest.mark.parametrize(
    "text", ["Then 48+27=75.\n", "So what?", "Then 48+27=75.\n</think>\n\nThe answer is \\boxed{75}. Bye"]
)
def test_what_leaves_the_grammar_is_not_labelled(text: str) -> None:
    with pytest.raises(NotWellFormed):
        label_completion(parse_problem("Start with 48. Add 27."), text)


def test_no_token_straddles_two_parts_of_the_grammar() -> None:
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    rng = random.Random(4)
    for problem in problems(200, seed=5):
        text, finished = write_trace(problem, rng)
        if not finished:
            continue
        encoding = tokenizer.encode(text)
        characters = label_completion(problem, text)
        labels = label_tokens(problem, text, encoding.offsets)
        assert tokenizer.decode(encoding.ids, skip_special_tokens=False) == text
        for (start, end), label in zip(encoding.offsets, labels, strict=True):
            rest = set(characters[start + 1 : end])
            assert (label == "fork" and rest <= {"neither"}) or rest <= {label}


def test_the_model_is_small_and_of_the_shape_its_script_says() -> None:
    assert (MODEL / "model.safetensors").stat().st_size <= 6_000_000
    config = json.loads((MODEL / "config.json").read_text())
    assert {key: config[key] for key in SHAPE} == SHAPE


def test_the_model_card_meets_the_requirements_of_the_lab() -> None:
    measured = json.loads((MODEL / "measured.json").read_text())
    decodes = measured["decodes"]
    assert 0.45 <= decodes["t07"]["accuracy"] <= 0.70
    assert 0.05 <= decodes["t10"]["cut_rate"] <= 0.15
    best = max(row["accuracy"] for row in decodes.values())
    assert decodes["t15"]["accuracy"] <= best - 0.15
    assert decodes["t10"]["loops"] > 0
    card = (MODEL / "README.md").read_text()
    for row in decodes.values():
        assert f"{row['accuracy']:.1%}" in card
