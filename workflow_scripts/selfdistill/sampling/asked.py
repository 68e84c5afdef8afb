"""What a study asks of each model: how many answers to which problems, at which decodes. From the study alone, so that Snakemake,
which asks at every start, need load no table.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field

from selfdistill.study.evaluation import Size
from selfdistill.study.ladder import Ladder
from selfdistill.study.ladder_models import Rung, ladder_models
from selfdistill.study.names import SAMPLES, parse_model_id, without_context
from selfdistill.study.sampling import AbortLoops, Decode
from selfdistill.study.section import Section
from selfdistill.study.study import Study


class Asked(Section):
    """What the study asks of one model. As plain data it is the parameter of the plan's rule, so that Snakemake
    re-plans exactly the models whose requests change."""

    dtype: str
    decodes: dict[str, Decode]
    train: list[str]  # decodes of training samples
    train_samples: int  # problems
    eval: list[str]  # decodes of evaluation answers
    eval_problems: Literal["all"] | int
    draws: int
    stream: str  # tells A/A twins apart
    seed: int
    shards: int
    abort_loops: AbortLoops | None = None
    mixtures: dict[str, dict[str, Size]] = Field(default={})  # those whose problems are asked more often
    mixture_draws: dict[str, int] = Field(default={})
    noises: list[int] = Field(default=[])  # of each draw of an evaluation answer, where models share them
    train_draws: int = 1  # samples of each training problem
    first_draw: int = 0  # of training samples: those before it are another model's of the ladder
    problems_at: dict[str, Size] = Field(default={})  # decode → fewer problems: those of an earlier look

    def as_param(self) -> dict[str, Any]:
        """As a study without such mixtures, coupling, looks and draws always wrote it, so that older results need no new plan."""
        unused = set() if self.mixtures else {"mixtures", "mixture_draws"}
        unused |= set() if self.train_draws > 1 else {"train_draws"}
        unused |= {name for name in ("noises", "problems_at", "first_draw") if not getattr(self, name)}
        return self.model_dump(exclude=unused)

    def problems_of(self, decode: str) -> Size:
        return self.problems_at.get(decode, self.eval_problems)

    def noise_of(self, purpose: str, draw: int) -> int | None:
        """Training samples always have noise of their own."""
        if purpose == "train" or not self.noises:
            return None
        return self.noises[draw] if draw < len(self.noises) else draw


def asked_of(study: Study, model_id: str, looks: Mapping[str, Mapping[str, Size]] = MappingProxyType({})) -> Asked:
    """The base's training samples are models of their own, one a decode (`samples-t11`), so that a new arm or another
    evaluation touches no arm's dataset. `looks` says which decodes are asked fewer problems than the full budget's."""
    rung = ladder_models(study).get(model_id)
    if rung and study.ladder:
        return _asked_on_ladder(study, study.ladder, rung)
    evaluation = study.evaluation
    arm = study.arms.get(model_id)
    twin = arm is not None and arm.resample
    train: list[str] = []
    evaluated: list[str] = []
    budget: Literal["quick", "full"] = "full"
    if model_id.startswith(SAMPLES):
        train = [without_context(model_id).removeprefix(SAMPLES)]
    elif model_id == "base":
        evaluated = evaluation.decodes.base
    elif twin or model_id.endswith("/at-100"):
        evaluated = evaluation.decodes.final
    else:
        evaluated, budget = evaluation.decodes.earlier, "quick"
    more = evaluation.mixture_draws if evaluated and budget == "full" else {}
    return Asked(
        dtype=study.sampling.precision,
        decodes={name: study.decodes[name] for name in sorted({*train, *evaluated})},
        train=train,
        train_samples=study.training.samples if train else 0,
        train_draws=study.training.draws if train else 1,
        eval=list(evaluated),
        eval_problems=evaluation.budgets[budget] if evaluated else 0,
        draws=evaluation.draws_by_side.of(trained=not twin and model_id != "base") if evaluated else 0,
        stream=model_id if twin else "",
        seed=study.seed,
        shards=study.sampling.shards_base if train or model_id == "base" else study.sampling.shards_checkpoint,
        abort_loops=study.sampling.abort_loops,
        mixtures={name: evaluation.mixtures[name] for name in more},
        mixture_draws=more,
        noises=_noises(study, model_id) if evaluated and evaluation.coupling == "shared" else [],
        problems_at={
            decode: size for decode, size in looks.get(model_id, {}).items() if size != evaluation.budgets["full"]
        },
    )


def _asked_on_ladder(study: Study, ladder: Ladder, rung: Rung) -> Asked:
    """As training samples: so many answers to each problem, in no budget. The first rung's are not those that choose."""
    return Asked(
        dtype=study.sampling.precision,
        decodes={ladder.decode: study.decodes[ladder.decode]},
        train=[ladder.decode],
        train_samples=ladder.asked if rung.chooses else ladder.problems,
        train_draws=ladder.draws,
        first_draw=ladder.draws if rung.context is None and not rung.is_shown else 0,
        eval=[],
        eval_problems=0,
        draws=0,
        stream="",
        seed=study.seed,
        shards=study.sampling.shards_base if rung.climber == "base" else study.sampling.shards_checkpoint,
        abort_loops=study.sampling.abort_loops,
    )


def _noises(study: Study, model_id: str) -> list[int]:
    """Of each draw the number of the noise that it shares with the other models."""
    draws, model = study.evaluation.draws_by_side, parse_model_id(model_id)
    training = None if model.training_seed is None else study.arms[model.arm].seeds.index(model.training_seed)
    return [draws.noise(draw, training) for draw in range(max(draws.base, draws.arms))]


def noises_shared(study: Study, model_ids: Sequence[str]) -> dict[str, list[int]]:
    """Of each draw of the base and of the models that share random numbers with it, which noise it was drawn with. A/A twins
    have a stream of their own, and share none."""
    asked = {model: asked_of(study, model) for model in model_ids}
    stream = asked_of(study, "base").stream
    return {model: one.noises for model, one in asked.items() if one.noises and one.stream == stream}
