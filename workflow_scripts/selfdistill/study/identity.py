"""Whether the results in a folder are those of the study that is to run.

What makes a study another one is what would make every sample anew: its seed, its model and its problems. All else may
change and is taken up.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from selfdistill.foundation.errors import UserError
from selfdistill.study.study import Study

RECORD = "study.yaml"  # in every folder of results: the study that they are of


def refuse_other_results(study: Study, folder: Path, replace: object = None) -> None:
    """`replace` is the name of the study whose results may be replaced. Records of older versions hold the same keys."""
    try:
        recorded = yaml.safe_load((folder / RECORD).read_text(encoding="utf-8"))
        differing = differences(study.model_dump(), recorded)
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError):
        return  # nothing was finished here, or a storage provider has it
    if differing and replace != recorded["study"]:
        raise UserError(
            f"{', '.join(differing)}: the results in {folder}/ were made with another ({folder / RECORD}), and all of them "
            f"would be made anew; give this study another name and folder (study, results), or replace those by "
            f"--config replace={recorded['study']}."
        )


def differences(study: Mapping[str, Any], recorded: Mapping[str, Any]) -> list[str]:
    """The keys in which two studies differ so that nothing of one serves the other."""
    here, there = _identity(study), _identity(recorded)
    pins, recorded_pins = _pins(study), _pins(recorded)
    return [
        *(key for key in here | there if here.get(key, "none") != there.get(key, "none")),
        *(key for key, pin in pins.items() if pin and recorded_pins.get(key) and pin != recorded_pins[key]),
    ]


def _identity(study: Mapping[str, Any]) -> dict[str, Any]:
    """Where a copy of what comes from the hub lies is not part of it."""
    model = study["model"]
    found = {"study": study["study"], "seed": study["seed"]}
    found |= {"model.hub": model["hub"]} if model.get("hub") else {"model.path": model["path"]}
    for name, source in study["problems"]["sources"].items():
        keys = ("use", "loader", "options") if source.get("loader") else ("use", "path")
        found[f"problems.sources.{name}"] = [source.get(key) or None for key in keys]
    return found


def _pins(study: Mapping[str, Any]) -> dict[str, Any]:
    """What a study need not say; where one does not, revisions.lock knows what it took."""
    found = {"model.revision": study["model"].get("revision")}
    for name, source in study["problems"]["sources"].items():
        found |= {f"problems.sources.{name}.{key}": source.get(key) for key in ("hub", "revision")}
    return found
