"""Section `problems`: where problems come from, and how training and evaluation are kept apart."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from selfdistill.study.loaders import LOADERS
from selfdistill.study.section import HUB, REVISION, Commit, HubId, Name, Section, Share, name_among

if TYPE_CHECKING:
    Loader = str
else:
    Loader = name_among(*LOADERS)


class Source(Section):
    path: str = Field(
        description="JSON Lines with problem, answer, level and, where known, family and solution; with a loader, a dataset's folder."
    )
    use: Literal["train", "eval"] = Field(description="Whether models are trained or evaluated on it.")
    loader: Loader | None = Field(None, description="Reads a public dataset as it lies on the hub (docs/datasets.md).")
    hub: HubId | None = Field(None, description=HUB + " The loader knows the usual one.")
    revision: Commit = Field("", description=REVISION)
    options: dict[str, Any] = Field(default={}, description="What the loader is to take, as levels: [4, 5].")


class Contamination(Section):
    """A training problem that is too like an evaluation problem is dropped. Overlaps are of word n-grams."""

    ngram: int = Field(8, gt=1, description="Words in an n-gram.")
    overlap: Share = Field(0.8, description="Share of the evaluation problem's n-grams found in one training problem.")
    jaccard: Share = Field(0.75, description="Jaccard similarity of the two sets of word pairs.")
    jaccard_same_answer: Share = Field(0.6, description="The lower threshold when the answers agree.")


class Problems(Section):
    prompt: str = Field(description="What is asked; {problem} is replaced by the problem's text.")
    reference: str | None = Field(
        None,
        description="How an arm with samples: reference is shown a solution; {solution} and {answer} are replaced by the "
        "dataset's. Unless given, the solution and a sentence with its answer in the format that is graded.",
    )
    examples: str | None = Field(
        None,
        description="JSON Lines with problem and completion: solved problems that every prompt shows the model first, as "
        "earlier turns of the chat. For models that do not know the asked format.",
    )
    sources: dict[Name, Source] = Field(description="Files of problems, each under a name.")
    contamination: Contamination = Field(
        Contamination(), description="When a training problem is too like an evaluation problem."
    )
    dev_share: Share = Field(0.3, description="Share of evaluation families used for choices; the rest is reported on.")
