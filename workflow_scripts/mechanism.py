"""Rule `mechanism`: how laws moved, how far to the target of self-distillation, and their curves."""

from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.foundation.programs import as_rule
from selfdistill.mechanism.classes import doubt_ids
from selfdistill.mechanism.tabulate import tabulated
from selfdistill.models.pieces import tokenizer_of
from selfdistill.study.arms import Arm
from selfdistill.study.mechanism import Mechanism
from selfdistill.study.sampling import Decode
from selfdistill.tables.mechanism import CURVES, MECHANISM, SSD_FIT, TOKEN_CLASSES
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    study = Mechanism.model_validate(asked["mechanism"])
    tables = tabulated(
        read_table(snakemake.input.classes, TOKEN_CLASSES),
        {name: Path(file) for name, file in zip(asked["models"], snakemake.input.probes, strict=True)},
        study,
        {name: Decode.model_validate(decode) for name, decode in asked["decodes"].items()},
        {name: Arm.model_validate(arm) for name, arm in asked["arms"].items()},
        asked["evaluated"],
        doubt_ids(tokenizer_of(Path(snakemake.params.folder)), study.doubt),
    )
    write_table(tables.mechanism, snakemake.output.mechanism, MECHANISM)
    write_table(tables.ssd_fit, snakemake.output.ssd_fit, SSD_FIT)
    write_table(tables.curves, snakemake.output.curves, CURVES)


as_rule(main, snakemake.log[0])
