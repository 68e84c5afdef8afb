"""Rule `doubt`: words of doubt of every model, ratios of every comparison, and the shift of every word."""

from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.analysis.doubt import doubt_levels, doubt_ratios
from selfdistill.analysis.doubt_counts import counted
from selfdistill.analysis.doubt_measures import Doubted
from selfdistill.analysis.word_shift import shifts_asked, word_shift, words_used
from selfdistill.doubt.counting import Markers
from selfdistill.foundation.programs import as_rule
from selfdistill.models.pieces import tokenizer_of
from selfdistill.study.doubt import Doubt
from selfdistill.study.evaluation import Evaluation, Hypothesis
from selfdistill.tables.doubt import DOUBT, DOUBT_RATIOS, WORD_SHIFT
from selfdistill.tables.whole import write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked, output = snakemake.params.asked, snakemake.output
    markers = Markers(Doubt.model_validate(asked["doubt"]))
    evaluation = Evaluation.model_validate(asked["evaluation"])
    hypotheses = {name: Hypothesis.model_validate(fields) for name, fields in asked["hypotheses"].items()}
    graded = dict(zip(asked["models"], snakemake.input.graded, strict=True))
    answers = counted(graded.values(), markers, tokenizer_of(Path(snakemake.params.folder)), asked["thinks"])
    doubted = Doubted.of(answers, markers, evaluation)
    write_table(doubt_levels(doubted), output.doubt, DOUBT)
    write_table(doubt_ratios(doubted, evaluation, hypotheses), output.ratios, DOUBT_RATIOS)
    shifts = shifts_asked(doubted, evaluation)
    write_table(word_shift(doubted, words_used(graded, shifts), shifts), output.shift, WORD_SHIFT)


as_rule(main, snakemake.log[0])
