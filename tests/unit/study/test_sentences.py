"""Whatever is wrong with a study is said at once, in its file's own words, with the line where it stands."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.study.lines import read_with_lines
from selfdistill.study.load import load_study
from selfdistill.study.section import TEXTS
from selfdistill.study.sentences import complaints
from selfdistill.study.study import Study

LAB = yaml.safe_load((ROOT / "config.yaml").read_text())
FULL = copy.deepcopy(LAB)  # with every kind of key that the lab leaves out
FULL["model"]["chat"] = {"enable_thinking": True}
FULL["training"] |= {"lora": {"rank": 4, "alpha": 8, "modules": ["q_proj"]}, "trackers": ["wandb"], "max_steps": 3}
FULL["sampling"]["abort_loops"] = {"max_period": 64, "min_repeats": 8}
FULL["evaluation"]["mixtures"] = {"hard": {"exam": 10}}
FULL["problems"]["sources"]["quiz"] |= {"loader": None, "hub": None, "options": {}}


def changed(*changes: tuple[str, Any]) -> dict[str, Any]:
    study = copy.deepcopy(LAB)
    for path, value in changes:
        *folders, key = path.split("/")
        section = study
        for folder in folders:
            section = section[folder]
        section[key] = value
    return study


def said_of(study: dict[str, Any], **how: Any) -> list[str]:
    with pytest.raises(UserError) as error:
        load_study(study, ROOT, **how)
    return str(error.value).splitlines()


def test_a_wrong_key_of_an_optional_section_is_told_the_keys_that_there_are() -> None:
    said = said_of(changed(("training/lora", {"rank": 4, "alpha": 8, "dropout": 0.1})))
    assert said == ["study file: training.lora.dropout: there is no such key; there are: rank, alpha, modules."]


def test_a_wrong_value_of_several_types_is_one_sentence() -> None:
    said = said_of(changed(("training/lora", {"rank": 4, "alpha": 8, "modules": "all"})))
    assert said == ["study file: training.lora.modules: needs a list of texts or all-linear, but is 'all'."]
    said = said_of(changed(("model/chat", {"enable_thinking": 0.5})))
    assert said == ["study file: model.chat.enable_thinking: needs true or false, a whole number or text, but is 0.5."]


def test_everything_that_is_wrong_is_said_at_once_with_its_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = (ROOT / "config.yaml").read_text()
    for old, new in (
        ("t05: {temperature: 0.5", "t05: {temperature: -0.5"),
        ("\n  batch: 32", "\n  batch: few"),
        ("\nseed:", "\nsede:"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    file.write_text(text)
    lines = read_with_lines(file)
    said = said_of(lines.content, lines=lines)
    at = {key: text[: text.index(key)].count("\n") + 1 for key in ("sede:", "t05:", "batch: few")}
    assert f"{file}:{at['sede:']}: sede: there is no such key; did you mean 'seed'?" in said
    assert f"{file}:{at['t05:']}: decodes.t05.temperature: needs a number of at least 0, but is -0.5." in said
    assert f"{file}:{at['batch: few']}: training.batch: 'few' is text where a number is needed." in said
    assert len(said) == 3  # that seed is missing follows from the slip


def test_what_the_sections_disagree_in_is_said_at_once_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        yaml.safe_dump(changed(("training/micro_batch", 5), ("hypotheses/ssd-fair/arm", "sds"), ("model/context", 224)))
    )
    lines = read_with_lines(file)
    said = said_of(lines.content, lines=lines)
    assert len(said) == 2 + len(LAB["decodes"])
    assert all(re.match(rf"{re.escape(str(file))}:\d+: (training|hypotheses|decodes)\.", one) for one in said)


def test_a_value_from_the_command_line_has_no_line_in_the_file() -> None:
    lines = read_with_lines(ROOT / "config.yaml")
    said = said_of(lines.content | {"seed": -1}, lines=lines)
    assert said == [f"{ROOT / 'config.yaml'}: seed: needs a whole number of at least 0, but is -1."]


def test_what_follows_from_a_mistake_is_not_told_beside_it() -> None:
    study = changed(("decodes/t07x", LAB["decodes"]["t07"]))
    del study["decodes"]["t07"]
    said = said_of(study)
    assert all("no decode is named 't07'; did you mean 't07x'?" in one for one in said)
    study = changed(("training/lr_floor", 1.0), ("arms/ssd/training", {"beta1": 0.8}))
    assert len(said_of(study)) == 1


# No words of the checking library's come through, whatever stands wherever.

VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2.5,
    float("inf"),
    float("nan"),
    10**30,
    "",
    "x",
    "Up And Away",
    [],
    [None],
    ["x", "x"],
    {},
    {"a": 1},
    {1: 2},
    {"Up": {}},
]
FOREIGN = re.compile(
    r"[Ii]nput|[Vv]alid |[Pp]attern|instance|dictionar|string|integer|pydantic|None|True|False|function|literal"
)


def places(section: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(section, dict):
        for key, value in section.items():
            yield (*path, key)
            yield from places(value, (*path, key))


def test_no_foreign_words_come_through_whatever_stands_wherever() -> None:
    seen = set()
    for path in places(FULL):
        for value in VALUES:
            study = copy.deepcopy(FULL)
            section = study
            for key in path[:-1]:
                section = section[key]
            section[path[-1]] = value
            try:
                Study.model_validate(study)
            except ValidationError as error:
                seen |= {each["type"] for each in error.errors()}
                for said in complaints(error, study):
                    assert not FOREIGN.search(said.replace(".".join(path), "")), said
                    assert re.fullmatch(r".+: (needs|is|there|'.*' is) .+[.?]", said), said
    assert len(seen) >= 15, seen  # the kinds of mistakes that were tried


def test_every_kind_of_text_has_words_that_say_how_it_is_written() -> None:
    schema = (ROOT / "config/schema.json").read_text()
    patterns = {pattern.replace("\\\\", "\\") for pattern in re.findall(r'"pattern": "(.*)"', schema)}
    assert patterns and patterns <= set(TEXTS)
