"""A context that cannot be asked is one sentence while the study is read, and contexts name the models that they need."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.sampling.asked import asked_of
from selfdistill.study.load import load_study
from selfdistill.study.models import asked_in_context, shown_to, source_of, sources_of_samples, thinks
from selfdistill.study.names import context_of, in_context, parse_model_id, without_context

SMOKE = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
SIBLING = {"wording": "guided", "solution": "sibling"}
CONTEXTS = {
    "guided": SIBLING,
    "no-thought": SIBLING | {"thought": False},
    "regenerated": {"wording": "guided", "solution": "context", "context": "guided"},
    "bare": {"wording": "unguided"},
}
ARMS = {
    "ug": {"decode": "plain", "keep": "correct"},
    "sg": {"decode": "plain", "keep": "correct", "context": "guided"},
}


def study(contexts: dict[str, Any] = CONTEXTS, arms: dict[str, Any] = ARMS, **more: Any) -> dict[str, Any]:
    found = copy.deepcopy(SMOKE)
    found["arms"] |= copy.deepcopy(arms)
    found["contexts"] = copy.deepcopy(contexts)
    for path, value in more.items():
        found[path] |= value
    return found


def complaints(raw: dict[str, Any], root: Path = ROOT) -> list[str]:
    with pytest.raises(UserError) as error:
        load_study(raw, root)
    return [line.removeprefix("study file: ") for line in str(error.value).splitlines()]


def test_contexts_ask_what_they_show_first_and_what_tells_nothing_is_not_asked_twice() -> None:
    arms = {f"of-{name}": {"decode": "plain", "keep": "everything", "context": name} for name in CONTEXTS}
    found = load_study(study(arms=arms), ROOT)
    plain = "samples-plain"
    assert [source_of(found, f"of-{name}") for name in CONTEXTS] == [
        f"{plain}/in-guided", f"{plain}/in-no-thought", f"{plain}/in-regenerated", plain,
    ]  # fmt: skip
    assert sources_of_samples(found) == [
        plain, "samples-t11", f"{plain}/in-guided", f"{plain}/in-no-thought", f"{plain}/in-regenerated",
    ]  # fmt: skip
    assert asked_in_context(found) == sources_of_samples(found)[2:]
    assert shown_to(found, f"{plain}/in-regenerated") == f"{plain}/in-guided"
    only = {"again": {"decode": "t11", "keep": "everything", "context": "regenerated"}}
    needed = sources_of_samples(load_study(study(arms=only), ROOT))
    assert (
        needed.index("samples-t11") < needed.index("samples-t11/in-guided") < needed.index("samples-t11/in-regenerated")
    )


def test_a_model_under_a_context_is_asked_what_it_is_asked_without() -> None:
    found = load_study(study(training={"draws": 3}), ROOT)
    told, bare = (asked_of(found, model) for model in ("samples-plain/in-guided", "samples-plain"))
    assert told == bare and told.train_draws == 3
    assert in_context("samples-plain", "guided") == "samples-plain/in-guided" and in_context("a", None) == "a"
    assert context_of("samples-plain/in-guided") == "guided" and context_of("base") is None
    assert without_context("samples-plain/in-guided") == "samples-plain"
    assert parse_model_id("samples-plain/in-guided").training_seed is None


def test_a_study_without_contexts_says_nothing_of_them() -> None:
    found = load_study(SMOKE, ROOT)
    assert "contexts" not in found.as_param() and "draws" not in found.as_param()["training"]
    assert not {"context", "length_like"} & set(found.arms["ssd"].model_dump())
    assert "train_draws" not in asked_of(found, "samples-t11").as_param()


def test_a_context_that_switches_thinking_is_graded_so(tmp_path: Path) -> None:
    (tmp_path / "on.jinja").write_text("{{ messages[0].content }}{{ enable_thinking }}")
    raw = study({"quiet": {"thinking": False, "template": "on.jinja"}}, {})
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    found = load_study(raw, tmp_path)
    assert thinks(found, "samples-plain") and not thinks(found, "samples-plain/in-quiet")


def context(**keys: Any) -> dict[str, Any]:
    return {"ours": keys}


WRONG_CONTEXTS = {
    "a solution that the wording has no place for": (
        context(solution="sibling"), "contexts.ours.solution: asks for one, but the wording has no {solution} where it would stand; put {solution} in, or remove the key.",
    ),
    "a place for a solution of nobody": (context(wording="guided"), "contexts.ours.wording: has {solution}, but nothing says which; set contexts.ours.solution to sibling, context, dataset, answer or column."),
    "a wording without the problem": (context(wording="Solve it, please."), "contexts.ours.wording: holds neither {prompt} nor {problem}"),
    "a misspelt wording": (context(wording="guidd"), "contexts.ours.wording: no wording is named 'guidd'; did you mean 'guided'?"),
    "a context that shows itself": (
        context(wording="guided", solution="context", context="ours"), "contexts.ours.context: is cyclic, each shows samples of the next (ours → ours), so that none could be the first; let one of them have solution: sibling.",
    ),
    "an unknown context": (context(wording="guided", solution="context", context="guided"), "contexts.ours.context: no context is named 'guided'; there are: ours."),
    "a context without its name": (context(wording="guided", solution="context"), "contexts.ours.context: is missing; with solution: context it says which."),
    "a name of a context that is not shown": (context(wording="guided", solution="sibling", context="ours"), "contexts.ours.context: is for solution: context; set that, or remove the key."),
    "a column that no source has": (context(wording="guided", solution="column", column="hint"), "contexts.ours.column: no line of the sources has 'hint'; add it there, or tell the model something else."),
    "a thought of the dataset": (context(wording="guided", solution="answer", thought=False), "contexts.ours.thought: only a model's own samples have a thought to leave out"),
    "thinking of a template without a switch": (
        context(thinking=False), "contexts.ours.thinking: the chat template of resources/lab/model reads no enable_thinking, so that nothing would be switched; remove the key.",
    ),
    "another switch that is not read": (context(chat={"loud": True}), "contexts.ours.chat.loud: the chat template of resources/lab/model reads no loud"),
    "a template that is not there": (context(template="no.jinja"), "contexts.ours.template: there is no file 'no.jinja'; correct its path, or remove the key."),
    "an unknown source of solutions": (context(wording="guided", solution="teacher"), "contexts.ours.solution: needs sibling, context, dataset, answer or column, but is 'teacher'"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_CONTEXTS)
def test_a_wrong_context_is_told_before_anything_is_sampled(name: str) -> None:
    contexts, said = WRONG_CONTEXTS[name]
    [complaint] = complaints(study(contexts, {}))
    assert complaint.startswith(said)


def test_a_longer_cycle_is_told_of_each_of_its_members_and_of_no_other() -> None:
    ring = {
        name: {"wording": "guided", "solution": "context", "context": other} for name, other in ("ab", "bc", "ca", "da")
    }
    found = complaints(study(ring, {}))
    assert [line.split(":")[0] for line in found] == [f"contexts.{name}.context" for name in "abc"]
    assert "(a → b → c → a)" in found[0]


def test_a_thought_is_left_out_of_samples_that_have_one() -> None:
    assert complaints(study({"ours": SIBLING | {"thought": False}}, {}, model={"thinks": False})) == [
        "contexts.ours.thought: the samples that are shown hold no thought (model.thinks, thinking); remove the key."
    ]


WRONG_ARMS = {
    "an unknown context": ({"context": "guidde"}, "arms.own.context: no context is named 'guidde'; did you mean 'guided'?"),
    "soft targets under a context": (
        {"decode": "t11", "context": "guided", "targets": "soft"},
        "arms.own.targets: soft targets are the base's law behind the bare prompt, and these samples were drawn from another, under a context; use targets: sampled.",
    ),
    "a length without right answers": ({"keep": "finished", "length_like": "sg"}, "arms.own.length_like: chooses among right answers; set arms.own.keep: correct, or remove the key."),
    "the length of nobody": ({"length_like": "sgg"}, "arms.own.length_like: no arm is named 'sgg'; did you mean 'sg'?"),
    "one answer to choose from": ({"length_like": "sg"}, "arms.own.length_like: with training.draws: 1 no problem has two answers to choose between; raise training.draws to 2 or more."),
    "its own length": ({"length_like": "own"}, "arms.own.length_like: 'own' learns no right answers to the same problems, or is matched in length itself"),
    "the length of another decode": ({"decode": "t11", "length_like": "sg"}, "arms.own.length_like: 'sg' learns no right answers to the same problems"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_ARMS)
def test_a_wrong_arm_under_a_context_is_told(name: str) -> None:
    keys, said = WRONG_ARMS[name]
    arm: dict[str, Any] = {"decode": "plain", "keep": "correct"} | keys
    [complaint] = complaints(study(arms=ARMS | {"own": arm}))
    assert complaint.startswith(said)


def test_solutions_and_twins_take_no_context() -> None:
    wrong = {"solved": {"samples": "reference", "context": "guided"}, "twin": {"resample": True, "context": "guided"}}
    found = complaints(study(arms=wrong, problems={"reference": "{solution}\n</think>\n\n\\boxed{{answer}}"}))
    assert [line.split(":")[0] for line in found] == ["arms.solved.context", "arms.twin"]


def test_an_arm_is_not_taught_a_thought_behind_a_prompt_that_switches_it_off(tmp_path: Path) -> None:
    (tmp_path / "on.jinja").write_text("{{ messages[0].content }}{{ enable_thinking }}")
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    loud = {"loud": {"wording": "guided", "solution": "sibling", "thinking": True, "template": "on.jinja"}}
    arms = ARMS | {"sg": ARMS["sg"] | {"context": "loud"}}
    [complaint] = complaints(study(loud, arms), tmp_path)
    assert complaint.startswith("arms.sg.context: samples under 'loud' are drawn with enable_thinking true")


def with_template(folder: Path, text: str) -> None:
    (folder / "own.jinja").write_text(text)
    (folder / "resources").symlink_to(ROOT / "resources")


def test_a_template_reads_the_switches_of_the_model_too(tmp_path: Path) -> None:
    with_template(tmp_path, "{{ messages[0].content }}{{ loud }}")
    raw = study({"ours": {"template": "own.jinja"}}, {}, model={"chat": {"enable_thinking": False}})
    assert (
        "contexts.ours.template: own.jinja reads no enable_thinking, which model.chat sets; let it read that, or remove the key."
        in complaints(raw, tmp_path)
    )


@pytest.mark.parametrize(
    ("keys", "named"),
    [({}, "contexts.ours.template"), ({"template": None, "chat": {"messages": True}}, "contexts.ours.chat.messages")],
    ids=["a template", "another switch"],
)
def test_an_arm_learns_behind_the_template_that_it_was_sampled_behind(
    keys: dict[str, Any], named: str, tmp_path: Path
) -> None:
    with_template(tmp_path, "{{ messages[0].content }}")
    ours = {"wording": "guided", "solution": "sibling", "template": "own.jinja"} | keys
    [complaint] = complaints(study({"ours": ours}, {"sg": ARMS["sg"] | {"context": "ours"}}), tmp_path)
    assert complaint.startswith(
        "arms.sg.context: samples under 'ours' are drawn behind what another chat template makes"
    )
    assert f"({named})" in complaint


@pytest.mark.parametrize(("there", "asking"), [("eval", "arm"), ("train", "ladder")])
def test_a_column_stands_in_the_sources_of_the_problems_that_are_asked(there: str, asking: str, tmp_path: Path) -> None:
    raw = study({"ours": {"wording": "guided", "solution": "column", "column": "hint"}}, {})
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    source = next(source for source in raw["problems"]["sources"].values() if source["use"] == there)
    lines = (ROOT / source["path"]).read_text().splitlines()
    source["path"] = "hinted.jsonl"
    hinted = "\n".join(json.dumps(json.loads(line) | {"hint": "try"}) for line in lines)
    (tmp_path / "hinted.jsonl").write_text(hinted)
    load_study(raw, tmp_path)  # asked of nobody, it stands somewhere
    if asking == "arm":
        raw["arms"]["told"] = ARMS["sg"] | {"context": "ours"}
    else:
        raw["ladder"] = {"contexts": ["ours"], "decode": "plain", "draws": 2, "problems": 9, "solved": [0.0, 1.0]}
    other = "train" if there == "eval" else "eval"
    assert complaints(raw, tmp_path) == [
        f"contexts.ours.column: no line of the {other} sources has 'hint'; add it there, or tell the model something else."
    ]
