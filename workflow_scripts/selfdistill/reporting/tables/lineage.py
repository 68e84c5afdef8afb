"""What the base was made from, where it is a checkpoint of another study: a sentence, and a table of the whole chain."""

from typing import Any

from selfdistill.models.lineage import Lineage, generations
from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.tables.table import Group, Row, Table, word
from selfdistill.tables import words

DIGITS = 16  # of a digest or a commit: enough to tell any two apart


def the_model(inputs: ReportInputs) -> str:
    """Nothing of a model that no study made."""
    chain = list(generations(inputs.lineage.get("lineage")))
    if not chain:
        return ""
    told = "; ".join(
        f"{'a' if not number else 'itself trained from a'} {_in_words(one)}" for number, one in enumerate(chain)
    )
    base = chain[-1].get("base") or {}
    changed = "" if inputs.lineage.get("unchanged") else (
        " The files of the folder are not those that this is told of: they were changed since."
    )  # fmt: skip
    return f"{told}; first trained from {_first(base)}.{changed}"


def _in_words(one: Lineage) -> str:
    of_study = f" of study {one['study']}" if one.get("study") else ""
    done = "" if one["percent"] == 100 else f", at {one['percent']} % of its training"
    return (
        f"checkpoint{of_study}, arm {one['arm']}, seed {one['training_seed']}{done}, trained on "
        f"{fmt.plural(one['examples'], *_example(one))}"
    )


def _example(one: Lineage) -> tuple[str, str]:
    """One and several. Older trainings did not write down whose their examples were."""
    match one.get("samples_of"):
        case None:
            return "example", "examples"
        case words.REFERENCE:
            return "of the dataset's own solutions", "of the dataset's own solutions"
        case words.PRACTISED:
            return "answer that it gave while it trained", "answers that it gave while it trained"
        case _:
            return "sample of its base", "samples of its base"


def _first(base: dict[str, Any]) -> str:
    digest = f"digest {base['digest'][:DIGITS]}"
    told = f"; {base['origin'].rstrip('.')}" if base.get("origin") else ""
    return f"{base['path']} ({digest}{told})" if base.get("path") else f"a model of {digest}{told}"


def lineage(inputs: ReportInputs) -> Table | None:
    chain = list(generations(inputs.lineage.get("lineage")))
    if not chain:
        return None
    rows = [
        Row([
            word(one.get("study") or fmt.MISSING), word(f"{one['arm']}, seed {one['training_seed']}, {one['percent']} %"),
            fmt.count(one["step"]), fmt.count(one["examples"]), word(one["dataset_digest"][:DIGITS]),
            word(one["digest"][:DIGITS]), word(((one.get("base") or {}).get("digest") or "")[:DIGITS]), word(_code(one)),
        ])
        for one in chain
    ]  # fmt: skip
    columns = [
        "study",
        "checkpoint",
        "steps",
        "examples",
        "digest of the dataset or the questions",
        "of the checkpoint",
        "of its base",
        "code",
    ]
    note = "The model of this study stands first, and below it what each was trained from."
    return Table(
        "What the model was made from", columns, [Group(rows)], "lineage.json", note, frozenset({0, 1, 4, 5, 6, 7})
    )


def _code(one: Lineage) -> str:
    code = one.get("code") or {}
    if not code.get("commit"):
        return fmt.MISSING
    changes = " with uncommitted changes" if code.get("uncommitted changes") == "yes" else ""
    return f"{code['commit'][:DIGITS]}{changes}"
