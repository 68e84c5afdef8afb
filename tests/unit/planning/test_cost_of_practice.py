"""What practice costs: answers that are sampled, read and learnt, in sums that can be done by hand."""

from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from selfdistill.planning import printed
from selfdistill.planning.cost import Stage, expected_length, hours_of_practices, stages
from selfdistill.planning.figures import Figures, load_throughputs
from selfdistill.planning.printed import memory_line, practice_line
from selfdistill.study.load import load_study
from selfdistill.study.study import Study

FIGURES = ROOT / "config/throughputs.yaml"
LAB = yaml.safe_load((ROOT / "config/practice-lab.yaml").read_text())
SAMPLED, LEARNT, STARTED = 12_900, 7_400, 4.7 + 1.3  # tokens a second, seconds: config/throughputs.yaml
PROMPT, ANSWER = 63, 85
ANSWERS = 10 * 128


def planned(*arms: str) -> tuple[Study, dict[str, Stage]]:
    raw = LAB | {"arms": {name: LAB["arms"][name] | {"seeds": [0]} for name in arms}, "hypotheses": {}}
    raw["practice"] = {key: value for key, value in LAB["practice"].items() if key != "support"}
    study = load_study(raw, ROOT)
    parts = stages(study, Figures(load_throughputs(FIGURES), study, Path("config/throughputs.yaml")))
    return study, {part.name: part for part in parts}


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def seconds(arm: str) -> float:
    return (
        planned("grpo", arm)[1]["practise"].expected.cpu_hours * 3600
        - planned("grpo")[1]["practise"].expected.cpu_hours * 3600
    )


def test_an_answer_is_sampled_once_learnt_once_and_read_by_whoever_reads_it() -> None:
    """By a reward: the student and the base read it. By a teacher who is told: he too, behind a prompt that may be as long."""
    _, parts = planned("grpo")
    practise = parts["practise"]
    assert practise.rules == {"questions": 1, "practice": 1} and practise.requests == ANSWERS
    assert practise.expected.tokens == ANSWERS * ANSWER and practise.worst.tokens == ANSWERS * 224
    by_hand = ANSWERS * (ANSWER / SAMPLED + (PROMPT + ANSWER) * (1 + 2 / 3) / LEARNT) + STARTED
    assert practise.expected.cpu_hours * 3600 == pytest.approx(by_hand)
    assert "train" not in parts and parts["sample training data"].requests == 0


def test_who_replays_samples_nothing_and_who_is_told_reads_twice_as_much() -> None:
    sampling, reading = ANSWERS * ANSWER / SAMPLED, ANSWERS * (PROMPT + ANSWER) / LEARNT
    assert seconds("sdpo") == pytest.approx(sampling + reading * (1 + 4 / 3) + STARTED)
    assert seconds("null-teacher") == pytest.approx(sampling + reading * (1 + 3 / 3) + STARTED)
    assert seconds("sdpo-replays-grpo") == pytest.approx(reading * (1 + 4 / 3) + STARTED)
    both = planned("grpo", "sdpo-replays-grpo")[1]["practise"]
    assert both.requests == ANSWERS and both.expected.tokens == ANSWERS * ANSWER


def test_a_job_that_practises_holds_what_samples_and_what_trains() -> None:
    said = memory_line(planned("grpo")[0])
    assert "practice" in said and "train " not in said


def test_the_hours_of_a_training_are_told_where_one_job_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    study, parts = planned("grpo")
    figures = Figures(load_throughputs(FIGURES), study, Path("config/throughputs.yaml"))
    hours = hours_of_practices(study, figures, expected_length(figures))
    assert hours == {"grpo": pytest.approx(parts["practise"].expected.cpu_hours)}
    assert not practice_line(study, figures)
    field = load_study(yaml.safe_load((ROOT / "config/practice-qwen3-8b.yaml").read_text()), ROOT)
    figures = Figures(load_throughputs(FIGURES), field, Path("config/throughputs.yaml"))
    said = practice_line(field, figures)
    assert said.startswith("One training takes by the clock: grpo ") and said.endswith("and a retry resumes.")
    monkeypatch.setattr(printed, "RETRIES", 0)
    assert "its 1 jobs have 48 hours together, which may not do for grpo" in practice_line(field, figures)
