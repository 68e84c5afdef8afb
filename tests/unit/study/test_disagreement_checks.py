"""The section `disagreement`: what is wrong with it is one sentence, who reads, and a study without it is as it was."""

from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.study.load import load_study
from selfdistill.study.models import asked_in_context, readers, reading_contexts, sources_of_samples
from selfdistill.study.study import Study

SMOKE = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
CONTEXTS = {
    "guided": {"wording": "guided", "solution": "sibling"},
    "regenerated": {"wording": "guided", "solution": "context", "context": "guided"},
    "nothing": {},
}
WHOLE = {"decode": "t11", "arms": ["ssd"]}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing to compare": ({"arms": []}, "disagreement: compares nothing; name contexts, arms or both"),
    "a misspelt context": (
        {"contexts": ["giuded"]},
        "disagreement.contexts: none is named 'giuded'; did you mean 'guided'?",
    ),
    "a context twice": ({"contexts": ["nothing", "nothing"]}, "disagreement.contexts: names one twice"),
    "an arm that trains nothing": ({"arms": ["aa"]}, "disagreement.arms: none is named 'aa'"),
    "a misspelt decode": ({"decode": "t12"}, "disagreement.decode: no decode is named 't12'; did you mean"),
    "a decode that no arm samples with": ({"decode": "t07"}, "no arm without a context samples with it"),
    "a text that is its own solution": (
        {"contexts": ["guided"]},
        "with training.draws: 1 that is the very text that is read",
    ),
}


def study(draws: int = 1, **disagreement: Any) -> Study:
    training = SMOKE["training"] | {"draws": draws}
    model = SMOKE["model"] | {"context": 512}
    content = SMOKE | {"contexts": CONTEXTS, "training": training, "model": model}
    return load_study(content | ({"disagreement": WHOLE | disagreement} if disagreement else {}), ROOT)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_sentence_that_names_the_key(name: str) -> None:
    changes, said = WRONG[name]
    with pytest.raises(UserError) as error:
        study(**changes)
    assert said in str(error.value) and len(str(error.value).splitlines()) == 1


def test_the_base_reads_under_each_context_and_what_it_is_shown_is_sampled() -> None:
    plain = study()
    read = study(draws=2, contexts=["regenerated", "nothing"])
    assert readers(read) == ["base", "base/in-regenerated", "base/in-nothing", "ssd/seed-0/at-100"]
    assert reading_contexts(read) == ["samples-t11/in-regenerated"]  # that of nothing is the bare prompt
    assert set(sources_of_samples(read)) - set(sources_of_samples(plain)) == {"samples-t11/in-guided"}
    assert asked_in_context(read) == ["samples-t11/in-guided", "samples-t11/in-regenerated"]


def test_a_study_that_reads_nothing_again_is_written_as_it_always_was() -> None:
    assert "disagreement" not in study().as_param() and readers(study()) == [] and reading_contexts(study()) == []
