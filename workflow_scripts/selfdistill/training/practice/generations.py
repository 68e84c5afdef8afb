"""The rollouts of every generation: answered by the student and kept, or read from the file of a training that was.

In: the questions of a generation, and a student who can be asked. Out: the generation's rows of ROLLOUTS. Each generation
is a whole file in the work folder (`generations/0007.parquet`) before anybody learns from it, and every sample was in the
journal beside the work folder (`work-rollouts/0007/journal-0`) the moment it was finished. The journal outlives changes of
settings: requests are named by their content, so what another setting would ask again is not sampled again.
"""

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.sampling.journal.segments import pieces_of
from selfdistill.tables.faults import UnusableTable
from selfdistill.tables.practice import ROLLED, ROLLOUTS
from selfdistill.tables.sampling import PLAN
from selfdistill.tables.schema import empty_table
from selfdistill.tables.streams import TableWriter, open_pieces, read_piece, read_pieces
from selfdistill.tables.whole import write_table
from selfdistill.training.practice.answering import Answering, AnsweringBeside, AnsweringHere
from selfdistill.training.practice.apart import AnsweringApart
from selfdistill.training.practice.asking import plan_of
from selfdistill.training.practice.grading import advantages, graded
from selfdistill.training.practice.order import step_of
from selfdistill.training.practice.rollouts import Policy, Question, RolloutSource
from selfdistill.training.practice.settings import PracticeSettings, with_engine
from selfdistill.training.practice.told import TAUGHT, Teaching
from selfdistill.training.practice.wanted import PLAN_FILE, Share
from selfdistill.training.practice.watch import WATCHED, Watch
from selfdistill.training.processes import ranks

ROLLOUTS_FILE = "rollouts.parquet"


def journals_of(work: Path) -> Path:
    """Beside the work folder, which is set aside when settings change."""
    return work.with_name(f"{work.name}-rollouts")


def set_aside(work: Path, generation: int) -> str:
    """Of a generation that must not be learnt from the file and the journal get another name. Returns their new ones."""
    there = [Generations(work).path(generation), journals_of(work) / f"{generation:04d}"]
    moved = [(path, path.with_name(f"{path.name}.refused")) for path in there]
    number = next(k for k in count(1) if not any(to.with_name(f"{to.name}-{k}").exists() for _, to in moved))
    moved = [(path, to.with_name(f"{to.name}-{number}")) for path, to in moved if path.exists()]
    for path, to in moved:
        path.rename(to)
    return " and ".join(str(to) for _, to in moved)


class Generations:
    """The whole files of a training's generations."""

    def __init__(self, work: Path) -> None:
        self.folder = work / "generations"

    def path(self, generation: int) -> Path:
        return self.folder / f"{generation:04d}.parquet"

    def write(self, generation: int, rows: pl.DataFrame) -> None:
        _write(self.path(generation), [rows])

    def read(self, generation: int) -> pl.DataFrame:
        return pl.concat(read_pieces(self.path(generation), ROLLOUTS))

    def glance(self, generation: int) -> pl.DataFrame | None:
        """What is watched of a generation, where it is held."""
        try:
            return pl.concat(read_pieces(self.path(generation), ROLLOUTS, WATCHED))
        except UserError:  # nothing hangs on it
            return None

    def holds(self, generation: int, plan: pl.DataFrame) -> bool:
        """Whether its file is there, whole, and of just these requests."""
        if not self.path(generation).is_file():
            return False
        try:
            there = self.read(generation)
        except UnusableTable:  # the journal has what it was made from
            return False
        return there["request_id"].to_list() == plan["request_id"].to_list()

    def harm(self, generations: int, rows: int, closely: bool) -> str | None:
        """Why the files of the first so many generations, each of so many rows, cannot be put together; None if they can.

        Closely every byte is read, and else only whether each is there and has its end.
        """
        for generation in range(1, generations + 1):
            path = self.path(generation)
            if not path.is_file():
                return f"{path} is gone"
            try:
                held = open_pieces(path, ROLLOUTS).metadata.num_rows
                if closely:
                    for _ in read_pieces(path, ROLLOUTS):
                        pass
            except UnusableTable:
                return f"{path} is damaged"
            if held != rows:
                return f"{path} holds {held:,} rollouts instead of {rows:,}"
        return None

    def together(self, target: Path, generations: int) -> None:
        """One table of them all, a generation at a time in memory."""
        _write(target, (self.read(generation) for generation in range(1, generations + 1)))

    def clear(self) -> None:
        """When the training is finished and they stand together."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _write(path: Path, frames: Sequence[pl.DataFrame] | Iterator[pl.DataFrame]) -> None:
    with TableWriter(path, ROLLOUTS) as table:
        for frame in frames:
            for piece in pieces_of(frame):
                table.write(piece)


class SampledRollouts:
    """Rollouts that the student gives now. All ranks hold one, and ask together; each samples its share."""

    def __init__(
        self,
        settings: PracticeSettings,
        model: Path,
        work: Path,
        answering: Answering,
        stop_requested: Callable[[], bool] = lambda: False,
    ) -> None:
        """`model` is the base's folder."""
        self.settings, self.model, self.answering = settings, model, answering
        self.stop_requested = stop_requested
        self.generations, self.journals = Generations(work), journals_of(work)
        self.teaching, self.watch = Teaching(settings, model), Watch(settings, self.generations.glance)

    def rollouts(self, generation: int, questions: Sequence[Question], policy: Callable[[], Policy]) -> pl.DataFrame:
        student = policy()
        folder = self.journals / f"{generation:04d}"
        plan = plan_of(questions, student.digest, self.settings, ranks.world())

        def begin() -> bool:
            there = self.generations.holds(generation, plan)
            if not there:
                write_table(plan, folder / PLAN_FILE, PLAN)
            return there

        if not ranks.by_first(begin):
            self.answering.answer(folder, student, self.stop_requested)
            ranks.by_first(lambda: self._keep(generation, plan, questions, student, folder))
        return ranks.by_first(lambda: self._looked_at(generation))

    def _looked_at(self, generation: int) -> pl.DataFrame:
        rows = self.generations.read(generation)
        say_if_idle(self.watch, generation, rows)
        return rows

    def _keep(
        self, generation: int, plan: pl.DataFrame, questions: Sequence[Question], student: Policy, folder: Path
    ) -> None:
        shares = [Share(folder, student.folder, shard) for shard in range(ranks.world())]
        rolled = pl.concat(piece for share in shares for piece in read_pieces(share.sealed, ROLLED))
        rows = graded(plan, rolled, questions, self.settings, self.model)
        rows = rows.with_columns(
            pl.lit(generation, pl.Int32).alias("generation"), pl.lit(student.digest).alias("policy")
        )
        self.generations.write(generation, learnable(rows, questions, self.settings, self.teaching))
        for path in (folder / PLAN_FILE, *(share.sealed for share in shares)):  # the journal keeps what they hold
            path.unlink()


def say_if_idle(watch: Watch, generation: int, rows: pl.DataFrame) -> None:
    if sentence := watch.sentence(generation, rows):
        print(sentence, file=sys.stderr, flush=True)


def learnable(
    rows: pl.DataFrame, questions: Sequence[Question], settings: PracticeSettings, teaching: Teaching
) -> pl.DataFrame:
    """Graded rollouts of one generation with what this training learns from them: steps, advantages, the teacher's prompts."""
    recipe, generation = settings.practice, rows["generation"][0]
    steps = [step_of(generation, place, recipe) for place in range(len(questions)) for _ in range(recipe.rollouts)]
    rows = rows.with_columns(
        pl.Series("step", steps, pl.Int32),
        advantages(rows["reward"], recipe.rollouts, recipe.scale_rewards if settings.method == "grpo" else "none"),
        *teaching.taught(rows, questions).get_columns(),
    )
    if said := teaching.said(rows.height):
        print(f"generation {generation}: {said}", file=sys.stderr)
    return rows.select(list(ROLLOUTS))


class ReplayedRollouts:
    """Rollouts that another training gave, learnt from as this one's settings say: same answers and verdicts, and its own
    steps, advantages and teacher's prompts."""

    def __init__(self, settings: PracticeSettings, model: Path, work: Path, file: Path) -> None:
        self.settings, self.file, self.generations = settings, file, Generations(work)
        self.teaching, self.watch = Teaching(settings, model), Watch(settings, self.generations.glance)
        self._pieces = ranks.by_first(self._places)

    def _places(self) -> dict[int, list[int]]:
        """Of each generation the row groups that hold it."""
        file, found = open_pieces(self.file, ROLLOUTS), dict[int, list[int]]()
        for number in range(file.num_row_groups):
            for generation in read_piece(file, number, self.file, ROLLOUTS, ["generation"])["generation"].unique():
                found.setdefault(generation, []).append(number)
        if len(found) < self.settings.practice.generations:
            raise UserError(
                f"{self.file}: holds {len(found)} generations and practice.generations asks for "
                f"{self.settings.practice.generations}; lower it, or replay a longer training."
            )
        return found

    def rollouts(self, generation: int, questions: Sequence[Question], policy: Callable[[], Policy]) -> pl.DataFrame:
        return ranks.by_first(lambda: self._replayed(generation, questions))

    def _replayed(self, generation: int, questions: Sequence[Question]) -> pl.DataFrame:
        file = open_pieces(self.file, ROLLOUTS)
        pieces = [read_piece(file, number, self.file, ROLLOUTS) for number in self._pieces.get(generation, [])]
        there = pl.concat([empty_table(ROLLOUTS), *pieces]).filter(pl.col("generation") == generation)
        self._refuse_others(generation, there, questions)
        own = ("step", "advantage", *TAUGHT)
        rows = learnable(there.drop(own), questions, self.settings, self.teaching)
        self.generations.write(generation, rows)
        say_if_idle(self.watch, generation, rows)
        return rows

    def _refuse_others(self, generation: int, there: pl.DataFrame, questions: Sequence[Question]) -> None:
        draws = range(self.settings.practice.rollouts)
        asked = [
            (each.problem_id, each.first_draw + draw, each.gold, each.prompt_ids)
            for each in questions
            for draw in draws
        ]
        if there.select("problem_id", "draw", "gold", "prompt_ids").rows() != asked:
            raise UserError(
                f"{self.file}: generation {generation} answers other questions than this training asks: the problems with their "
                "right answers and prompts, coverage, questions, rollouts and seeds of both have to be the same; replay a training of this arm's settings."
            )


def answering(settings: PracticeSettings, model: Path) -> Answering:
    """`model` is the base's folder."""
    if settings.practice.turns == "apart":
        return AnsweringApart()
    settings = with_engine(settings, model)
    return AnsweringHere(settings) if settings.sampling.engine == "torch" else AnsweringBeside(settings, model)


def rollout_source(
    settings: PracticeSettings,
    model: Path,
    work: Path,
    replay: Path | None = None,
    stop_requested: Callable[[], bool] = lambda: False,
    questions: pl.DataFrame | None = None,
) -> RolloutSource:
    """Where this training's rollouts come from. `model` is the base's folder; `questions` are those that will be asked, so
    that what cannot be told of them is refused now."""
    if questions is not None:
        ranks.by_first(lambda: Teaching(settings, model).refuse(questions))
    if replay is not None:
        return ReplayedRollouts(settings, model, work, replay)
    return SampledRollouts(settings, model, work, answering(settings, model), stop_requested)
