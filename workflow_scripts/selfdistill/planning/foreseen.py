"""What a run of a study as its file now stands would ask and learn, as far as that can be known without sampling anything.

Problems, prompts, plans, datasets and questions are made in memory by the functions that the rules call, of the sources, the
model and the samples that are there. The tables in the results are not believed: they may be of the study as it was.
None stands for what depends on something that is not there yet.
"""

import contextlib
import io
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from selfdistill.grading.grade import grade
from selfdistill.models.digests import model_digest
from selfdistill.models.reading import CONFIG
from selfdistill.models.tokens import end_tokens
from selfdistill.planning.manifests import stated_digest
from selfdistill.problems.assemble import ProblemTables, assemble
from selfdistill.problems.examples import read_examples
from selfdistill.problems.references import references, solutions_of
from selfdistill.problems.wording import wording_of
from selfdistill.sampling.asked import Asked, asked_of
from selfdistill.sampling.contexts import Room, context_prompts
from selfdistill.sampling.plan import make_plan
from selfdistill.sampling.prompts import Chat, tokenise_prompts
from selfdistill.sampling.solutions import from_sources
from selfdistill.study.evaluation import Size
from selfdistill.study.identity import RECORD
from selfdistill.study.ladder_models import ladder_models
from selfdistill.study.looks import asked_sizes, record_beside
from selfdistill.study.models import correct_arms, partners, shown_to, source_of, teacher_of, thinks
from selfdistill.study.names import context_of, parse_model_id
from selfdistill.study.problems import Problems, Source
from selfdistill.study.study import Study
from selfdistill.tables.problems import PROMPTS
from selfdistill.tables.sampling import COMPLETIONS, GRADED, PLAN
from selfdistill.tables.whole import read_table
from selfdistill.training.examples.correct import correct_dataset
from selfdistill.training.examples.filter import arm_dataset
from selfdistill.training.examples.references import reference_dataset
from selfdistill.training.practice.questions import questions, solutions_told

OF_CONTEXTS = (
    "problems",
    "model",
    "contexts",
    "ladder",
    "disagreement",
    "grading",
)  # sections that decide what is told


class Foreseen:
    def __init__(self, study: Study) -> None:
        self.study, self.results = study, Path(study.results)
        self.model = Path(study.model.path)
        self._graded: dict[str, pl.DataFrame | None] = {}

    @cached_property
    def recorded(self) -> Mapping[str, Any]:
        """The study of the last run; nothing where none has begun, or where it cannot be read."""
        try:
            return dict(yaml.safe_load((self.results / RECORD).read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError, TypeError, ValueError):
            return {}

    def as_recorded(self, *sections: str) -> bool:
        """Whether these sections are as they were in the last run."""
        now = self.study.as_param()
        return bool(self.recorded) and all(self.recorded.get(each) == now.get(each) for each in sections)

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Of a public dataset what its loader made of it."""
        return {
            name: Source(path=str(self.results / f"problems/sources/{name}.jsonl"), use=source.use, loader=source.loader)
            if source.loader
            else source
            for name, source in self.study.problems.sources.items()
        }  # fmt: skip

    @cached_property
    def problems(self) -> ProblemTables | None:
        if not all(Path(source.path).is_file() for source in self.sources.values()):
            return None
        described: Problems = self.study.problems.model_copy(update={"sources": self.sources})
        with contextlib.redirect_stderr(io.StringIO()):  # how many copies there are is told in the rule's log
            return assemble(described, self.study.seed, examples_answer=self.study.grading.answer)

    @cached_property
    def prompts(self) -> pl.DataFrame | None:
        if self.problems is None or not (self.model / CONFIG).is_file():
            return None
        asked = self.study.problems
        shown = read_examples(asked.examples) if asked.examples else []
        both = pl.concat([self.problems.train, self.problems.evaluation])
        return tokenise_prompts(both, asked.prompt, self.model, self.study.model.chat, self._trusted, shown)

    @cached_property
    def base_digest(self) -> str | None:
        return model_digest(self.model) if any(self.model.glob("*.safetensors")) else None

    def asked(self, model: str) -> Asked:
        return asked_of(self.study, model, self._looks)

    def plan(self, model: str, fresh: Collection[str] = ()) -> pl.DataFrame | None:
        """`fresh` are models of which samples are missing: what shows them cannot be planned."""
        if self.problems is None or self.prompts is None:
            return None
        if context_of(model) or model in ladder_models(self.study):
            return self._plan_of_told(model, fresh)
        digest = self._digest_of(model)
        if digest is None:
            return None
        return make_plan(model, digest, self.asked(model), self.problems.train, self.problems.evaluation, self.prompts)

    def graded(self, model: str) -> pl.DataFrame | None:
        """Every sample that is asked of a model, all of which are there; graded anew where the study grades otherwise than
        when its table was made."""
        if model not in self._graded:
            self._graded[model] = self._graded_now(model)
        return self._graded[model]

    def dataset(self, arm: str) -> pl.DataFrame | None:
        """What an arm learns; a UserError where the study could not have it."""
        told, examples = self.study.arms[arm], self.study.training.examples
        if self.problems is None or self.prompts is None:
            return None
        if told.on_references:
            return self._dataset_of_references()
        together = partners(self.study, arm) if arm in correct_arms(self.study) else [arm]
        graded = {name: self.graded(source_of(self.study, name)) for name in together}
        there = {name: table for name, table in graded.items() if table is not None}
        if len(there) < len(graded):
            return None
        arms = {name: self._with_its_filter(name) for name in together}
        if arm in correct_arms(self.study):
            return correct_dataset(arm, arms, there, self.prompts, examples).examples
        bare = [self.prompts] if told.context else []
        return arm_dataset(there[arm], arms[arm], str(told.decode), examples, *bare).examples

    def questions(self, arm: str) -> pl.DataFrame | None:
        """What an arm practises on."""
        if self.problems is None or self.prompts is None:
            return None
        practice, train = self.study.practice_of(arm), self.problems.train
        tokens = self.study.decodes[str(practice.decode)].max_tokens
        room = Room(self.study.model.context, tokens, str(practice.decode))
        asked = train.sort("rank").head(practice.coverage or train.height)
        told = self._told_to_teacher(arm, asked, Room(room.context, practice.learnt(tokens), room.decode))
        return questions(arm, train, self.prompts, told, practice.coverage, room)

    @property
    def _trusted(self) -> bool:
        return bool(self.study.model.trust_remote_code)

    @cached_property
    def _looks(self) -> Mapping[str, Mapping[str, Size]]:
        return asked_sizes(self.study, record_beside(self.study))

    def _digest_of(self, model: str) -> str | None:
        if parse_model_id(model).training_seed is None:
            return self.base_digest
        folder = self.results / "runs" / model
        if stated := stated_digest(self.results, model):
            return stated
        return model_digest(folder) if any(folder.glob("*.safetensors")) else None

    def _plan_of_told(self, model: str, fresh: Collection[str]) -> pl.DataFrame | None:
        """What is told may be samples, and chosen by samples: its plan is believed where nothing that decides it changed."""
        file = self.results / "models" / model / "plan.parquet"
        shown = shown_to(self.study, model) if context_of(model) else None
        decides = (*OF_CONTEXTS, "decodes", "training", "sampling")
        if shown in fresh or not (file.is_file() and self.as_recorded(*decides) and self._same_prompts()):
            return None
        return read_table(file, PLAN)

    def _same_prompts(self) -> bool:
        file = self.results / "problems/prompts.parquet"
        return file.is_file() and self.prompts is not None and read_table(file, PROMPTS).equals(self.prompts)

    def _graded_now(self, model: str) -> pl.DataFrame | None:
        folder = self.results / "models" / model
        file, record = folder / "graded.parquet", self.results / RECORD
        plan = self.plan(model)
        if plan is None:
            return None
        young = file.is_file() and record.is_file() and file.stat().st_mtime >= record.stat().st_mtime
        if young and self.as_recorded("grading", "contexts") and self._thinks_as_recorded():
            there = read_table(file, GRADED)
            ranked = self._ranked(there)
            if there.height == plan.height and ranked.join(plan, on="request_id", how="semi").height == plan.height:
                return ranked
        return self._graded_anew(plan, thinks(self.study, model), sorted(folder.glob("shard-*.parquet")))

    def _thinks_as_recorded(self) -> bool:
        return bool(self.recorded["model"].get("thinks") == self.study.model.thinks)

    def _ranked(self, graded: pl.DataFrame) -> pl.DataFrame:
        """With the places of the problems in the ranking as it now is; without those whose answer is another now."""
        places = self._all_problems.select("problem_id", "rank", gold="answer")
        now = graded.drop("rank").join(places, on=["problem_id", "gold"], how="inner", maintain_order="left")
        return now.select(graded.columns)

    @property
    def _all_problems(self) -> pl.DataFrame:
        assert self.problems is not None
        return pl.concat([self.problems.train, self.problems.evaluation])

    def _graded_anew(self, plan: pl.DataFrame, think: bool, shards: list[Path]) -> pl.DataFrame | None:
        found = [read_table(shard, COMPLETIONS) for shard in shards]
        completions = (
            pl.concat(found).filter(pl.col("request_id").is_in(plan["request_id"].implode())) if found else None
        )
        if completions is None or completions.height < plan.height:
            return None
        ends = end_tokens(self.model)
        return pl.concat(grade(plan, lambda: [completions], self._all_problems, ends, self.study.grading, 1, think))

    def _with_its_filter(self, arm: str) -> Any:
        """The arm; a filter of a plugin's as the rules name it."""
        told = self.study.arms[arm]
        return told.model_copy(update={"keep": self.study.reference("filter", told.keep)}) if told.keep else told

    def _dataset_of_references(self) -> pl.DataFrame:
        assert self.problems is not None and self.prompts is not None
        study, train = self.study, self.problems.train
        solved = solutions_of({name: each for name, each in self.sources.items() if each.use == "train"})
        found = references(
            train, self.prompts, solved, wording_of(study), self.model, study.model.chat, self._trusted
        )  # fmt: skip
        return reference_dataset(
            train, self.prompts, found, study.training.examples, study.model.context, study.grading, study.model.thinks
        ).examples

    def _told_to_teacher(self, arm: str, asked: pl.DataFrame, room: Room) -> dict[str, str]:
        """What is known beforehand; what the model's own answers tell is known to the practice alone."""
        context = teacher_of(self.study, arm)
        if context is None or context.solution not in ("answer", "dataset", "column"):
            return {}
        name, template = str(self.study.arms[arm].context), context.template
        switches, text = (
            self.study.model.chat | context.switches,
            Path(template).read_text("utf-8") if template else None,
        )
        chat = Chat(self.model, switches, self._trusted, f"contexts.{name}.chat", text)
        paths = {name: each.path for name, each in self.sources.items() if each.use == "train"}
        solutions = from_sources(context, asked, paths)
        with contextlib.redirect_stderr(io.StringIO()):
            told = context_prompts(name, context, asked, solutions, self.study.problems.prompt, chat, room)
        return solutions_told(told)
