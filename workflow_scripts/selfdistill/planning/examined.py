"""All that can be known of a study before it runs, beyond what its file says: model, chat, problems, engines, disk.

Every look is taken by itself, so that all that is wrong is told at once. What is not there yet cannot be looked at, and is
said to be so.
"""

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from selfdistill.annotation.rubric import check_rubric
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.wording import plural
from selfdistill.grading.verify import unreadable
from selfdistill.machine.gpus import list_gpus
from selfdistill.models.folder import inspect_model
from selfdistill.models.reading import CONFIG
from selfdistill.planning.cost import stages, total
from selfdistill.planning.counts import counted
from selfdistill.planning.figures import Figures, NotStated, load_throughputs
from selfdistill.planning.plugged import check_plugins
from selfdistill.problems.assemble import SECONDS_PER_ANSWER, without_duplicates
from selfdistill.problems.contamination import find_contamination
from selfdistill.problems.datasets.convert import audit, convert
from selfdistill.problems.examples import read_examples
from selfdistill.problems.sources import RawProblem, raw_problem, read_source
from selfdistill.problems.wording import check_wording
from selfdistill.sampling.prompts import Chat, earlier_turns, longest_prompt
from selfdistill.study.cross_checks import cross_checks
from selfdistill.study.evaluation import size_of
from selfdistill.study.identity import refuse_other_results
from selfdistill.study.lines import Lines
from selfdistill.study.load import read_study, without_paths
from selfdistill.study.loaders import LOADERS
from selfdistill.study.models import reference_arms, sampled_arms
from selfdistill.study.plugin_checks import plugged_in
from selfdistill.study.problems import Source
from selfdistill.study.sentences import complaints
from selfdistill.study.stand_in import Whole, made_whole, rests_on
from selfdistill.study.study import Study

Kind = Literal["mistake", "note", "unknown"]
THROUGHPUTS = Path("config/throughputs.yaml")
NAMED = 20  # unreadable answers that are named; of more there is the number
GB = 1e9
USUAL = Path("config.yaml")  # a study that is right
FEW = 6  # keys that are named
NOT_WHOLE = "study file: what is within it is looked at once its sections are right."
MODEL, SOURCES = "model.path", "problems.sources."  # keys


@dataclass(frozen=True)
class Finding:
    """`mistake` stops the study, a `note` is worth knowing, `unknown` could not be looked at yet and why."""

    kind: Kind
    sentence: str  # one that speaks of a key begins with it: `key: what`
    of_machine: bool = False  # true of this machine and not of every other
    unseen: str = ""  # of the unknown, what could not be looked at


Look = Callable[[Study], Iterator[Finding]]


def looked_at(lines: Lines, file_alone: bool = False) -> tuple[str, list[Finding]]:
    """The name of the study that stands in a file, and all that is wrong with it, each with its place there."""
    raw = without_paths(lines.content)
    try:
        whole, slips = Whole(Study.model_validate(raw), set()), list[str]()
    except ValidationError as error:
        slips = complaints(error, raw)
        rest = made_whole(raw, read_study(USUAL)) if USUAL.is_file() else None
        if rest is None:
            told = [Finding("mistake", slip) for slip in slips] + [Finding("unknown", NOT_WHOLE)]
            return _name_of(lines), [replace(each, sentence=_placed(each, lines)) for each in told]
        whole = rest
    found = _all_of(whole.study, file_alone)
    found = [each for each in found if not (whole.keys and rests_on(each.sentence, whole.keys))]
    found = [Finding("mistake", slip) for slip in slips] + found
    found += [Finding("unknown", _waiting(sorted(whole.keys)))] if whole.keys else []
    return _name_of(lines), [replace(each, sentence=_placed(each, lines)) for each in found]


def _all_of(study: Study, file_alone: bool) -> list[Finding]:
    told = list(dict.fromkeys(cross_checks(study, Path("."))))
    found = [] if file_alone else list(dict.fromkeys(examined(study, told)))
    keys = {_key_of(each.sentence) for each in found if each.kind == "mistake"}
    return [
        Finding("mistake", complaint) for complaint in told if not _is_told_better(_key_of(complaint), keys)
    ] + found


def _waiting(keys: list[str]) -> str:
    named = ", ".join(keys) if len(keys) <= FEW else f"{len(keys)} keys"
    return f"study file: what rests on {named} is looked at once that is right."


def _placed(finding: Finding, lines: Lines) -> str:
    return lines.placed(finding.sentence, lines.content)


def _name_of(lines: Lines) -> str:
    name = lines.content.get("study")
    return name if isinstance(name, str) else str(lines.file)


def _key_of(sentence: str) -> str:
    return sentence.partition(": ")[0]


def _is_told_better(key: str, by: Collection[str]) -> bool:
    """What a model's folder lacks is seen when it is looked into, and lines of a file that cannot be read are no problems."""
    counts = key == "training.samples" or key.startswith("evaluation.budgets.")
    unread = (other for other in by if other.startswith(SOURCES) and ", " not in other)
    return (key == MODEL and key in by) or (counts and any(unread))


def examined(study: Study, told: Collection[str] = ()) -> Iterator[Finding]:
    """What is found beside what the file's own checks `told` already, of which a key that is wrong is not told again."""
    wrong = {_key_of(complaint) for complaint in told} - {MODEL}
    study = _without_broken_plugins(study)
    for look in LOOKS:
        if look is _disk and told:  # names that nothing has cannot be reckoned with
            yield Finding("unknown", "results: how much disk the study takes is looked at once its file is right.")
            continue
        yield from (finding for finding in _taken(look, study) if _key_of(finding.sentence) not in wrong)


def _without_broken_plugins(study: Study) -> Study:
    """What is wrong with them the file's own checks tell. No look imports a file that is not to be run."""
    return study.model_copy(update={"plugins": []}) if plugged_in(study, Path(".")).wrong else study


def _taken(look: Look, study: Study) -> Iterator[Finding]:
    """What a look finds, up to where it cannot go on."""
    try:
        yield from look(study)
    except NotStated as error:
        yield Finding("unknown", f"results: how much disk the study takes is not known, for {error}", unseen="disk")
    except UserError as error:
        yield Finding("mistake", str(error))


def _results(study: Study) -> Iterator[Finding]:
    """Whether a folder can be there, and what is in it already was made by this study."""
    folder = Path(study.results)
    standing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not standing.is_dir():
        place = standing.relative_to(Path.cwd()) if standing.is_relative_to(Path.cwd()) else standing
        yield Finding("mistake", f"results: {place} is a file; move it away, or name another folder.")
        return
    refuse_other_results(study, folder)


def _wordings(study: Study) -> Iterator[Finding]:
    for check in (check_wording, check_rubric, check_plugins):
        try:
            check(study)
        except UserError as error:
            yield Finding("mistake", str(error))


def _model(study: Study) -> Iterator[Finding]:
    """Whether it holds the study's context is told by the file's own checks."""
    if _is_there(study):
        try:
            facts = inspect_model(Path(study.model.path), 1, study.model.trust_remote_code)
        except UserError as error:
            yield Finding("mistake", f"{MODEL}: {error}")
        else:
            yield from (Finding("note", note) for note in facts.notes)
    elif study.model.hub:
        yield Finding(
            "unknown",
            f"{MODEL}: {study.model.path} is not there yet; the first run downloads it.",
            unseen="the model's files and chat template, model.thinks, and whether prompts fit model.context",
        )


def _is_there(study: Study) -> bool:
    return (Path(study.model.path) / CONFIG).is_file()


def _can_be_asked(study: Study) -> bool:
    """What is wrong with it is told where it is looked at."""
    return _is_there(study) and not any(finding.kind == "mistake" for finding in _model(study))


def _chat(study: Study) -> Iterator[Finding]:
    """Switches that the template does not read, in `model.chat` and in every context."""
    if not _can_be_asked(study):
        return
    trusted, folder = bool(study.model.trust_remote_code), Path(study.model.path)
    asked_for: list[tuple[str, dict[str, Any], str | None]] = [("model.chat", study.model.chat, None)]
    asked_for += [
        (f"contexts.{name}.chat", study.model.chat | context.switches, context.template)
        for name, context in study.contexts.items()
        if context.template is None
        or Path(context.template).is_file()  # where it is not, the file's own checks tell it
    ]
    for key, switches, template in asked_for:
        try:
            text = Path(template).read_text(encoding="utf-8", errors="replace") if template else None
            Chat(folder, switches, trusted, key, text)
        except UserError as error:
            yield Finding("mistake", str(error))


def _problems(study: Study) -> Iterator[Finding]:
    """Rows that cannot be read, answers that no grader reads, copies, and whether there are as many as are asked for."""
    whole, read = True, dict[str, list[RawProblem]](train=[], eval=[])
    for name, source in study.problems.sources.items():
        found = list(_source(study, name, source, read[source.use]))
        whole &= Path(source.path).exists() and all(finding.kind == "note" for finding in found)
        yield from found
    everything = read["train"] + read["eval"]
    sources = study.problems.sources
    yield from unreadable_golds([each for each in everything if sources[each.source].loader is None])
    yield from _lengths(study, read)
    if whole:
        yield from _enough(study, read)


def _source(study: Study, name: str, source: Source, read: list[RawProblem]) -> Iterator[Finding]:
    key = f"{SOURCES}{name}"
    if source.loader is None:
        try:
            read += read_source(name, source.path) if Path(source.path).is_file() else []
        except UserError as error:
            yield Finding("mistake", f"{key}: {error}")
    elif not Path(source.path).exists():
        yield Finding(
            "unknown",
            f"{key}.path: {source.path} is not there yet; the first run downloads it.",
            unseen=f"the problems of {name}",
        )
    elif (loader := study.reference("loader", source.loader)) == source.loader and loader not in LOADERS:
        yield Finding("unknown", f"{key}.loader: what {loader} reads is looked at once there is such a loader.")
    else:
        conversion = convert(loader, Path(source.path), source.options)
        rows, dropped = conversion
        place = f"{source.path} as {source.loader} reads it"
        read += [raw_problem(name, place, number, json.dumps(row)) for number, row in enumerate(rows, 1)]
        told = audit(loader, source.options, conversion)
        lost = sum(dropped.values())
        yield Finding("note", f"{key}: {plural(len(rows), 'problem')} kept, {plural(lost, 'row')} dropped.")
        if told["alarm"]:
            yield Finding("note", f"{key}: {told['alarm']}")


def unreadable_golds(problems: list[RawProblem]) -> Iterator[Finding]:
    bad = unreadable([problem.answer for problem in problems], SECONDS_PER_ANSWER)
    places = [problem for problem in problems if problem.answer in bad]
    for problem in places[:NAMED]:
        yield Finding(
            "mistake",
            f"{problem.place}: the answer {problem.answer!r} is not one that math-verify can read; write it in LaTeX without "
            "dollars, or remove the problem.",
        )
    if len(places) > NAMED:
        yield Finding("mistake", f"problems.sources: {len(places) - NAMED} more answers cannot be read.")


def _lengths(study: Study, read: dict[str, list[RawProblem]]) -> Iterator[Finding]:
    """The longest problems, with the longest completion that any decode allows. Of problems of which some are drawn, a note."""
    if not any(read.values()) or not _can_be_asked(study):
        return
    chat = Chat(Path(study.model.path), study.model.chat, bool(study.model.trust_remote_code))
    wording, file = study.problems.prompt, study.problems.examples
    earlier = earlier_turns(read_examples(file), wording, chat) if file and Path(file).is_file() else []
    fitting = [decode.max_tokens for decode in study.decodes.values() if decode.max_tokens < study.model.context]
    most = max(fitting, default=0)  # what alone is too long is told of the file
    drawn = {"train": study.training.samples, "eval": size_of(study.evaluation.budgets["full"], len(read["eval"]))}
    for use, problems in read.items():
        if not problems:
            continue
        which, tokens = longest_prompt(chat, [problem.problem for problem in problems], wording, earlier)
        if tokens + most > study.model.context:
            some = drawn[use] < len(problems)
            yield Finding(
                "note" if some else "mistake",
                f"model.context: {problems[which].place} takes {tokens:,} tokens as a prompt, and with the {most:,} of the longest "
                f"decode that is more than {study.model.context:,}; raise model.context or lower max_tokens"
                + (", or the run ends where this problem is among those that are drawn." if some else "."),
            )


def _enough(study: Study, read: dict[str, list[RawProblem]]) -> Iterator[Finding]:
    """Without copies, and without training problems that give one that is asked away."""
    order = list(study.problems.sources)
    public = {name for name, source in study.problems.sources.items() if source.loader}
    with contextlib.redirect_stderr(io.StringIO()) as said:
        kept = {use: without_duplicates(problems, order, public) for use, problems in read.items()}
    yield from (Finding("note", f"problems.sources: {line}.") for line in said.getvalue().splitlines())
    matches = find_contamination(kept["train"], kept["eval"], study.problems.contamination)
    alike = {match.train.problem_id for match in matches}
    if alike:
        yield Finding(
            "note",
            f"problems.contamination: {plural(len(alike), 'training problem is', 'training problems are')} too like one that is "
            "asked, and left out.",
        )
    there = {"train": len(kept["train"]) - len(alike), "eval": len(kept["eval"])}
    wanted = [("training.samples", "train", study.training.samples if sampled_arms(study) else 0)]
    wanted += [("training.examples", "train", study.training.examples if reference_arms(study) else 0)]
    wanted += [
        (f"evaluation.budgets.{name}", "eval", size_of(size, there["eval"]))
        for name, size in study.evaluation.budgets.items()
    ]
    for key, use, number in wanted:
        if number > there[use]:
            yield Finding(
                "mistake",
                f"{key}: asks for {number:,} problems, and without copies and contamination there are {there[use]:,}; lower it.",
            )
    if not there["train"] and not sampled_arms(study):
        yield Finding("mistake", "problems.sources: no problem is left to learn from; give others with use: train.")


def _engines(study: Study) -> Iterator[Finding]:
    if study.sampling.engine == "vllm" and not find_spec("vllm"):
        yield Finding("note", "sampling.engine: vllm is not installed here; the jobs' own environment must have it.")
    wanted = max(study.sampling.gpus, study.training.gpus)
    there = len(list_gpus().gpus)
    if wanted > there:
        yield Finding(
            "note",
            f"sampling.gpus and training.gpus: {plural(wanted, 'GPU')} asked for, and this machine shows {there or 'none'}.",
        )


def _disk(study: Study) -> Iterator[Finding]:
    if _is_there(study) and not _can_be_asked(study):
        return
    figures = Figures(load_throughputs(THROUGHPUTS), study, THROUGHPUTS)
    needed = total(stages(counted(study, figures), figures)).expected.disk_bytes
    where = next(
        folder
        for folder in (Path(study.results).absolute(), *Path(study.results).absolute().parents)
        if folder.exists()
    )
    free = shutil.disk_usage(where).free
    if needed > free:
        yield Finding(
            "mistake",
            f"results: the study is expected to write {needed / GB:,.0f} GB, and {free / GB:,.0f} GB are free at {where}; make "
            "room, or name another folder.",
            of_machine=True,
        )


LOOKS: tuple[Look, ...] = (_results, _wordings, _model, _chat, _problems, _engines, _disk)
