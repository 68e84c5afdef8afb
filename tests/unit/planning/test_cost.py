"""What a plan of cost refuses and asks for, and sums that can be done by hand."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.commands.main import run as command
from selfdistill.foundation.errors import UserError
from selfdistill.planning.cost import Amount, Stage, stages, total
from selfdistill.planning.figures import Figures, between_sizes, load_throughputs
from selfdistill.planning.printed import time_line, waiting
from selfdistill.study.load import load_study, read_study

FIGURES = ROOT / "config/throughputs.yaml"


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def changed(tmp_path: Path, file: Path, change: Any) -> Path:
    content = yaml.safe_load(file.read_text())
    change(content)
    (tmp_path / file.name).write_text(yaml.safe_dump(content, sort_keys=False))
    return tmp_path / file.name


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    command(["plan", *arguments])
    return capsys.readouterr().out


SHIPPED = [str(file.relative_to(ROOT)) for file in (ROOT / "config.yaml", *sorted((ROOT / "config").glob("*.yaml")))]


@pytest.mark.parametrize("study", [name for name in SHIPPED if "throughputs" not in name])
def test_every_shipped_study_has_a_plan(study: str, capsys: pytest.CaptureFixture[str]) -> None:
    content = yaml.safe_load((ROOT / study).read_text())
    if "/runs/" in content["model"]["path"]:  # a checkpoint of another study, which is to be run first
        with pytest.raises(UserError, match="run that study first"):
            command(["plan", study])
        return
    said = printed(capsys, study)
    assert "total" in said and "The plan rests on these figures" in said
    assert ("What this study detects with 80% power" in said) == bool(content.get("hypotheses"))


def test_hours_disk_and_money_are_the_figures_times_what_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    plan = json.loads(printed(capsys, "config/qwen3.5-4b.yaml", "--price", "2", "--json"))
    by_name = {stage["name"]: stage for stage in plan["stages"]}
    training = by_name["sample training data"]
    # Six decodes of 4,000 samples of 0.45 × 32,768 tokens, in six times eight jobs that each start an engine.
    assert (training["jobs"], training["requests"]) == (48, 24_000)
    assert training["expected"]["tokens"] == pytest.approx(24_000 * 0.45 * 32_768)
    share = (0.45 * 32_768 - 4096) / (32_768 - 4096)
    per_token = (1 - share) / 9300 + share / 4200
    hours = (24_000 * 0.45 * 32_768 * per_token + 48 * 158) / 3600
    assert training["expected"]["gpu_hours"] == pytest.approx(hours)
    assert training["worst"]["gpu_hours"] == pytest.approx((24_000 * 32_768 / 4200 + 48 * 158) / 3600)
    # 27 runs of four exports of bf16 weights, and one run's two checkpoints of weights and two moments in float32.
    assert by_name["train"]["expected"]["disk_bytes"] == pytest.approx(27 * 4 * 8.412e9 + 2 * 12 * 4.206e9)
    assert plan["money"]["expected"] == pytest.approx(2 * plan["total"]["expected"]["gpu_hours"])
    assert plan["total"]["expected"]["gpu_hours"] < plan["total"]["worst"]["gpu_hours"]


def test_an_arm_on_solutions_is_trained_and_nothing_is_sampled_for_it(tmp_path: Path) -> None:
    """Its tokens are those of the prompts and of the solutions, which are not drawn and so have no worst case."""
    raw = read_study(ROOT / "config.yaml")
    study = load_study(raw, ROOT)
    raw["arms"]["solved"] = {"samples": "reference"}
    solved = load_study(raw, ROOT)
    stated = load_throughputs(FIGURES)
    before, after = (
        {part.name: part for part in stages(each, Figures(stated, each, FIGURES))} for each in (study, solved)
    )
    assert after["sample training data"] == before["sample training data"]
    assert after["train"].rules == before["train"].rules | {
        "reference_dataset": 1, "train": before["train"].rules["train"] + 1,
    }  # fmt: skip
    assert "references" in after["problems, plans, analysis"].rules
    more = after["train"].expected.tokens - before["train"].expected.tokens
    assert more == pytest.approx(study.training.examples * (55 + 68))
    assert after["train"].worst.tokens - before["train"].worst.tokens == pytest.approx(more)
    without = changed(tmp_path, FIGURES, lambda content: content["models"]["lab"].pop("reference_tokens"))
    with pytest.raises(UserError, match=r"models\.lab\.reference_tokens is not stated"):
        stages(solved, Figures(load_throughputs(without), solved, without))


def test_a_figure_that_is_not_stated_is_asked_for_by_name(tmp_path: Path) -> None:
    without = changed(tmp_path, FIGURES, lambda content: content["models"]["lab"].pop("completion_tokens"))
    with pytest.raises(UserError, match=r"models\.lab\.completion_share is not stated; measure it .* assumed"):
        command(["plan", "config.yaml", "--throughputs", str(without)])


def test_a_model_without_figures_and_a_machine_without_speeds_are_one_sentence(tmp_path: Path) -> None:
    unknown = changed(tmp_path, FIGURES, lambda content: content["models"]["lab"].update(known_by="another"))
    with pytest.raises(
        UserError, match="models has no entry whose known_by is a part of 'resources/lab/model'; add one"
    ):
        command(["plan", "config.yaml", "--throughputs", str(unknown)])
    on_gpu = changed(tmp_path, ROOT / "config.yaml", lambda study: study["sampling"].update(gpus=1))
    with pytest.raises(UserError, match=r"models\.lab\.places\.h200\.sampling is not stated"):
        command(["plan", str(on_gpu)])


def test_a_figure_without_its_source_is_refused(tmp_path: Path) -> None:
    bare = changed(tmp_path, FIGURES, lambda content: content["models"]["lab"].update(prompt_tokens={"value": 3}))
    with pytest.raises(UserError, match=r"models\.lab\.prompt_tokens\.how: field required; a figure is"):
        command(["plan", "config.yaml", "--throughputs", str(bare)])


def test_too_few_samples_for_the_filter_are_said_before_they_are_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "about 1,900 are expected to finish; every arm trains on 1,600, which is enough" in printed(
        capsys, "config.yaml"
    )
    study = changed(tmp_path, ROOT / "config.yaml", lambda study: study["training"].update(examples=1984))
    assert "too few: raise training.samples" in printed(capsys, str(study))


def test_longer_and_more_answers_cost_more(tmp_path: Path) -> None:
    def hours(change: Any) -> float:
        study = load_study(read_study(changed(tmp_path, ROOT / "config.yaml", change)))
        figures = Figures(load_throughputs(FIGURES), study, FIGURES)
        return total(stages(study, figures)).expected.cpu_hours

    base = hours(lambda study: None)
    assert hours(lambda study: study["evaluation"].update(draws=3)) > base
    assert hours(lambda study: study["arms"]["ssd"].update(seeds=[0, 1, 2])) > base
    assert hours(lambda study: study["training"].update(max_steps=10)) < base


def test_between_two_models_that_were_timed_a_speed_follows_the_size() -> None:
    known = {1e6: 1e-4, 1e8: 1e-2}
    assert between_sizes(1e7, known) == pytest.approx(1e-3)  # halfway on the scale of ratios
    assert between_sizes(4e8, known) == pytest.approx(4e-2)  # in proportion beyond the largest
    assert between_sizes(1e5, known) == 1e-4  # level below the smallest
    assert between_sizes(1e8, known) == pytest.approx(1e-2)


def without_gpus(study: dict[str, Any]) -> None:
    study["sampling"]["gpus"] = study["training"]["gpus"] = 0


def test_a_model_that_nobody_timed_on_a_cpu_is_planned_by_its_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = changed(tmp_path, ROOT / "config/qwen3.5-0.8b.yaml", without_gpus)
    plan = json.loads(printed(capsys, str(study), "--json"))
    assert plan["total"]["expected"]["gpu_hours"] == 0 and plan["total"]["expected"]["cpu_hours"] > 100
    computed = [figure for key, figure in plan["figures"].items() if "qwen3.5-0.8b.places.cpu" in key]
    assert computed and all(
        figure["how"] == "computed" and "by the number of parameters" in figure["source"] for figure in computed
    )
    # Its 0.85 billion parameters beyond the 135 million of the largest that was timed.
    stated = load_throughputs(FIGURES).models["smollm2-135m"]
    assert stated.parameters
    slowest = min(rate.per_second for rate in stated.places["cpu"].sampling)
    found = next(figure for key, figure in plan["figures"].items() if "cpu.sampling" in key)
    assert found["per_second"] == pytest.approx(slowest * stated.parameters.value / 0.85e9)


def test_who_has_a_laptop_is_told_how_long_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, "config.yaml")
    assert re.search(r"Time: about \d+ minutes on the .*cores? of this machine", said)
    assert re.search(r"Main memory of one process: sample \d\.\d GB, .*train \d\.\d GB", said)
    assert "Time: about" not in printed(capsys, "config/qwen3.5-4b.yaml")


def test_no_more_cores_work_than_there_are_jobs() -> None:
    study = load_study(read_study(ROOT / "config.yaml"))
    one = Stage("sample", {"sample": 1}, 10, Amount(cpu_hours=1), Amount(cpu_hours=2))
    four = Stage("sample", {"sample": 4}, 10, Amount(cpu_hours=8), Amount(cpu_hours=8))
    assert waiting(study, [one, four], 2, "expected") == 1 + 4
    assert waiting(study, [one, four], 8, "worst") == 2 + 2
    assert "about 5 hours on the 2 cores of this machine" in time_line(study, [one, four], cores=2)


def test_examples_make_every_trained_prompt_longer(tmp_path: Path) -> None:
    solved = {"problem": "p" * 100, "completion": "c" * 200}
    (tmp_path / "shown.jsonl").write_text(f"{json.dumps(solved)}\n" * 3)
    raw = read_study(ROOT / "config.yaml")
    usual = Figures(load_throughputs(FIGURES), load_study(raw), FIGURES)
    raw["problems"]["examples"] = str(tmp_path / "shown.jsonl")
    shown = Figures(load_throughputs(FIGURES), load_study(raw), FIGURES)
    wording = len(raw["problems"]["prompt"]) - len("{problem}")
    longer = 3 * (wording + 300) / 3
    assert shown.value("prompt_tokens") == pytest.approx(usual.value("prompt_tokens") + longer)
    assert "3 to a token" in shown.used[f"models.{shown.name}.prompt_tokens"].source


def test_probing_is_one_reading_of_every_carrier_by_every_probed_model() -> None:
    raw = read_study(ROOT / "config/smoke.yaml")
    raw.pop("mechanism", None)
    stated = load_throughputs(FIGURES)

    def planned(**section: Any) -> dict[str, Stage]:
        study = load_study(raw | ({"mechanism": section} if section else {}), ROOT)
        return {part.name: part for part in stages(study, Figures(stated, study, FIGURES))}

    assert "probe" not in planned()
    probing = planned(decode="t07", carriers=40, strips=1, positions={"regular": 4, "random": 4, "heuristic": 2})[
        "probe"
    ]
    figures = Figures(stated, load_study(raw, ROOT), FIGURES)
    # The base and four trained models each read 20 carriers of the base, 20 of trained models, and 20 of the A/A twin.
    assert probing.rules == {"carriers": 1, "probe": 5} and probing.requests == 0
    prompt, second = figures.value("prompt_tokens"), figures.seconds_per_token("training", False, 200)
    assert probing.worst.tokens == pytest.approx(5 * 60 * (prompt + 224))
    started = figures.seconds("engine_seconds", False)
    assert probing.worst.cpu_hours == pytest.approx((5 * 60 * (prompt + 224) * second + 5 * started) / 3600)
    assert probing.worst.disk_bytes == pytest.approx(5 * (60 * 10 + 2 * 224) * (256 * 8 + 100))
    deeper = planned(decode="t07", carriers=40, strips=1, depth={})["probe"]
    assert deeper.rules == probing.rules
    assert deeper.worst.cpu_hours == pytest.approx(2 * probing.worst.cpu_hours)


def of_right_answers(study: dict[str, Any]) -> None:
    study["contexts"] = {
        "guided": {"wording": "guided", "solution": "sibling"},
        "regenerated": {"wording": "guided", "solution": "context", "context": "guided"},
    }
    study["training"]["draws"] = 4
    study["arms"] = {
        "ug": {"decode": "plain", "keep": "correct"},
        "sg": {"decode": "plain", "keep": "correct", "context": "guided"},
        "again": {"decode": "plain", "keep": "finished", "context": "regenerated"},
    }
    study["hypotheses"] = {}
    del study["mechanism"]


def test_contexts_are_counted_with_what_they_show_and_draws_of_training_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = changed(tmp_path, ROOT / "config/smoke.yaml", of_right_answers)
    plan = json.loads(printed(capsys, str(file), "--json"))
    by_name = {stage["name"]: stage for stage in plan["stages"]}
    # The bare samples, those under guided and those under regenerated: 260 problems, four draws.
    assert by_name["sample training data"]["requests"] == 3 * 260 * 4
    assert by_name["train"]["rules"] == {"dataset": 1, "correct_dataset": 2, "train": 3}
    analysis = by_name["problems, plans, analysis"]["rules"]
    models = 1 + 3 * 2  # the base, and two checkpoints of each run
    assert (analysis["context_prompts"], analysis["plan_in_context"], analysis["plan"]) == (2, 2, models + 1)
    said = printed(capsys, str(file))
    assert "ug, sg train on 208 that all of them answered right" in said
    assert "Under contexts (samples-plain/in-guided, samples-plain/in-regenerated) every problem is counted" in said


def test_a_ladder_is_counted_with_what_is_shown_and_read() -> None:
    """20 problems of 60, 4 answers on 3 rungs and to choose, and of one arm that climbs as many, shown its own."""
    raw = read_study(ROOT / "config.yaml")
    arm = next(name for name, each in raw["arms"].items() if not each.get("resample"))
    raw["contexts"] = {
        "guided": {"wording": "guided", "solution": "sibling"},
        "regenerated": {"wording": "guided", "solution": "context", "context": "guided"},
    }
    plain = load_study(raw, ROOT)
    raw["ladder"] = {
        "contexts": ["regenerated", "guided"], "decode": plain.mechanism.decode if plain.mechanism else "plain", "draws": 4,
        "problems": 20, "pool": 60, "solved": [0.25, 0.75], "arms": [arm],
    }  # fmt: skip
    climbed = load_study(raw, ROOT)
    stated = load_throughputs(FIGURES)
    before, after = (
        {part.name: part for part in stages(each, Figures(stated, each, FIGURES))} for each in (plain, climbed)
    )
    seeds = len(climbed.arms[arm].seeds)
    assert set(after) - set(before) == {"sample the ladder", "read what was told"}
    assert after["sample the ladder"].requests == 4 * (60 + 3 * 20) + seeds * 4 * (4 * 20)
    more = {rule: jobs for rule, jobs in after["problems, plans, analysis"].rules.items() if "ladder" in rule}
    assert more == {"plan_ladder": 4 * (1 + seeds), "ladder_problems": 1, "ladder": 1}
    assert after["read what was told"].rules == {"read_texts": 1 + seeds}
    tokens = after["read what was told"].expected.tokens
    assert tokens > after["sample the ladder"].expected.tokens
    raw["ladder"]["information"] = False
    silent = load_study(raw, ROOT)
    assert "read what was told" not in {part.name for part in stages(silent, Figures(stated, silent, FIGURES))}


def test_words_of_doubt_are_looked_for_in_every_evaluation_answer(tmp_path: Path) -> None:
    study = load_study(read_study(ROOT / "config.yaml"))

    def planned(seconds: float) -> dict[str, Stage]:
        file = changed(tmp_path, FIGURES, lambda known: known["doubt_seconds_per_million_tokens"].update(value=seconds))
        return {stage.name: stage for stage in stages(study, Figures(load_throughputs(file), study, file))}

    without, per_second = planned(0.0), planned(3600.0)  # an hour a million tokens
    evaluations = ("sample base evaluations", "sample earlier checkpoints", "sample finished training")
    tokens = sum(per_second[name].expected.tokens for name in evaluations)
    name = "problems, plans, analysis"
    added = per_second[name].expected.cpu_hours - without[name].expected.cpu_hours
    assert added == pytest.approx(tokens / 1e6)
