"""Section `disagreement`: at which tokens a model disagrees with itself told more, and with itself trained."""

from pydantic import Field

from selfdistill.study.section import Name, Section


class Disagreement(Section):
    """Left out, nothing is compared. Samples of the base are read again, token by token: by the base under contexts, and by
    finished models; each law is held against that of the base that wrote the text."""

    decode: Name = Field(description="Decode of the samples that are read; an arm samples with it.")
    contexts: list[Name] = Field(default=[], description="Contexts that the base reads them under.")
    arms: list[Name] = Field(default=[], description="Arms whose finished models read them, without a context.")
    texts: int = Field(48, ge=2, description="Samples that are read, each of another family of problems.")
    top: int = Field(
        256, ge=20, description="Tokens of a law that are kept, the likeliest; what lies beyond them is one piece."
    )
    shown: int = Field(20, ge=1, description="Tokens and words that are told of, those with most of the disagreement.")
