"""The figures that a plan of cost rests on, as `config/throughputs.yaml` states them, each with how it is known.

What a study needs and the file lacks is asked for by name (`Figures.needed`): nothing is made up in silence.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from selfdistill.foundation.errors import UserError
from selfdistill.models.headers import read_header
from selfdistill.problems.examples import read_examples
from selfdistill.study.study import Study

How = Literal["measured", "computed", "assumed"]
CHARACTERS_PER_TOKEN = 3  # of solved school problems: 2.7 and 3.2 with SmolLM2's tokenizer


class Stated(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


class Figure(Stated):
    value: float = Field(ge=0)
    how: How
    source: str = Field(alias="from")


class Rate(Stated):
    tokens: float = Field(gt=0)
    per_second: float = Field(gt=0)
    how: How
    source: str = Field(alias="from")


class Place(Stated):
    """A machine on which a model is sampled and trained: `cpu` or the name of a GPU."""

    sampling: list[Rate] = []
    engine_seconds: Figure | None = None
    training: list[Rate] = []
    training_seconds: Figure | None = None
    check_seconds: Figure | None = None


class ModelFigures(Stated):
    known_by: str
    parameters: Figure | None = None
    weight_bytes: Figure | None = None
    prompt_tokens: Figure | None = None
    completion_tokens: Figure | None = None
    reference_tokens: Figure | None = None  # of the dataset's own solutions in the study's wording
    completion_share: Figure | None = None
    finished_share: Figure | None = None
    bytes_per_token: Figure | None = None
    accuracy: Figure | None = None
    between_share: Figure | None = None
    correlation: Figure | None = None
    draw_correlation: Figure | None = None
    family_size: Figure | None = None
    training_sd: Figure | None = None  # of the true difference, from one training to another
    answers_per_second: Figure | None = None
    places: dict[str, Place] = {}


class Throughputs(Stated):
    gpu: str
    job_seconds: Figure
    analysis_seconds_per_thousand_answers: Figure
    doubt_seconds_per_million_tokens: Figure  # words of doubt are looked for in all evaluation answers
    problems: dict[
        str, Figure
    ] = {}  # loader → how many it keeps with its usual options; `loader split` → of that split
    models: dict[str, ModelFigures]


UNTIMED = Place()


class NotStated(UserError):
    """A figure that nobody wrote down: a plan of cost cannot be made, and nothing is wrong with the study."""


class Figures:
    """The figures of one study's model, looked up by name; remembers which were used, to print them with the plan."""

    def __init__(self, stated: Throughputs, study: Study, file: Path) -> None:
        self.stated, self.file, self.gpu = stated, file, stated.gpu
        self.used: dict[str, Figure | Rate] = {}
        where = " ".join(str(getattr(study.model, key, None) or "") for key in ("path", "hub")).lower()
        # The longest match: qwen3.5-4b-base is not qwen3.5-4b.
        known = [name for name, model in stated.models.items() if model.known_by.lower() in where]
        self.name = max(known, key=lambda name: len(stated.models[name].known_by), default="")
        self.model = stated.models.get(self.name, ModelFigures(known_by=study.model.path))
        self._take_sizes(Path(study.model.path))
        self._take_examples(study)

    def value(self, key: str) -> float:
        """A figure of the model."""
        return self._noted(f"models.{self.name}.{key}", getattr(self.model, key)).value

    def has(self, key: str) -> bool:
        return getattr(self.model, key) is not None

    def common(self, key: str) -> float:
        """A figure of all models alike."""
        return self._noted(key, getattr(self.stated, key)).value

    def problems(self, loader: str, split: str = "") -> int:
        """How many problems of a public dataset there are to ask; a split without a figure has those of the loader."""
        name = f"{loader} {split}" if f"{loader} {split}" in self.stated.problems else loader
        return round(self._noted(f"problems.{name}", self.stated.problems.get(name)).value)

    def seconds(self, key: str, on_gpu: bool) -> float:
        """A duration at the place where a job runs."""
        place, name = self._place(on_gpu)
        figure: Figure | None = getattr(place, key)
        if figure is None and not on_gpu:
            figure = self._duration_by_size(key)
        return self._noted(f"{name}.{key}", figure).value

    def seconds_per_token(self, key: str, on_gpu: bool, tokens: float) -> float:
        place, name = self._place(on_gpu)
        rates: list[Rate] = getattr(place, key)
        if not rates and not on_gpu:
            rates = self._rates_by_size(key)
        if not rates:
            raise self._asked(f"{name}.{key}")
        for rate in rates:
            self.used[f"{name}.{key} at {rate.tokens:,.0f} tokens"] = rate
        return interpolated(rates, tokens)

    def _place(self, on_gpu: bool) -> tuple[Place, str]:
        name = self.gpu if on_gpu else "cpu"
        return self.model.places.get(name, UNTIMED), f"models.{self.name}.places.{name}"

    # A CPU is asked of models that nobody timed on one: between those that were timed a speed follows the size.

    def _rates_by_size(self, key: str) -> list[Rate]:
        timed = {
            name: seconds
            for name, place in self._timed()
            if (seconds := [1 / rate.per_second for rate in getattr(place, key)])
        }
        if not timed or self.model.parameters is None:
            return []
        found = between_sizes(
            self.model.parameters.value, {self._size(name): min(each) for name, each in timed.items()}
        )
        longest = max(rate.tokens for name, place in self._timed() for rate in getattr(place, key))
        return [Rate.model_validate({"tokens": longest, "per_second": 1 / found, **_by_size(timed)})]

    def _duration_by_size(self, key: str) -> Figure | None:
        timed = {name: figure.value for name, place in self._timed() if (figure := getattr(place, key))}
        if not timed or self.model.parameters is None:
            return None
        value = between_sizes(self.model.parameters.value, {self._size(name): each for name, each in timed.items()})
        return Figure.model_validate({"value": value, **_by_size(timed)})

    def _timed(self) -> list[tuple[str, Place]]:
        return [
            (name, model.places["cpu"])
            for name, model in self.stated.models.items()
            if "cpu" in model.places and model.parameters
        ]

    def _size(self, name: str) -> float:
        parameters = self.stated.models[name].parameters
        assert parameters
        return parameters.value

    def _noted(self, key: str, figure: Figure | None) -> Figure:
        if figure is None:
            raise self._asked(key)
        self.used[key] = figure
        return figure

    def _asked(self, key: str) -> NotStated:
        if not self.name and key.startswith("models."):
            return NotStated(
                f"{self.file}: models has no entry whose known_by is a part of {self.model.known_by!r}; add one with its figures, "
                f"beside {', '.join(self.stated.models)}."
            )
        return NotStated(
            f"{self.file}: {key} is not stated; measure it in a small run, or write down what you assume, with "
            "how: assumed and from: why."
        )

    def _take_sizes(self, folder: Path) -> None:
        """Where the model's folder is there, its own sizes replace the stated ones."""
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            return
        source = f"{folder}/*.safetensors"
        sizes = {
            "weight_bytes": sum(file.stat().st_size for file in files),
            "parameters": sum(parameters_in(file) for file in files),
        }
        found = {key: Figure(value=value, how="measured", source=source) for key, value in sizes.items()}
        self.model = self.model.model_copy(update=found)

    def _take_examples(self, study: Study) -> None:
        """Examples make every prompt longer. A sampler reads it faster than it writes, so that this counts in training."""
        stated = self.model.prompt_tokens
        if stated is None or not study.problems.examples:
            return
        examples = read_examples(study.problems.examples)
        wording = len(study.problems.prompt.replace("{problem}", ""))
        characters = sum(wording + len(example.problem) + len(example.completion) for example in examples)
        longer = Figure(
            value=stated.value + characters / CHARACTERS_PER_TOKEN,
            how="assumed",
            source=f"{stated.source}; and {characters:,} characters of {study.problems.examples}, {CHARACTERS_PER_TOKEN:g} to a token",
        )
        self.model = self.model.model_copy(update={"prompt_tokens": longer})


def load_throughputs(file: Path) -> Throughputs:
    try:
        return Throughputs.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except OSError:
        raise UserError(f"{file}: cannot be read; give a file of figures such as config/throughputs.yaml.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{file}: is not YAML: {str(error).splitlines()[0]}; mend it there.") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{file}: {key}: {first['msg'].lower()}; a figure is {{value, how: measured, computed or assumed, from}}."
        ) from None


def interpolated(rates: Sequence[Rate], tokens: float) -> float:
    """Seconds per token at a length: on lines between the stated lengths and on beyond the longest, as attention grows;
    level below the shortest."""
    ordered = sorted(rates, key=lambda rate: rate.tokens)
    if tokens <= ordered[0].tokens or len(ordered) == 1:
        return 1 / ordered[0].per_second
    above = next((place for place, rate in enumerate(ordered) if rate.tokens >= tokens), len(ordered) - 1)
    near, far = ordered[above - 1], ordered[above]
    share = (tokens - near.tokens) / (far.tokens - near.tokens)
    return (1 - share) / near.per_second + share / far.per_second


def between_sizes(parameters: float, known: Mapping[float, float]) -> float:
    """Seconds of a model of this size, from those of models that were timed: a power of the size between two of them, in
    proportion to it beyond the largest, and level below the smallest."""
    sizes = sorted(known)
    if parameters <= sizes[0]:
        return known[sizes[0]]
    if parameters >= sizes[-1]:
        return known[sizes[-1]] * parameters / sizes[-1]
    above = next(place for place, size in enumerate(sizes) if size >= parameters)
    low, high = sizes[above - 1], sizes[above]
    share = math.log(parameters / low) / math.log(high / low)
    return known[low] ** (1 - share) * known[high] ** share


def _by_size(timed: Iterable[str]) -> dict[str, str]:
    return {"how": "computed", "from": f"the CPU's figures of {', '.join(timed)}, by the number of parameters"}


def parameters_in(file: Path) -> int:
    """How many numbers a safetensors file holds: its header says, the weights are not read."""
    return sum(math.prod(tensor.shape) for tensor in read_header(file).tensors.values())
