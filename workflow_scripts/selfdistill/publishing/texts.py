"""The texts of a bundle: what it is and how to run it again, how to cite it, and what Zenodo asks for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from selfdistill.foundation.errors import UserError
from selfdistill.machine.provenance import code_version, state_of_the_code
from selfdistill.publishing.members import CODE, REPORT, RESULTS, STUDY
from selfdistill.study.study import Study

CODE_LICENCE = "https://spdx.org/licenses/Apache-2.0"
SPDX = "https://spdx.org/licenses/"
KEYWORDS = ("self-distillation", "language models", "mathematical reasoning", "reproducibility", "Snakemake")
README, ENVIRONMENT, CITATION, ZENODO = "README.md", "environment.json", "CITATION.cff", ".zenodo.json"


@dataclass(frozen=True)
class About:
    """What is said of a bundle in all of its texts."""

    study: str
    results: str  # where a run of it puts its results
    version: str
    commit: str
    started: str  # the first time that a job wrote down, in ISO 8601; empty where none did
    finished: str  # when the report was written
    authors: Sequence[str]
    licence: str  # an SPDX identifier; empty where none is given
    answers: Sequence[str]  # the report's sentences
    needs: Sequence[str]  # what is not in the bundle and must be there
    software: dict[str, str]
    looks: bool = False
    weights: bool = False
    keywords: Sequence[str] = KEYWORDS
    code_licence: str = CODE_LICENCE
    made_by: dict[str, Any] = field(default_factory=dict)  # what the report wrote down of itself
    packed_with: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.study}: a study of self-distillation, with its tables and the workflow that made them"

    @property
    def description(self) -> str:
        found = " ".join(self.answers) or "It states no hypotheses."
        return f"The study {self.study}, run with Forklock {self.version}. {found}"

    @property
    def date(self) -> str:
        return self.finished[:10]

    @property
    def licence_id(self) -> str:
        return f"{SPDX}{self.licence}" if self.licence else "#no-licence"

    @property
    def licence_name(self) -> str:
        return self.licence or "No licence is given"

    @property
    def licence_text(self) -> str:
        if self.licence:
            return (
                "Of what was made here; the project's code has its own licence, and so have the model and the datasets."
            )
        return "Who wants to use more than the law allows must ask the authors. The project's code is under Apache-2.0."

    @property
    def command(self) -> str:
        return f"make {'looks' if self.looks else 'report'} CONFIG=../{STUDY}"


def about_study(
    study: Study,
    record: dict[str, Any],
    answers: Sequence[str],
    needs: Sequence[str],
    authors: Sequence[str],
    licence: str,
    weights: bool,
) -> About:
    """`record` is what the report wrote down: the code, versions and machine that made the results."""
    return About(
        study=study.study, results=study.results, version=record["forklock"], commit=record["commit"],
        started=record["started"] or "", finished=record["created"],
        authors=authors, licence=licence, answers=answers, needs=needs, software=software_of(record),
        looks=bool(study.evaluation.looks), weights=weights,
        made_by=record, packed_with={"forklock": code_version(), **state_of_the_code()},
    )  # fmt: skip


def software_of(record: dict[str, Any]) -> dict[str, str]:
    """Of the report; but where trainings and samples were made by other versions of a package, all of them."""
    found: dict[str, list[str]] = {}
    for made in (record, *record["trainings"].values()):
        for name, version in {"python": made["python"], **made["versions"]}.items():
            found.setdefault(name, []).append(version)
    for engine in record["sampling"]:
        found.setdefault(f"engine {engine['engine']}", []).append(str(engine["engine_version"]))
    return {name: ", ".join(dict.fromkeys(versions)) for name, versions in found.items()}


def environment_text(about: About) -> str:
    """The machine and every package by which the report was made, those of its trainings, and what packed it."""
    return json.dumps({**about.made_by, "packed with": about.packed_with}, indent=1) + "\n"


def code_in_words(code: Mapping[str, Any]) -> str:
    changed = {"none": "", "yes": ", with uncommitted changes"}.get(str(code.get("uncommitted changes")), "")
    return f"commit {code['commit']}{changed}"


def made_with(about: About) -> str:
    """Which code made what: a report is often made anew by later code than its trainings."""
    trained = dict.fromkeys(code_in_words(made["code"]) for made in about.made_by["trainings"].values())
    report = f"Forklock {about.version}, {code_in_words(about.made_by)}"
    if list(trained) in ([], [code_in_words(about.made_by)]):
        return f"Made with {report}"
    return f"Report made with {report}; models trained with {' and '.join(trained)}"


def readme_text(about: About) -> str:
    answers = "\n".join(f"- {answer}" for answer in about.answers) or "It states no hypotheses, so it gives no verdict."
    needs = "\n".join(f"- {need}" for need in about.needs)
    weights = "with the trained models (`results/runs/`)" if about.weights else "without weights"
    return f"""# {about.title}

{answers}

{made_with(about)}; finished {about.date}. Packed with Forklock {about.packed_with["forklock"]},
{code_in_words(about.packed_with)}, which is the code in `{CODE}`. Open [{RESULTS}/{REPORT}]({RESULTS}/{REPORT}).

## Run it again

On a machine with Python 3.11 or newer and a package index, in the folder `{CODE}`:

```
{about.command}
```

It sets up the versions of `{CODE}/requirements.lock`, samples and trains anew, and writes `{CODE}/{about.results}/{REPORT}`.
{f"{chr(10)}Before that, put in place what is not in this bundle:{chr(10)}{chr(10)}{needs}{chr(10)}" if needs else ""}
Then see whether the tables are the same, with the archive that this folder was unpacked from:

```
.venv/bin/forklock bundle --check ../../ARCHIVE.zip --against {about.results}
```

To make only the analysis and the report anew, from the packed completions and trainings, unpack it first by
`forklock bundle --check ARCHIVE.zip --unpack FOLDER --rows`.

On the same kind of machine they are the same where sampling and training run on CPUs, but for sums of gradients that were
added up in another order. Another processor, or a GPU, rounds otherwise: some completions part at some token, and the numbers
differ as two runs of chance do.

## What is in it

| | |
|---|---|
| `{STUDY}` | the study file, as it was given |
| `{RESULTS}/study.yaml` | the same with every default spelt out |
| `{RESULTS}/{REPORT}`, `{RESULTS}/figures/` | the report and its figures |
| `{RESULTS}/analysis/` | the tables that the report shows, as Parquet |
| `{RESULTS}/models/`, `{RESULTS}/problems/`, … | what those were made from: every graded completion, every problem |
| `{RESULTS}/revisions.lock` | which commits of the hub's repositories, where the study took any |
| `{ENVIRONMENT}` | the machine and the packages by which it was made, and the code that packed it |
| `{CODE}/` | the workflow, with its locks and environments |
| `ro-crate-metadata.json` | the same for machines: a Workflow Run RO-Crate |
| `bundle.json` | the SHA-256 of every file |

It comes {weights}, and without the journals of sampling: `graded.parquet` has every completion that they hold.

## Licence

{about.licence_name}. {about.licence_text}
"""


def citation_text(about: About) -> str:
    content: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use these results, please cite them, and the software that made them.",
        "type": "dataset",
        "title": about.title,
        "authors": [{"name": name} for name in about.authors] or [{"name": "The authors of this study"}],
        "date-released": about.date,
        "keywords": list(about.keywords),
        "references": [
            {
                "type": "software",
                "title": "Forklock",
                "version": about.version,
                "authors": [{"name": "The Forklock developers"}],
            }
        ],
    }
    if about.licence:
        content["license"] = about.licence
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def zenodo_text(about: About) -> str:
    """What a deposit of Zenodo takes from a file of this name (developers.zenodo.org)."""
    content: dict[str, Any] = {
        "title": about.title,
        "upload_type": "dataset",
        "description": about.description,
        "creators": [{"name": name} for name in about.authors] or [{"name": "The authors of this study"}],
        "publication_date": about.date,
        "keywords": list(about.keywords),
        "version": about.version,
        "notes": f"To run it again: {about.command}, in the folder {CODE}.",
    }
    if about.licence:
        content["license"] = about.licence.lower()
    else:
        content["access_right"] = "restricted"
        content["access_conditions"] = "No licence was given when this was packed."
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def known_licence(named: str) -> str:
    """As the SPDX list spells it: what is not on that list has no address there."""
    try:
        licence = str(canonicalize_license_expression(named)) if named else ""
    except InvalidLicenseExpression:
        licence = "of several words"
    if " " in licence or licence.startswith("LicenseRef-"):
        raise UserError(f"--license: {named!r} is no identifier of the SPDX list; write one of {SPDX}, as CC-BY-4.0.")
    return licence
