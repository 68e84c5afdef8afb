"""The study file as types. What a key means is said once, in its section; `config/schema.json` is made from these classes."""

from typing import Any

from pydantic import Field

from selfdistill.study.annotation import Annotation
from selfdistill.study.arms import Arm
from selfdistill.study.contexts import Context
from selfdistill.study.disagreement import Disagreement
from selfdistill.study.doubt import Doubt
from selfdistill.study.evaluation import Evaluation, Hypothesis, Reported
from selfdistill.study.grading import Grading
from selfdistill.study.ladder import Ladder
from selfdistill.study.mechanism import Mechanism
from selfdistill.study.model import Model
from selfdistill.study.plugins import Kind, offers_of, reference_of
from selfdistill.study.practice import PracticeRecipe, practice_of
from selfdistill.study.problems import Problems
from selfdistill.study.results import usual_folder
from selfdistill.study.sampling import Decode, Sampling
from selfdistill.study.section import Folder, Name, PluginPath, Section, StudyName
from selfdistill.study.training import Recipe, Training


class Study(Section):
    study: StudyName = Field(description="Name of the study.")
    results: Folder = Field(
        default_factory=usual_folder, description="Folder of the results; results/ and the study's name unless given."
    )
    seed: int = Field(ge=0, description="Seed of ranking, splitting, sampling and data order.")
    plugins: list[PluginPath] = Field(
        default=[],
        description="Python files of yours, or folders of such, with loaders, engines, filters, judges and analyses (docs/extend.md).",
    )
    model: Model = Field(description="Which model is sampled and trained.")
    problems: Problems = Field(description="Where problems come from, and how training and evaluation are kept apart.")
    decodes: dict[Name, Decode] = Field(
        description="Ways of drawing tokens, each under a name that the rest of the file uses."
    )
    sampling: Sampling = Field(Sampling(), description="How samples are drawn: engine, precision, processes.")
    grading: Grading = Field(Grading(), description="How answers are judged, and what counts as a loop.")
    training: Training = Field(description="How models are trained, and on how many examples; an arm may differ.")
    contexts: dict[Name, Context] = Field(
        default={}, description="What a model is told beside the problem, each under a name."
    )
    arms: dict[Name, Arm] = Field(description="The ways of making a model that are compared, each under a name.")
    evaluation: Evaluation = Field(description="What every model is asked, how often, and at which decodes.")
    hypotheses: dict[Name, Hypothesis] = Field(default={}, description="The analysis plan, written before the data.")
    reported: dict[Name, Reported] = Field(
        default={}, description="What others found, for planning to say whether this study could see it."
    )
    doubt: Doubt = Field(Doubt(), description="Which words and phrases count as doubt.")
    ladder: Ladder | None = Field(
        None,
        description="The same problems under one context after the other: what a model writes the more it is told.",
    )
    mechanism: Mechanism | None = Field(
        None,
        description="Probes of next-token laws: what training did to locks and forks, and whether it was self-distillation.",
    )
    practice: PracticeRecipe | None = Field(
        None, description="Training on answers that the model gives while it trains: what arms with method share."
    )
    disagreement: Disagreement | None = Field(
        None, description="At which tokens the base disagrees with itself told more, and with itself trained."
    )
    annotation: Annotation | None = Field(
        None, description="A language model that judges how uncertain answers sound, beside the words of doubt."
    )

    def recipe(self, arm: str) -> Recipe:
        """How this arm is trained: the study's training with the arm's changes."""
        shared = self.training.model_dump(include=set(Recipe.model_fields))
        return Recipe.model_validate(shared | self.arms[arm].training)

    def practice_of(self, arm: str) -> PracticeRecipe:
        """How this arm practises: the study's practice with the arm's changes, at the decode that the arm names."""
        own = self.arms[arm].practice
        decode = self.arms[arm].decode
        return practice_of(self.practice, own | ({"decode": decode} if decode else {}))

    def reference(self, kind: Kind, name: str) -> str:
        """What params say of a loader, an engine, a filter or a judge, so that a changed plugin is seen."""
        return reference_of(self.plugins, kind, name)

    def judging(self) -> Annotation | None:
        """Section `annotation` as params say it: a judge of a plugin by what it is."""
        if self.annotation is None or self.annotation.judge.server:
            return self.annotation
        judge = self.annotation.judge
        judge = judge.model_copy(update={"model": self.reference("judge", judge.model)})
        return self.annotation.model_copy(update={"judge": judge})

    def references(self, kind: Kind) -> list[str]:
        """Of all that the plugins offer of a kind."""
        return [self.reference(kind, offer.name) for offer in offers_of(self.plugins) if offer.kind == kind]

    def as_param(self) -> dict[str, Any]:
        """As a study without probes, contexts, ladder, readers and judge always wrote it, so that its record needs not be written anew."""
        unused = {
            name
            for name in (
                "mechanism",
                "contexts",
                "ladder",
                "disagreement",
                "annotation",
                "reported",
                "practice",
                "plugins",
            )
            if not getattr(self, name)
        }
        unused |= {"doubt"} if self.doubt == Doubt() else set()
        plain = self.model_dump(exclude=unused)
        if self.training.draws == 1:
            del plain["training"]["draws"]
        return plain
