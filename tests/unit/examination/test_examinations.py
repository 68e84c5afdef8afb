"""What engines and loaders of others are asked: the page's examples keep it, and what is broken is found."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from extend_examples import example
from selfdistill.commands.examine import told
from selfdistill.commands.main import run
from selfdistill.examination.checks import Broken
from selfdistill.examination.engines import BATCH, CHECKS, Examined, examine_engine
from selfdistill.examination.laws import MODEL
from selfdistill.examination.loaders import CHECKS as LOADER_CHECKS
from selfdistill.foundation.errors import UserError
from selfdistill.sampling.engines.contract import EngineSettings
from selfdistill.sampling.engines.torch_engine import TorchEngine
from selfdistill.sampling.requests import Given, Request, Sample
from stand_in_engine_server import serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with serving(MODEL.parent) as address:
        monkeypatch.setenv("FORKLOCK_SERVER", address)
        yield


def test_the_pages_engine_keeps_the_contract(server: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["examine", "engine", str(example("engine", tmp_path))]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [f"kept: {claim}" for claim in CHECKS]
    assert said.err.endswith("keeps its contract.\n")


def test_the_pages_loader_keeps_the_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["examine", "loader", str(example("loader", tmp_path))]) == 0
    assert "broken" not in capsys.readouterr().out


KEEPS, FIRST = (
    "samples keep to temperature 0, top_k, top_p and presence_penalty",
    "first tokens are as likely as temperature and min_p make them",
)
SEEDS = "another seed gives another sample"


class Careless(TorchEngine):
    """Breaks every claim but two."""

    def sample(self, requests: Iterator[Request]) -> Iterator[Sample]:
        taken = [replace(each, top_k=0, top_p=1.0, temperature=3.0) for each in requests]
        for number, sample in enumerate(super().sample(iter(taken[: 4 * BATCH]))):
            cut = replace(sample, token_ids=sample.token_ids[: len(sample.token_ids) - number % 2])
            yield replace(cut, logprobs=[each + 0.1 for each in cut.logprobs])

    def score(self, given: list[Given]) -> list[list[float]]:
        return [scores[::-1] for scores in super().score(given)]

    def distributions(self, given: Any, top: int) -> Iterator[Any]:
        return (replace(told, ranks=told.ranks + 1) for told in super().distributions(given, top))


def test_what_an_engine_breaks_is_found_claim_by_claim() -> None:
    found = {each.claim: each.broken for each in examine_engine(Careless)}
    kept = {claim for claim, broken in found.items() if not broken}
    assert kept == {"each request has one sample", SEEDS}
    assert "all 15 requests were taken before the first sample came" in str(
        found["requests are taken as there is room"]
    )
    assert "told to have rank" in str(found["distributions gives a plain forward pass's laws"])


class Headstrong(TorchEngine):
    """Ends where the model's own end is, whatever it is asked for."""

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(replace(settings, stop_ids=[420]))


def test_an_engine_that_ends_elsewhere_than_asked_is_found() -> None:
    with pytest.raises(Broken, match="goes on behind an end token|no sample ends at the token in stop_ids"):
        CHECKS["samples are whole and say how they ended"](Examined(Headstrong))


class Renaming(TorchEngine):
    def sample(self, requests: Iterator[Request]) -> Iterator[Sample]:
        return (replace(sample, finish_reason="eos") for sample in super().sample(requests))


def test_a_reason_of_another_name_is_told_and_not_that_no_sample_ends() -> None:
    with pytest.raises(Broken, match="finish_reason is 'eos' and must be 'stop' or 'length'"):
        CHECKS["samples are whole and say how they ended"](Examined(Renaming))


class Dropping(TorchEngine):
    def sample(self, requests: Iterator[Request]) -> Iterator[Sample]:
        next(requests)
        return super().sample(requests)


def test_what_rests_on_samples_that_are_lacking_is_not_asked() -> None:
    found = {each.claim: each for each in examine_engine(Dropping)}
    assert not [each for each in found.values() if "it raises" in str(each.broken)]
    assert "requests lack a sample" in str(found["each request has one sample"].broken)
    assert [each.claim for each in found.values() if each.not_asked] == [
        "samples are whole and say how they ended", "a request gives the same tokens alone and among others",
        "log-probabilities of samples are the model's own", KEEPS,
    ]  # fmt: skip
    assert told(found[KEEPS]) == f"not asked: {KEEPS}: it is asked of samples, and requests lack theirs"


class Blind(TorchEngine):
    def sample(self, requests: Iterator[Request]) -> Iterator[Sample]:
        return super().sample(replace(each, seed=1) for each in requests)


def test_an_engine_that_looks_at_no_seed_is_found() -> None:
    with pytest.raises(Broken, match="four seeds give the same sample"):
        CHECKS[SEEDS](Examined(Blind))


@pytest.mark.parametrize(
    ("ignored", "claim", "said"),
    [
        ({"presence_penalty": 0.0}, KEEPS, "a token outside top_k: 1 after presence_penalty: 2 was sampled"),
        ({"min_p": 0.0}, FIRST, "a token outside min_p: 0.2 was sampled"),
        ({"temperature": 1.0}, FIRST, "at temperature 0.2, 120 first tokens have a mean log-probability of"),
    ],
)
def test_an_engine_that_ignores_a_part_of_the_decode_is_found(ignored: dict[str, Any], claim: str, said: str) -> None:
    class Ignoring(TorchEngine):
        def sample(self, requests: Iterator[Request]) -> Iterator[Sample]:
            return super().sample(replace(each, **ignored) if each.temperature else each for each in requests)

    with pytest.raises(Broken, match=re.escape(said)):
        CHECKS[claim](Examined(Ignoring))


def test_what_a_loader_breaks_is_found_and_an_error_of_its_own_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = example("loader", tmp_path)
    text = file.read_text()
    file.write_text(
        text.replace("find_files(folder, FILES)", 'sorted(folder.glob("*/*"))').replace(
            'row["key"], level', 'row["key"] + "1", level'
        )
    )
    assert run(["examine", "loader", str(file)]) == 1
    said = capsys.readouterr().out
    assert "broken: problems and answers come through unchanged: problems or answers come through changed" in said
    assert "broken: an empty folder is one sentence: it reads what is none of its files without a word" in said
    file.write_text(text.replace('level=int(row["points"])', 'level=int(row["pints"])'))
    assert run(["examine", "loader", str(file)]) == 1
    assert "it raises KeyError: 'pints'" in capsys.readouterr().out


def test_a_loader_that_ends_the_program_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = example("loader", tmp_path)
    file.write_text(file.read_text().replace('first, last = options["years"]', "raise SystemExit(0)"))
    assert run(["examine", "loader", str(file)]) == 1
    assert capsys.readouterr().out.count("it raises SystemExit: 0") == len(LOADER_CHECKS)


SLIPS = {
    "a built-in's name": ('name="school-exams"', 'name="gsm8k"', "'gsm8k' is a built-in loader; give yours another name"),
    "a number": ('row["key"], level', 'float(row["key"]), level', "loader school-exams: the answer of row '2024/0' is"),
    "nothing": ('row["key"], level', "None, level", "is None, of the type NoneType; give text, or drop the row"),
    "a bare row": ('Kept(name, str(row["question"]), row["key"], level=int(row["points"]))', "row", "yields Kept or Dropped"),
    "other ids": ("yield Kept(name,", "yield Kept(__import__('uuid').uuid4().hex,", "broken: ids stay the same: read again, rows have other ids"),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS)
def test_slips_of_a_loader_are_called_what_they_are(
    slip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong, said = SLIPS[slip]
    file = example("loader", tmp_path)
    text = file.read_text()
    assert right in text
    file.write_text(text.replace(right, wrong))
    try:
        assert run(["examine", "loader", str(file)]) == 1
        told = capsys.readouterr().out
    except UserError as error:
        told = str(error)
    assert said in told and "it raises" not in told and "`files` does not name" not in told
