"""The examination of next-token laws stands in the library, so that engines of others are asked the same."""

from selfdistill.examination.laws import (
    CONTEXT,
    MODEL,
    TOKENIZER,
    TOP,
    examine,
    examine_all,
    lab_probes,
    reference_logits,
)

__all__ = ["CONTEXT", "MODEL", "TOKENIZER", "TOP", "examine", "examine_all", "lab_probes", "reference_logits"]
