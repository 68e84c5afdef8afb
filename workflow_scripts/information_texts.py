"""Rule `information_texts`: which of one model's texts are read, and behind which prompts."""

from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.foundation.programs import as_rule
from selfdistill.mechanism.told import NEEDED, Mouth, information_texts
from selfdistill.models.tokens import load_tokenizer
from selfdistill.tables.ladder import INFORMATION_TEXTS, READINGS
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    first, *thinks = asked["thinks"]
    unguided, *told = (read_table(path, GRADED, NEEDED) for path in snakemake.input.graded)
    problems = read_table(snakemake.input.problems, PROBLEMS, ("problem_id", "answer"))
    tokenizer = load_tokenizer(Path(snakemake.params.folder), asked["trust_remote_code"])
    found = information_texts(
        asked["climber"],
        unguided,
        dict(zip(asked["contexts"], told, strict=True)),
        dict(problems.iter_rows()),
        Mouth(tokenizer, asked["sentence"], first, dict(zip(asked["contexts"], thinks, strict=True))),
        asked["context"],
    )
    write_table(found.texts, snakemake.output.texts, INFORMATION_TEXTS)
    write_table(found.readings, snakemake.output.readings, READINGS)


as_rule(main, snakemake.log[0])
