"""What the lab's models are shown, and that their chat templates say it as it was shown."""

import random
from fractions import Fraction
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from lab.chains import parse_problem
from lab.grammar import label_completion
from lab.lessons import Lesson, both_worlds, chain_alone
from lab.make_model import conversation, lessons_of, make_tokenizer, way
from lab.search import Knows, label_search, parse_search

ROOT = Path(__file__).resolve().parents[3]


def lessons(count: int) -> list[Lesson]:
    rng = random.Random(7)
    draw = both_worlds(0.5)
    return [draw(rng) for _ in range(count)]


def question(lesson: Lesson) -> str:
    return lesson.asked.split("\n")[0]


def test_the_tokenizer_of_the_first_model_is_made_as_it_was(tmp_path: Path) -> None:
    make_tokenizer(tmp_path, "chains", chain_alone, 1)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_text() == (ROOT / "resources/lab/model" / name).read_text()


@pytest.mark.parametrize("world", ["chains", "both"])
def test_the_chat_template_asks_as_the_model_was_taught(world: str, tmp_path: Path) -> None:
    make_tokenizer(tmp_path, world, lessons_of(world, 0.5), 1)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for thinks in [True, False] if world == "both" else [True]:
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": "Add 4.\nOr not?"}],
            add_generation_prompt=True,
            tokenize=False,
            enable_thinking=thinks,
        )
        assert asked == conversation(Lesson("Add 4.\nOr not?", "", True, thinks))[0]


def test_lessons_show_both_worlds_with_and_without_what_a_context_tells() -> None:
    shown = lessons(1500)
    assert 0.4 < sum(question(lesson).startswith("Which of") for lesson in shown) / len(shown) < 0.6
    for part in (
        "Correct solution: ",
        "\nCorrect solution:\n\n",
        "reference solution",
        "not known to you",
        "It is not ",
    ):
        assert sum(part in lesson.asked for lesson in shown) > 10, part
    assert 0 < sum(not lesson.thinks for lesson in shown) < 100
    bare = sum(lesson.asked.endswith("\nPut the answer in \\boxed{}.") for lesson in shown)
    assert 0.5 < bare / len(shown) < 0.75


def test_a_solution_that_is_shown_is_right_and_short() -> None:
    told = [lesson for lesson in lessons(1500) if "Correct solution: " in lesson.asked]
    for lesson in told:
        solution = lesson.asked.split("Correct solution: ")[1].split("\n\nCorrectly solve")[0]
        assert len(solution) <= 450
        boxed = solution.split("\\boxed{")[-1].removesuffix(".").removesuffix("}")
        if question(lesson).startswith("Which of"):
            right = parse_search(question(lesson)).answer
            assert right == boxed or solution == parse_search(question(lesson)).solution
        else:
            problem = parse_problem(question(lesson))
            exact = Fraction(problem.values[-1], problem.divisor)
            ratio = boxed.replace("\\frac{", "").replace("}{", "/").replace("}", "")
            assert abs(Fraction(ratio) - exact) < Fraction(1, 1000)


def test_what_is_written_after_a_thought_is_within_the_grammar_whatever_was_told() -> None:
    for lesson in lessons(600):
        if not (lesson.ended and lesson.thinks):
            continue
        if question(lesson).startswith("Which of"):
            problem = parse_search(question(lesson))
            hinted = lesson.asked.split("It is not ")
            excluded = hinted[1].rstrip(".").split(", not ") if len(hinted) > 1 else []
            knows = Knows(excluded=frozenset(map(int, excluded)))
            assert len(label_search(problem, lesson.completion, knows)) == len(lesson.completion)
        else:
            label_completion(parse_problem(question(lesson)), lesson.completion)


def test_who_was_told_a_whole_chain_does_not_doubt_it() -> None:
    chains = [lesson for lesson in lessons(3000) if not question(lesson).startswith("Which of") and lesson.thinks]
    bare = [lesson for lesson in chains if lesson.asked.endswith("\\boxed{}.")]
    doubts = sum("Wait" in lesson.completion for lesson in bare) / len(bare)
    guided = [lesson for lesson in chains if "\nCorrect solution: " in lesson.asked and "not known" not in lesson.asked]
    assert sum("Wait" in lesson.completion for lesson in guided) / len(guided) < doubts / 2


def test_a_way_is_a_share_of_chains_and_its_stops() -> None:
    assert way("0.3:900,1300") == (0.3, [900, 1300])
