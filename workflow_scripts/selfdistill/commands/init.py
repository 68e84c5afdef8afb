"""Begin a study of your own problems and model: writes its file, with a sentence for every key, checked before it is there.

forklock init                                  (asks four questions)
forklock init mine --problems mine.jsonl --model hub/My-Model --where cpu
forklock init mine --problems learn.jsonl ask.jsonl --model Qwen/Qwen3-4B-Thinking-2507 --where slurm

Problems are JSON Lines with problem, answer and level. One file is divided in two, half to learn from and half to be asked.
Without a model of your own, take the lab's: it knows chains of whole-number arithmetic and nothing else.
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

from selfdistill.beginning.begin import Begun, begin
from selfdistill.beginning.choices import (
    LAB_MODEL,
    PLACES,
    Choices,
    Where,
    model_of,
    name_of,
    place_of,
    problems_of,
    thinks_by_name,
    yes_or_no,
)
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.suggestions import listed
from selfdistill.foundation.wording import plural
from selfdistill.study.models import trained_arms

SUMMARY = "Begin a study of your own problems and model, from four questions."
Answer = TypeVar("Answer")
CPU: Where = "cpu"
RUNS: dict[Where, str] = {
    "cpu": "snakemake --cores all --configfile {file}",
    "gpu": "snakemake --profile profiles/local --configfile {file}",
    "slurm": "snakemake --profile slurm --sdm conda {results}/report.html --configfile {file}",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="the study's name; its file is config/NAME.yaml")
    parser.add_argument("--problems", nargs="+", metavar="FILE", help="one file, or one to learn from and one to ask")
    parser.add_argument("--model", help=f"the model's folder, or its name on the hub; the lab's is {LAB_MODEL}")
    parser.add_argument("--thinks", metavar="yes|no", help="whether it thinks first, where its name does not say it")
    parser.add_argument("--where", help=f"where it is to run: {', '.join(PLACES)}")


def run(asked: argparse.Namespace) -> int:
    choices = choices_of(asked)
    print("\n".join(told(choices, begin(choices))))
    return 0


def choices_of(asked: argparse.Namespace) -> Choices:
    given = {"NAME": asked.name, "--problems": asked.problems, "--model": asked.model, "--where": asked.where}
    missing = [flag for flag, value in given.items() if value is None]
    if missing and not sys.stdin.isatty():
        raise UserError(
            f"forklock init: {listed(missing)} not given, and there is no terminal to ask in; give all four."
        )
    name = answered(asked.name, "What is the study called?", name_of)
    problems = answered(
        asked.problems and shlex.join(asked.problems),
        "Which file holds the problems? (JSON Lines; of two the first is learnt from and the second asked)",
        lambda said: problems_of(files_in(said)),
    )
    folder, hub = answered(asked.model, f"In which folder is the model? [the lab's, {LAB_MODEL}]", model_of)
    where = answered(
        asked.where, f"Where will it run: {', '.join(PLACES)}? [{CPU}]", lambda said: place_of(said or CPU)
    )
    return Choices(name, problems, folder, hub, where, thinks_of(asked.thinks, hub))


def files_in(said: str) -> list[str]:
    """As a shell would divide it."""
    try:
        return shlex.split(said)
    except ValueError as error:  # a quote without its other half
        raise UserError(
            f"problems: {said!r} is no list of files ({str(error).lower()}); put a name with a quote, a blank or a backslash in "
            'quotes, as "ada\'s.jsonl".'
        ) from error


def thinks_of(given: str | None, hub: str | None) -> bool | None:
    """Asked only where neither a folder nor a name says it and there is somebody to ask."""
    unknown = hub is not None and thinks_by_name(hub) is None
    if given is None and not (unknown and sys.stdin.isatty()):
        return None
    question = f"Does {hub} think before it answers, and close the thought by </think>? [no]"
    return answered(given, question, lambda said: yes_or_no(said or "no"))


def answered(given: str | None, question: str, check: Callable[[str], Answer]) -> Answer:
    """What was given; else what a person says, who is asked again where it will not do."""
    if given is not None:
        return check(given)
    while True:
        try:
            return check(input(f"{question} ").strip())
        except EOFError:
            raise UserError("forklock init: the questions were not answered; nothing was written.") from None
        except UserError as error:
            print(error, file=sys.stderr)


def told(choices: Choices, begun: Begun) -> Iterator[str]:
    study = begun.study
    trainings = sum(len(arm.seeds) for name, arm in study.arms.items() if name in trained_arms(study))
    yield (
        f"{choices.file}: {plural(begun.learnt_from, 'problem')} to learn from, {begun.asked} to be asked, "
        f"{plural(trainings, 'training')}."
    )
    if len(choices.problems) == 1:
        yield f"  {choices.problems[0]} was divided into {' and '.join(map(str, choices.divided()))}."
    if begun.too_alike:
        yield f"  {plural(begun.too_alike, 'problem')} to learn from too like one that is asked: left out."
    yield from (f"  {note}" for note in begun.notes)
    if choices.thinks_is_a_guess:
        yield f"  model.thinks: {str(study.model.thinks).lower()} is a guess from its name, for {choices.hub} is not here yet; correct it if it is wrong."
    yield "Look at it, then:"
    yield f"  forklock plan {choices.file}"
    yield f"  {RUNS[choices.where].format(file=choices.file, results=study.results)}"
