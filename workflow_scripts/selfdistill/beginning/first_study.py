"""A first study of a person's own problems and model: its keys and their values, from four answers and what the files say.

It asks the question of the project, does training on its own samples make this model better, with the two controls that no
answer to it can do without: the filter alone, and the base sampled anew. All else is left to the study file's usual values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfdistill.beginning.choices import Choices, Where, is_the_labs, thinks_by_name
from selfdistill.foundation.errors import UserError
from selfdistill.models.folder import inspect_model
from selfdistill.models.reading import CONFIG
from selfdistill.models.sizes import size_of
from selfdistill.planning.figures import CHARACTERS_PER_TOKEN
from selfdistill.problems.assemble import ProblemTables
from selfdistill.rehearsal.rehearsal import PROMPT as LABS_PROMPT
from selfdistill.sampling.prompts import Chat, asked, longest_prompt, user_turn
from selfdistill.study.contexts import THINKING

SEED = 20261121
PROMPT = "Solve the problem step by step and put the final answer in \\boxed{}.\n\n{problem}"
# Tokens of the longest answer, by where a study runs: of models that think, and of others.
LONGEST: dict[Where, tuple[int, int]] = {"cpu": (256, 256), "gpu": (8192, 1024), "slurm": (16384, 1024)}
OPENED = "<think>"  # by the template, for the model
CHAT_MARKS = 50  # tokens of a chat template around a problem, of a model that is not there yet
# The peak of the learning rate below so many parameters: the lab's, SmolLM2-135M's, the field study's.
PEAKS = ((5e6, 3.0e-5), (1e9, 2.0e-5), (float("inf"), 5.0e-6))
SLACK = 64  # tokens of the context beyond what the longest prompt and answer take, so that a prompt may be reworded
SHARDS: dict[Where, int] = {"cpu": 2, "gpu": 2, "slurm": 4}  # that the base's samples are divided into,
WORTH_A_SHARD = 100  # where there are more problems than this
ONE_SEED = "With one seed a verdict speaks of one training; with several, as [0, 1, 2], of the method."
A_GUESS = "This is a guess from the model's name, and decodes.*.max_tokens follows it; correct both if it is wrong."
STEPS = 10  # of a training, at least, where the problems are few
KEPT = 0.75  # of the samples pass the filter, it is hoped; a study that keeps fewer says so and stops
ANSWERS = 100  # to all problems together, at least, where the problems are few
MOST_DRAWS = 4
MARGIN = 0.05


@dataclass(frozen=True)
class Known:
    """What the files say of the model and the problems."""

    prompt_tokens: int  # of the longest problem, in the chat template
    positions: int | None  # prompt and completion together; None where nothing says it
    thinks: bool  # of a model that is not there yet a guess
    parameters: float | None


def first_study(choices: Choices, sources: Mapping[str, Mapping[str, str]], tables: ProblemTables) -> dict[str, Any]:
    prompt = LABS_PROMPT if is_the_labs(choices.model) else PROMPT
    known = known_of(choices, prompt, [*tables.train["problem"], *tables.evaluation["problem"]])
    longest = longest_answer(choices, known)
    on_gpu = choices.where != "cpu"
    law = {"top_k": 20, "top_p": 0.95, "max_tokens": longest}
    return {
        "study": choices.name,
        "seed": SEED,
        "model": model_part(choices, known, longest),
        "problems": {"prompt": prompt, "dev_share": 0.3, "sources": {name: dict(each) for name, each in sources.items()}},
        "decodes": {
            "t07": {"temperature": 0.7, **law},
            "t11": {"temperature": 1.1, **law},
            "plain": {"temperature": 1.0, "max_tokens": longest},
        },
        "sampling": {
            "engine": "auto",
            "precision": "bfloat16" if on_gpu else "float32",
            "batch": 64,
            "shards_base": SHARDS[choices.where] if tables.evaluation.height > WORTH_A_SHARD else 1,
            "gpus": int(on_gpu),
        },
        "grading": {"answer": "boxed"},
        "training": training_part(tables.train.height, known, on_gpu),
        "arms": {
            "ssd": {"decode": "t11", "keep": "finished", "seeds": [0]},
            "filter-only": {"decode": "plain", "keep": "finished", "seeds": [0]},
            "aa": {"resample": True},
        },
        "evaluation": evaluation_part(tables.evaluation.height),
        "hypotheses": {
            "ssd-at-0-7": hypothesis("ssd"),
            "ssd-against-its-filter": hypothesis("ssd", against="filter-only", family="mechanism"),
            "aa-is-null": hypothesis("aa", family="control"),
        },
    }  # fmt: skip


def notes_of(choices: Choices) -> dict[str, str]:
    """What is said of keys beside their own sentences."""
    return {"arms.ssd.seeds": ONE_SEED} | ({"model.thinks": A_GUESS} if choices.thinks_is_a_guess else {})


def known_of(choices: Choices, prompt: str, problems: list[str]) -> Known:
    """Of a model that is still to be downloaded only what its name says."""
    folder = Path(choices.model)
    size = size_of(folder, choices.hub or "")
    parameters = size.parameters if size else None
    if not (folder / CONFIG).is_file():
        thinks = thinks_by_name(choices.hub or "") if choices.thinks is None else choices.thinks
        characters = len(asked(max(problems, key=len), prompt))
        return Known(characters // CHARACTERS_PER_TOKEN + CHAT_MARKS, None, bool(thinks), parameters)
    positions, chat = inspect_model(folder, 1).max_positions, Chat(folder)
    thinks = choices.thinks
    if thinks is None:
        thinks = OPENED in chat.text([user_turn(prompt)]) or THINKING in str(chat.tokenizer.chat_template)
    return Known(longest_prompt(chat, problems, prompt)[1], positions, thinks, parameters)


def longest_answer(choices: Choices, known: Known) -> int:
    wanted = LONGEST[choices.where][not known.thinks]
    room = (known.positions or wanted + known.prompt_tokens + 1) - known.prompt_tokens - 1
    if room < 16:
        raise UserError(
            f"model: the longest problem takes {known.prompt_tokens:,} tokens of the {known.positions:,} that {choices.model} can read, "
            "which leaves no room for an answer; take a model with a longer context, or leave that problem out."
        )
    return min(wanted, room)


def model_part(choices: Choices, known: Known, longest: int) -> dict[str, Any]:
    hub = {"hub": choices.hub, "revision": ""} if choices.hub else {}
    wanted = known.prompt_tokens + longest + 1 + SLACK
    context = min(wanted, known.positions or wanted)
    return {"path": choices.model, **hub, "context": context, "thinks": known.thinks}


def training_part(problems: int, known: Known, on_gpu: bool) -> dict[str, Any]:
    examples = max(1, int(KEPT * problems))
    batch = next(size for size in (32, 16, 8, 4, 2, 1) if size * 3 <= examples or size == 1)
    peak = next(peak for limit, peak in PEAKS if (known.parameters or limit) <= limit)
    return {
        "samples": problems,
        "examples": examples,
        "batch": batch,
        "micro_batch": max(1, batch // 4) if not on_gpu else 1,
        "epochs": max(1, -(-STEPS * batch // examples)),
        "lr": peak,
        "lr_floor": float(f"{peak / 5:.3g}"),  # as a person would write it
        "warmup_steps": 2,
        "checkpoints": [100],
        "gpus": int(on_gpu),
    }


def evaluation_part(problems: int) -> dict[str, Any]:
    return {
        "budgets": {"quick": max(1, problems // 3), "full": "all"},
        "draws": min(MOST_DRAWS, max(1, -(-ANSWERS // problems))),
        "coupling": "shared",
        "decodes": {"base": ["t07", "t11", "plain"], "final": ["t07"], "earlier": []},
    }


def hypothesis(arm: str, against: str = "base", family: str = "primary") -> dict[str, Any]:
    return {
        "arm": arm, "against": against, "comparison": "matched", "decode": "t07", "family": family, "margin": MARGIN,
    }  # fmt: skip
