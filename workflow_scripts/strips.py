"""Rule `strips`: a few carriers token by token, for the report."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from selfdistill.foundation.programs import as_rule
from selfdistill.mechanism.strips import strips
from selfdistill.models.tokens import token_texts
from selfdistill.tables import words
from selfdistill.tables.mechanism import CARRIERS, DISTRIBUTIONS, STRIPS, TOKEN_CLASSES
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

SHOWN = ("probe_id", "model_id", "ids", "logprobs", "rank", "logprob")


def main() -> None:
    classes = read_table(snakemake.input.classes, TOKEN_CLASSES).filter(pl.col("kinds").list.contains(words.STRIP))
    ours = classes["probe_id"].implode()
    probes = {
        model: read_table(path, DISTRIBUTIONS, SHOWN).filter(pl.col("probe_id").is_in(ours))
        for model, path in zip(snakemake.params.models, snakemake.input.probes, strict=True)
    }
    carriers = read_table(snakemake.input.carriers, CARRIERS, ("carrier_id", "decode_id", "verdict", "finish_class"))
    texts = partial(token_texts, Path(snakemake.params.folder))
    write_table(strips(carriers, classes, probes, texts), snakemake.output[0], STRIPS)


as_rule(main, snakemake.log[0])
