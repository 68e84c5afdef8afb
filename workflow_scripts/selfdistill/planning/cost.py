"""What a study costs, stage by stage: jobs, requests, tokens, hours and disk, expected and at worst.

Jobs and requests follow from the study file and are exact. Tokens, hours and bytes rest on figures (`planning/figures.py`).
Expected is the stated mean length of a completion; worst is every completion running to its cap. Nothing is counted for
work that is done again after a failure, and an hour of a job that holds a GPU is a GPU-hour, not also a CPU-hour.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from selfdistill.models.lineage import is_checkpoint
from selfdistill.models.sizes import size_of
from selfdistill.planning.counts import number
from selfdistill.planning.figures import Figures
from selfdistill.sampling.asked import Asked, asked_of
from selfdistill.study.annotation import Annotation
from selfdistill.study.disagreement import Disagreement
from selfdistill.study.ladder import Ladder
from selfdistill.study.ladder_models import climbers, ladder_models
from selfdistill.study.mechanism import Mechanism
from selfdistill.study.models import (
    arms_with_dataset,
    asked_in_context,
    correct_arms,
    evaluated,
    judged,
    noise_probed,
    practising_arms,
    probed,
    readers,
    reference_arms,
    resample_arms,
    runs,
    sampled_arms,
    sources_of_samples,
    trained_arms,
)
from selfdistill.study.names import context_of, parse_model_id
from selfdistill.study.sampling import Decode
from selfdistill.study.study import Study


@dataclass(frozen=True)
class Amount:
    """What a stage takes, on one assumption about lengths."""

    tokens: float = 0.0
    gpu_hours: float = 0.0
    cpu_hours: float = 0.0
    disk_bytes: float = 0.0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            self.tokens + other.tokens,
            self.gpu_hours + other.gpu_hours,
            self.cpu_hours + other.cpu_hours,
            self.disk_bytes + other.disk_bytes,
        )


@dataclass(frozen=True)
class Stage:
    name: str
    rules: dict[str, int]  # rule → jobs
    requests: int
    expected: Amount
    worst: Amount

    @property
    def jobs(self) -> int:
        return sum(self.rules.values())


Length = Callable[[Decode], float]  # tokens that a completion of a decode takes


def stages(study: Study, figures: Figures) -> list[Stage]:
    """In the order in which they run."""
    models = evaluated(study)
    trained = [name for name in models if parse_model_id(name).training_seed is not None]
    final = [name for name in trained if name.endswith("/at-100")]
    earlier = [name for name in trained if name not in final]
    base = [name for name in models if name not in trained]
    return [
        _sampling("sample training data", study, figures, sources_of_samples(study)),
        _sampling("sample base evaluations", study, figures, base),
        *([_training(study, figures)] if arms_with_dataset(study) else []),
        *([_practice(study, figures)] if practising_arms(study) else []),
        _export_checks(study, figures),
        _sampling("sample earlier checkpoints", study, figures, earlier),
        _sampling("sample finished training", study, figures, final),
        *_ladder(study, figures),
        _grading(study, figures),
        *([_probing(study, study.mechanism, figures)] if study.mechanism else []),
        *_gradients(study, figures),
        *([_reading_again(study, study.disagreement, figures)] if study.disagreement else []),
        *([_judging(study, annotation, figures)] if (annotation := study.judging()) else []),
        _analysis(study, figures),
    ]


def total(parts: Iterable[Stage]) -> Stage:
    whole = Stage("total", {}, 0, Amount(), Amount())
    for part in parts:
        rules = whole.rules | {rule: whole.rules.get(rule, 0) + jobs for rule, jobs in part.rules.items()}
        whole = replace(
            whole,
            rules=rules,
            requests=whole.requests + part.requests,
            expected=whole.expected + part.expected,
            worst=whole.worst + part.worst,
        )
    return whole


def requests_of(asked: Asked) -> int:
    """At a decode of an earlier look no mixture is asked more often, as the plan has it."""
    earlier = [number(asked.problems_at[name]) * asked.draws for name in asked.eval if name in asked.problems_at]
    whole = (len(asked.eval) - len(earlier)) * answers_of(asked)
    return len(asked.train) * asked.train_samples * asked.train_draws + sum(earlier) + whole


def answers_of(asked: Asked) -> int:
    """Evaluation answers at one decode. Mixtures take the first problems of each source, so that the largest that asks for
    a draw says how many problems have it."""
    answers = number(asked.eval_problems) * asked.draws
    for draw in range(asked.draws, max(asked.mixture_draws.values(), default=0)):
        most: dict[str, int] = {}
        for name, mixture in asked.mixtures.items():
            if asked.mixture_draws[name] > draw:
                most |= {source: max(number(size), most.get(source, 0)) for source, size in mixture.items()}
        answers += sum(most.values())
    return answers


def completions_of(asked: Iterable[Asked]) -> Counter[str]:
    """Decode → completions of all these models. A proposal of cheaper studies counts hundreds of studies."""
    found: Counter[str] = Counter()
    for each in asked:
        for decodes, answers in ((each.train, each.train_samples * each.train_draws), (each.eval, answers_of(each))):
            found.update(dict.fromkeys(decodes, answers))
    return found


def expected_length(figures: Figures) -> Length:
    """The mean completion of a decode: so many tokens, or such a share of the cap."""
    if figures.has("completion_tokens"):
        return lambda decode: min(decode.max_tokens, figures.value("completion_tokens"))
    return lambda decode: decode.max_tokens * figures.value("completion_share")


def longest(decode: Decode) -> float:
    return decode.max_tokens


def _hours(seconds: float, devices: int, on_gpu: bool) -> Amount:
    hours = seconds * devices / 3600
    return Amount(gpu_hours=hours) if on_gpu else Amount(cpu_hours=hours)


def _sampling(name: str, study: Study, figures: Figures, models: list[str]) -> Stage:
    asked = [asked_of(study, model) for model in models]
    on_gpu = study.sampling.gpus > 0
    jobs = sum(each.shards for each in asked)

    completions = completions_of(asked)

    def amount(length: Length) -> Amount:
        found = Amount()
        for decode, answers in completions.items():
            mean = length(study.decodes[decode])
            tokens = answers * mean
            seconds = tokens * figures.seconds_per_token("sampling", on_gpu, mean)
            found += _hours(seconds, 1, on_gpu)
            found += Amount(tokens=tokens, disk_bytes=tokens * figures.value("bytes_per_token"))
        return found + _hours(jobs * figures.seconds("engine_seconds", on_gpu), 1, on_gpu) if jobs else found

    requests = sum(requests_of(each) for each in asked)
    return Stage(name, {"sample": jobs} if jobs else {}, requests, amount(expected_length(figures)), amount(longest))


def _training(study: Study, figures: Figures) -> Stage:
    """Trainings on datasets, and the teachers of soft targets, at a training's speed at most. Disk: the exports of these
    runs, and the checkpoints that one run needs to survive a crash while the next one is written."""
    devices = study.training.gpus * study.training.nodes
    on_gpu = devices > 0
    arms = arms_with_dataset(study)
    taught = [name for name, arm in arms.items() if arm.targets == "soft"]
    trainings = sum(len(arm.seeds) for arm in arms.values())

    def amount(length: Length) -> Amount:
        found = Amount(disk_bytes=_kept(study, figures, trainings))
        for name, arm in arms.items():
            learned = (
                figures.value("reference_tokens") if arm.on_references else length(study.decodes[arm.decode or ""])
            )
            example = min(study.model.context, figures.value("prompt_tokens") + learned)
            recipe = study.recipe(name)
            examples = study.training.examples * recipe.epochs
            if recipe.max_steps is not None:
                examples = min(examples, recipe.max_steps * recipe.batch)
            per_token = figures.seconds_per_token("training", on_gpu, example)
            for _ in arm.seeds:
                # The rate is of one device, so several take as many device-hours: they are taken to scale without loss.
                found += _hours(examples * example * per_token, 1, on_gpu)
                found += _hours(figures.seconds("training_seconds", on_gpu), max(1, devices), on_gpu)
                found += Amount(tokens=examples * example)
            if name in taught:
                found += _hours(study.training.examples * example * per_token, 1, on_gpu)
        return found

    rules = {
        "dataset": len(sampled_arms(study)) - len(correct_arms(study)), "correct_dataset": len(correct_arms(study)), "reference_dataset": len(reference_arms(study)), "teacher": len(taught),
        "train": trainings,
    }  # fmt: skip
    rules = {rule: jobs for rule, jobs in rules.items() if jobs}
    return Stage("train", rules, 0, amount(expected_length(figures)), amount(longest))


def _kept(study: Study, figures: Figures, trainings: int) -> float:
    """Bytes of the exports of so many trainings, and of what one of them needs to survive a crash."""
    width = 2 if study.training.precision == "pure-bf16" else 4
    exports = trainings * len(study.training.checkpoints) * figures.value("weight_bytes")
    return exports + 2 * 3 * width * figures.value("parameters")


# Of what a training spends on an answer, a third is its forward pass (FORWARD). Before a generation is learnt from, all its
# answers are read once by the student as it answered, and once by the base where base_kl is measured; a teacher reads
# each of them once, behind a prompt that may hold another answer.


def _practice(study: Study, figures: Figures) -> Stage:
    """Arms that practise: every answer is sampled, read and learnt from. One that replays samples nothing. Rollouts are kept
    with their tokens and the log-probability of each, in the journal, by generation and in the run's table."""
    devices = study.training.gpus * study.training.nodes
    on_gpu, arms = devices > 0, practising_arms(study)
    trainings = sum(len(arm.seeds) for arm in arms.values())

    def amount(length: Length) -> Amount:
        found = Amount(disk_bytes=_kept(study, figures, trainings))
        for name, arm in arms.items():
            practice = study.practice_of(name)
            tokens = 0.0 if arm.replays else practice.answers * length(study.decodes[practice.decode or ""])
            for _ in arm.seeds:
                # Rates are of one device, and several are taken to scale without loss.
                found += _hours(_practising(study, figures, name, length), 1, on_gpu)
                found += _hours(_started(figures, on_gpu), max(1, devices), on_gpu)
                kept = tokens * KEPT_THRICE * figures.value("bytes_per_token")
                found += Amount(tokens=tokens, disk_bytes=kept)
        return found

    requests = sum(
        study.practice_of(name).answers * len(arm.seeds) for name, arm in arms.items() if arm.replays is None
    )
    rules = {"questions": len(arms), "practice": trainings}
    return Stage("practise", rules, requests, amount(expected_length(figures)), amount(longest))


def _practising(study: Study, figures: Figures, arm: str, length: Length) -> float:
    """Seconds of one device, for one training."""
    practice, on_gpu = study.practice_of(arm), study.training.gpus > 0
    answer = length(study.decodes[practice.decode or ""])
    read = min(study.model.context, figures.value("prompt_tokens") + answer)
    learning = practice.answers * _passes(study, arm) * read
    seconds = learning * figures.seconds_per_token("training", on_gpu, read)
    if study.arms[arm].replays is None:
        seconds += practice.answers * answer * figures.seconds_per_token("sampling", on_gpu, answer)
    return seconds


def _started(figures: Figures, on_gpu: bool) -> float:
    return figures.seconds("training_seconds", on_gpu) + figures.seconds("engine_seconds", on_gpu)


def hours_of_practices(study: Study, figures: Figures, length: Length) -> dict[str, float]:
    """Of a clock, for one training of each arm that practises."""
    devices = study.training.gpus * study.training.nodes
    return {
        arm: (_practising(study, figures, arm, length) / max(1, devices) + _started(figures, devices > 0)) / 3600
        for arm in practising_arms(study)
    }


KEPT_THRICE = 3  # of what a sampled token takes elsewhere, for its log-probability is kept too


def _passes(study: Study, arm: str) -> float:
    """How often an answer is read, in trainings on it: learnt once, and read without learning by whom else reads it."""
    practice, of = study.practice_of(arm), study.arms[arm]
    told = of.context is not None and not study.contexts[of.context].tells_nothing
    teachers = 0 if of.method == "grpo" else 2 if told else 1  # a solution beside it makes a teacher read twice as much
    return 1 + FORWARD * (1 + practice.base_kl + teachers)


def _export_checks(study: Study, figures: Figures) -> Stage:
    on_gpu = study.sampling.gpus > 0
    jobs = len(runs(study))
    amount = _hours(jobs * figures.seconds("check_seconds", on_gpu), 1, on_gpu)
    return Stage("check exports", {"check_export": jobs}, 0, amount, amount)


def _grading(study: Study, figures: Figures) -> Stage:
    models = [*evaluated(study), *sources_of_samples(study), *ladder_models(study)]
    answers = sum(requests_of(asked_of(study, model)) for model in models)
    # Completions at their cap hold no answer to verify, so the worst of sampling is not the worst of grading.
    seconds = len(models) * figures.common("job_seconds") + answers / figures.value("answers_per_second")
    amount = _hours(seconds, 1, False)
    return Stage("grade", {"grade": len(models)}, 0, amount, amount)


def _ladder(study: Study, figures: Figures) -> Iterator[Stage]:
    """What is sampled on all rungs, as if every problem of the pool that may be chosen were, and what is read of it."""
    if study.ladder is None:
        return
    yield _sampling("sample the ladder", study, figures, list(ladder_models(study)))
    if study.ladder.information:
        yield _reading(study, study.ladder, figures)


def _reading(study: Study, ladder: Ladder, figures: Figures) -> Stage:
    """At a training's speed at most: told texts behind both prompts; of those of the first rung, as if all were right, once
    behind every prompt. An answer that is put into the model's mouth is short."""
    on_gpu, models, decode = study.sampling.gpus > 0, len(climbers(study)), study.decodes[ladder.decode]
    texts = ladder.problems * ladder.draws * (3 * len(ladder.contexts) + 1)

    def amount(length: Length) -> Amount:
        read = figures.value("prompt_tokens") + length(decode)
        seconds = models * texts * read * figures.seconds_per_token("training", on_gpu, read)
        found = _hours(seconds + models * figures.seconds("engine_seconds", on_gpu), 1, on_gpu)
        return found + Amount(tokens=models * texts * read)

    return Stage("read what was told", {"read_texts": models}, 0, amount(expected_length(figures)), amount(longest))


LAW_BYTES, PROBE_BYTES = 8, 100  # of a kept token, of what else a row of probes holds; before compression


def _probing(study: Study, mechanism: Mechanism, figures: Figures) -> Stage:
    """Every probed model reads every carrier once, at a training's speed at most, and once more for depths."""
    on_gpu = study.sampling.gpus > 0
    models, decode = len(probed(study)), study.decodes[mechanism.decode]
    carriers = mechanism.carriers + len(resample_arms(study)) * (mechanism.carriers // 2)
    chosen = mechanism.positions

    def amount(length: Length) -> Amount:
        read = figures.value("prompt_tokens") + length(decode)
        seconds = models * carriers * read * figures.seconds_per_token("training", on_gpu, read)
        probes = carriers * (chosen.regular + chosen.random + chosen.heuristic) + 2 * mechanism.strips * length(decode)
        disk = models * probes * (LAW_BYTES * mechanism.top + PROBE_BYTES)
        found = _hours(seconds + models * figures.seconds("engine_seconds", on_gpu), 1, on_gpu)
        found += Amount(tokens=models * carriers * read)
        return (found + found if mechanism.depth else found) + Amount(disk_bytes=disk)

    return Stage("probe", {"carriers": 1, "probe": models}, 0, amount(expected_length(figures)), amount(longest))


def _reading_again(study: Study, asked: Disagreement, figures: Figures) -> Stage:
    """Every reader reads every text once, behind a prompt that a context may make twice as long as the text, and keeps its
    law at every token."""
    on_gpu, number_of = study.sampling.gpus > 0, len(readers(study))
    decode = study.decodes[asked.decode]

    def amount(length: Length) -> Amount:
        text = length(decode)
        told = len(asked.contexts) * text
        read = number_of * (figures.value("prompt_tokens") + text) + told
        seconds = asked.texts * read * figures.seconds_per_token("training", on_gpu, read / number_of)
        disk = number_of * asked.texts * text * (LAW_BYTES * asked.top + PROBE_BYTES)
        found = _hours(seconds + number_of * figures.seconds("engine_seconds", on_gpu), 1, on_gpu)
        return found + Amount(tokens=asked.texts * read, disk_bytes=disk)

    rules = {"disagreement_texts": 1, "read_again": number_of, "disagreement": 1}
    return Stage("read samples again", rules, 0, amount(expected_length(figures)), amount(longest))


RUBRIC_TOKENS = 400  # of the rubric that ships; another one is about as long


def _judging(study: Study, annotation: Annotation, figures: Figures) -> Stage:
    """Every chosen answer is read in every pass, and a reply written. Of a server or a plugin the requests and the
    tokens are told, and no hours: they are its own. A judge of ours is slower than the study's model as it has more parameters."""
    judge, on_gpu = annotation.judge, study.sampling.gpus > 0
    requests = len(judged(study)) * annotation.answers * annotation.passes
    size = size_of(Path(judge.model)) if judge.ours else None
    slower = max(1.0, size.parameters / figures.value("parameters")) if size else 1.0

    def amount(length: Length, reply: float) -> Amount:
        answer = min(length(study.decodes[annotation.decode]), annotation.longest or math.inf)
        read = RUBRIC_TOKENS + figures.value("prompt_tokens") + answer
        found = Amount(tokens=requests * (read + reply), disk_bytes=requests * reply * figures.value("bytes_per_token"))
        if not judge.ours:
            return found
        seconds = requests * reply * figures.seconds_per_token("sampling", on_gpu, reply) * slower
        seconds += requests * read * FORWARD * figures.seconds_per_token("training", on_gpu, read) * slower
        return found + _hours(seconds + figures.seconds("engine_seconds", on_gpu), 1, on_gpu)

    rules = {"judge_questions": 1, "judge": 1, "annotation": 1}
    expected, worst = annotation.max_tokens / 4, annotation.max_tokens
    return Stage("judge answers", rules, requests, amount(expected_length(figures), expected), amount(longest, worst))


# Of what a training spends on an example, a third is its forward pass. A gradient by class takes a forward pass of the base,
# one of the checkpoint and three backward passes; a look at a held-out example takes one forward pass.
FORWARD, BACKWARD = 1 / 3, 2 / 3
BY_CLASS = 2 * FORWARD + 3 * BACKWARD
LOOKS = 9  # at the held-out loss along a branch
WEIGHTS_PER_SECOND = 5e6  # of two trainings, compared by one core


def _gradients(study: Study, figures: Figures) -> Iterator[Stage]:
    """The noise probe, the branches and the comparison of weights, none of which runs on more than one device."""
    mechanism = study.mechanism
    if mechanism is None:
        return
    on_gpu, noise, branches = study.training.gpus > 0, mechanism.noise, mechanism.branches

    def examples(arm: str, number: float, length: Length) -> Amount:
        learned = study.arms[arm]
        shown = (
            figures.value("reference_tokens") if learned.on_references else length(study.decodes[learned.decode or ""])
        )
        tokens = min(study.model.context, figures.value("prompt_tokens") + shown)
        return _hours(number * tokens * figures.seconds_per_token("training", on_gpu, tokens), 1, on_gpu)

    def amount(length: Length) -> Amount:
        found = _hours(pairs * figures.value("parameters") / WEIGHTS_PER_SECOND, 1, False)
        for arm, _, _ in noise_probed(study):
            found += examples(arm, noise.sequences * BY_CLASS if noise else 0, length)
            found += _hours(figures.seconds("training_seconds", on_gpu), 1, on_gpu)
        if branches:
            trained = len(branches.batches) * len(branches.seeds)
            shown = branches.examples + LOOKS * FORWARD * branches.held_out
            found += examples(branches.arm, trained * shown, length)
            found += _hours(trained * figures.seconds("training_seconds", on_gpu), 1, on_gpu)
        return found

    pairs = sum(max(1, len(arm.seeds) * (len(arm.seeds) - 1) // 2) for arm in trained_arms(study).values())
    rules = {"gradients": len(noise_probed(study)), "noise_probe": int(bool(noise)), "weight_overlap": 1}
    rules |= dict.fromkeys(("branch_runs", "branches"), 1 if branches else 0)
    rules = {rule: jobs for rule, jobs in rules.items() if jobs}
    yield Stage("gradients and weights", rules, 0, amount(expected_length(figures)), amount(longest))


# Rules of which there is one job each.
ONCE = (
    "problems", "prompts", "levels", "comparisons", "factorial", "verdicts", "noise", "weight_change", "checks",
    "study_record", "report", "variance", "truncation", "difficulty", "grader", "solving", "audit_sheet", "doubt",
)  # fmt: skip


def _analysis(study: Study, figures: Figures) -> Stage:
    """Problems, plans, tables and the report."""
    loaded = sum(source.loader is not None for source in study.problems.sources.values())
    told = len([model for model in sources_of_samples(study) if context_of(model)])
    rules = dict.fromkeys(ONCE, 1) | {"plan": len(evaluated(study)) + len(sources_of_samples(study)) - told}
    on_ladder = ladder_models(study).values()
    told_on_ladder = sum(rung.context is not None for rung in on_ladder)
    rules |= {
        "context_prompts": len(asked_in_context(study)) + told_on_ladder,
        "plan_in_context": told,
        "plan_ladder": len(on_ladder),
    }
    rules |= dict.fromkeys(("ladder_problems", "ladder"), int(bool(study.ladder)))
    read = bool(study.ladder and study.ladder.information)
    rules |= {"information_texts": len(climbers(study)) if read else 0, "information": int(read)}
    rules |= {"fetch_model": int(bool(study.model.hub)), "fetch_source": loaded, "convert": loaded}
    rules |= {"references": int(bool(reference_arms(study))), "lineage": int(is_checkpoint(Path(study.model.path)))}
    rules |= {"practice_analysis": int(bool(practising_arms(study)))}
    rules |= dict.fromkeys(("token_classes", "mechanism", "strips"), int(bool(study.mechanism)))
    rules |= {"depth": int(bool(study.mechanism and study.mechanism.depth))}
    rules = {rule: jobs for rule, jobs in rules.items() if jobs}
    asked = [asked_of(study, model) for model in evaluated(study)]
    completions = completions_of(asked)
    seconds = sum(rules.values()) * figures.common("job_seconds")
    seconds += sum(map(requests_of, asked)) / 1000 * figures.common("analysis_seconds_per_thousand_answers")
    per_token = figures.common("doubt_seconds_per_million_tokens") / 1e6

    def amount(length: Length) -> Amount:
        tokens = sum(answers * length(study.decodes[decode]) for decode, answers in completions.items())
        return _hours(seconds + tokens * per_token, 1, False)

    return Stage("problems, plans, analysis", rules, 0, amount(expected_length(figures)), amount(longest))
