"""What an arm learns, and the keys of its recipe, in plain words: for the legend, and for the report's table of arms that practise."""

from collections.abc import Iterator, Mapping
from typing import Any

from selfdistill.foundation.wording import THIN_SPACE, plural
from selfdistill.study.arms import Arm
from selfdistill.study.contexts import Context
from selfdistill.study.practice import MovingTeacher, PracticeRecipe
from selfdistill.study.section import Section
from selfdistill.study.training import NOT_BY_ARM, Lora, Recipe

DIVERGENCES = {
    "jsd": "Jensen–Shannon divergence",
    "forward": "KL(teacher‖student)",
    "reverse": "KL(student‖teacher)",
}
INSTEAD = "instead of"

# What stands before a value; nothing where the value says it all.
TRAINING_WORDS = {
    "batch": "sequences a step:", "micro_batch": "sequences a backward pass:", "epochs": "passes over the data:",
    "max_steps": "steps at most:", "collation": "batches", "over_length": "what becomes of too long an example:",
    "precision": "training precision", "lr": "learning rate", "lr_floor": "learning rate at the end", "schedule": "schedule",
    "warmup_steps": "warm-up steps:", "warmup_share": "share of the steps that warm up:", "beta1": "AdamW’s beta1",
    "beta2": "AdamW’s beta2", "weight_decay": "weight decay", "max_grad_norm": "largest gradient norm", "lora": "",
    "activations": "activations:", "compile": "compiled:", "measure_every": "steps between dear measurements:",
}  # fmt: skip
PRACTICE_WORDS = {
    "decode": "answers at", "generations": "generations:", "questions": "questions a generation:",
    "rollouts": "answers to a question:", "updates": "steps a generation:", "coverage": "training problems asked:",
    "clip": "ratio clipped at", "dual_clip": "largest ratio", "scale_rewards": "rewards divided by",
    "is_clip": "largest weight of trainer over engine:", "ratio_clip": "largest ratio of new to old:", "teacher": "",
    "divergence": "", "support": "likeliest tokens compared:", "tail": "all other tokens compared as one:",
    "token_clip": "largest part of a token:", "prefix": "first tokens of an answer that are learnt from:",
    "base_kl": "way from the base measured:", "turns": "engine and trainer",
}  # fmt: skip
NOTHING = {
    "lora": "all weights", "coverage": "all", "support": "all", "prefix": "all", "decode": "none", "warmup_share": "none",
    "scale_rewards": "nothing",
}  # fmt: skip


def told_in_words(contexts: Mapping[str, Any], name: str | None, sibling: str) -> str:
    """What somebody knows beside the question; `sibling` is where a sibling's answer comes from."""
    told = contexts.get(name) if name else None
    context = Context() if told is None else Context.model_validate(told)
    if context.tells_nothing:
        return "told nothing more"
    solutions = {
        "sibling": sibling,
        "context": f"a right answer under {context.context}",
        "dataset": "the dataset’s solution",
        "answer": "the answer alone",
        "column": f"the column {context.column}",
    }
    what = solutions.get(context.solution or "", "its wording alone")
    return f"told {what}{'' if context.thought else ', without its thought'} ({name})"


def teacher_in_words(recipe: PracticeRecipe) -> str:
    if isinstance(recipe.teacher, MovingTeacher):
        return f"a teacher that takes {100 * recipe.teacher.ema:g}{THIN_SPACE}% of the student each generation"
    return "the base as teacher"


def lora_in_words(lora: Lora | None) -> str:
    if lora is None:
        return NOTHING["lora"]
    where = "" if lora.modules == "all-linear" else f" on {', '.join(lora.modules)}"
    return f"LoRA of rank {lora.rank} and alpha {lora.alpha}{where}"


def lesson_in_words(contexts: Mapping[str, Any], arm: Arm) -> str:
    """What an arm learns, and from whose answers."""
    if arm.resample:
        return "the base once more, with other random numbers; nothing is trained (A/A control)"
    if arm.practises:
        return _practised(contexts, arm)
    if arm.on_references:
        return "learns the dataset’s own solutions; nothing is sampled"
    told = told_in_words(contexts, arm.context, "another right answer to the same problem")
    parts = [
        f"learns {'right answers among ' if arm.keep == 'correct' else ''}the base’s own samples at {arm.decode}",
        {
            "finished": "those that the token cap cut are left out",
            "everything": "those that the token cap cut are kept",
        }.get(arm.keep or "", ""),
        f"it gave them when {told}, and learns them without" if arm.context else "",
        f"of each problem the one nearest in length to what {arm.length_like} learns" if arm.length_like else "",
        "at each token it learns the base’s whole distribution (soft targets)" if arm.targets == "soft" else "",
    ]
    return "; ".join(filter(None, parts))


def _practised(contexts: Mapping[str, Any], arm: Arm) -> str:
    whose = f"learns from the answers of {arm.replays}" if arm.replays else "answers while it trains (on-policy)"
    if arm.method == "grpo":
        return f"{whose} and is rewarded for right ones, by group relative policy optimisation (GRPO)"
    told = told_in_words(contexts, arm.context, "another right answer of the group")
    return f"{whose} and is taught what the model itself would say when {told}"


def training_changes(study: Mapping[str, Any], arm: Arm) -> list[str]:
    """The keys of training that this arm has otherwise than the study."""
    return list(_changes(Recipe, study.get("training") or {}, arm.training, TRAINING_WORDS))


def practice_changes(study: Mapping[str, Any], arm: Arm) -> list[str]:
    """The same of practice; the arm's own decode is that of its answers."""
    own = arm.practice | ({"decode": arm.decode} if arm.decode else {})
    return list(_changes(PracticeRecipe, study.get("practice") or {}, own, PRACTICE_WORDS)) if arm.practises else []


def _changes(
    section: type[Section], shared: Mapping[str, Any], own: Mapping[str, Any], labels: Mapping[str, str]
) -> Iterator[str]:
    for key, value in own.items():
        default = section.model_fields[key].get_default(call_default_factory=True)
        usual = shared.get(key, default)
        if usual != value and key not in NOT_BY_ARM:
            now, before = (_value(key, each) for each in (value, usual))
            known = key in shared or not section.model_fields[key].is_required()
            yield f"{labels[key]} {now}{f' {INSTEAD} {before}' if known else ''}".strip()


def _value(key: str, value: Any) -> str:
    """A value of a recipe as one reads it."""
    if key == "lora":
        return lora_in_words(None if value is None else Lora.model_validate(value))
    if key == "teacher":
        return teacher_in_words(PracticeRecipe(teacher=value))
    if key == "divergence":
        return DIVERGENCES[value]
    if key == "scale_rewards" and value != "none":
        return "the group’s deviation"
    if value is None or value == "none":
        return NOTHING.get(key, "no limit")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " and ".join(f"{each:g}" for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def shared_recipe(study: Mapping[str, Any]) -> str:
    """What all trained arms share unless an arm's own words say otherwise."""
    training, practice = study.get("training") or {}, study.get("practice")
    arms = [Arm.model_construct(**fields) for fields in (study.get("arms") or {}).values()]
    trained = [arm for arm in arms if not arm.resample]
    if not trained or "lr" not in training:
        return ""
    parts = [f"{lora_in_words(None if not training.get('lora') else Lora.model_validate(training['lora']))}"]
    parts += [f"learning rate {training['lr']:g}"]
    if not all(arm.practises for arm in trained):
        batch, examples = training.get("batch", Recipe.model_fields["batch"].default), training.get("examples", 0)
        parts += [f"{plural(examples, 'example')} in batches of {batch}"]
    if any(arm.practises for arm in trained):
        recipe = PracticeRecipe.model_validate(practice or {})
        parts += [
            f"arms that answer while they train: {plural(recipe.generations, 'generation')} of {plural(recipe.questions, 'question')} "
            f"with {plural(recipe.rollouts, 'answer')} each, learnt in {plural(recipe.updates, 'step')}"
        ]
    return "; ".join(parts)
