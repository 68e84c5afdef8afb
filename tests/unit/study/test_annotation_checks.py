"""The section `annotation`: what is wrong with it is one sentence, and a study without it is as it was."""

from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.study.load import load_study
from selfdistill.study.models import judged

LAB = yaml.safe_load((ROOT / "config.yaml").read_text())
LAB.pop("annotation", None)
OURS = {"model": "resources/lab/model", "context": 1024}
SERVED = {"model": "judge-1", "server": "https://judge.example/v1"}
WHOLE = {"judge": OURS, "decode": "t07"}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no judge": ({"judge": None}, "annotation.judge: "),
    "a misspelt decode": ({"decode": "t70"}, "annotation.decode: no decode is named 't70'; did you mean"),
    "a decode of the base alone": ({"decode": "t13"}, "evaluation.decodes.final lacks"),
    "an arm that trains nothing": ({"arms": ["aa"]}, "annotation.arms: no trained arm is named 'aa'"),
    "an arm twice": ({"arms": ["ssd", "ssd"]}, "annotation.arms: names an arm twice"),
    "more answers than problems": ({"answers": 100_000}, "annotation.answers: 100000 answers, each to another problem, are more"),
    "passes that cannot differ": ({"temperature": 0.0}, "annotation.temperature: at 0 every pass gives the same reply"),
    "no rubric": ({"rubric": "mine.yaml"}, "annotation.rubric: there is no file 'mine.yaml'"),
    "no model": ({"judge": {"model": "hub/none", "context": 1024}}, "annotation.judge.model: there is no model in 'hub/none'"),
    "a reply as long as the context": ({"max_tokens": 1024}, "annotation.max_tokens: a reply of 1024 and a question"),
    "an address that is none": ({"judge": SERVED | {"server": "judge.example"}}, "annotation.judge.server: 'judge.example' is no address"),
    "an address of a file": ({"judge": SERVED | {"server": "file:///etc/passwd"}}, "is no address of a server"),
    "a port that is none": ({"judge": SERVED | {"server": "https://judge.example:port/v1"}}, "is no address of a server"),
    "a key that would be read on its way": ({"judge": SERVED | {"server": "http://judge.example/v1"}}, "unencrypted; write https://"),
    "a password in the address": ({"judge": SERVED | {"server": "https://me:secret@judge.example/v1"}}, "would stand in the results"),
    "a context of a server": ({"judge": SERVED | {"context": 4096}}, "annotation.judge.context: is for a model of ours"),
    "a variable that is none": ({"judge": SERVED | {"key_from": "sk-1234"}}, "annotation.judge.key_from: needs a variable of the"),
}  # fmt: skip


def study(annotation: dict[str, Any]) -> dict[str, Any]:
    return LAB | {"annotation": annotation}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_sentence_that_names_the_key(name: str) -> None:
    changes, said = WRONG[name]
    with pytest.raises(UserError) as error:
        load_study(study(WHOLE | changes), ROOT)
    assert said in str(error.value) and len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "judge",
    [OURS, SERVED, SERVED | {"server": "http://localhost:8000/v1"},
     SERVED | {"server": "http://judge.example/v1", "key_from": None}],
)  # fmt: skip
def test_a_judge_of_ours_or_behind_a_server_is_accepted(judge: dict[str, Any]) -> None:
    checked = load_study(study(WHOLE | {"judge": judge}), ROOT)
    assert judged(checked)[0] == "base" and all(model.endswith("/at-100") for model in judged(checked)[1:])
    assert checked.annotation is not None
    asked = checked.annotation.as_asked()["judge"]
    assert not asked.keys() & {"key_from", "seconds", "tries", "parallel"}


def test_a_study_without_a_judge_is_written_as_it_always_was() -> None:
    checked = load_study(LAB, ROOT)
    assert "annotation" not in checked.as_param() and judged(checked) == []
