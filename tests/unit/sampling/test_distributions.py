"""The torch engine's next-token laws are those of a plain forward pass with all of its logits, however they are chunked."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from law_examination import CONTEXT, MODEL, TOP, examine_all, lab_probes, reference_logits
from selfdistill.foundation.errors import UserError
from selfdistill.sampling.engines import laws
from selfdistill.sampling.engines.choice import choose_reader
from selfdistill.sampling.engines.contract import EngineSettings
from selfdistill.sampling.engines.laws import next_tokens
from selfdistill.sampling.engines.torch_engine import TorchEngine
from selfdistill.sampling.requests import Given, Probed

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    return TorchEngine(EngineSettings(MODEL, "float32", CONTEXT, [0], batch=1))


@pytest.fixture(scope="module")
def probes() -> list[Probed]:
    return lab_probes()


def test_laws_are_those_of_a_plain_forward_pass(engine: TorchEngine, probes: list[Probed]) -> None:
    told = list(engine.distributions(iter(probes), TOP))
    examine_all(told, probes, within=1e-5)
    assert all(each.entropy is not None and each.log_sum_exp is not None for each in told)


@pytest.mark.parametrize("together", [1, 3, 64])
def test_how_many_positions_are_computed_together_makes_no_difference(
    engine: TorchEngine, probes: list[Probed], together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = next(engine.distributions([probes[0]], TOP))
    monkeypatch.setattr(laws, "LOGITS_TOGETHER", together * engine.decoder.shape.vocabulary)
    [found] = engine.distributions([probes[0]], TOP)
    assert (found.ids[:, :20] == whole.ids[:, :20]).all() and (found.ranks == whole.ranks).all()
    for name in ("logprobs", "given", "entropy", "log_sum_exp"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-6, atol=1e-6)


def test_never_more_logits_are_held_than_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def logits_of(part: slice) -> torch.Tensor:
        asked.append(part.stop - part.start)
        return torch.zeros(part.stop - part.start, 50)

    monkeypatch.setattr(laws, "LOGITS_TOGETHER", 50 * 7)
    told = next_tokens("a", logits_of, torch.zeros(40, dtype=torch.long), 10, laws.positions_together(50))
    assert max(asked) == 7 and sum(asked) == 40 and told.ids.shape == (40, 10)
    assert told.entropy == pytest.approx(np.log(50)) and told.ranks.tolist() == [1] * 40


def test_all_tokens_are_told_where_the_vocabulary_has_no_more(engine: TorchEngine, probes: list[Probed]) -> None:
    size = engine.decoder.shape.vocabulary
    [told] = engine.distributions([probes[0]], size + 100)
    assert told.ids.shape[1] == size
    assert np.exp(told.logprobs.astype(float)).sum(1) == pytest.approx(1.0)
    assert (np.sort(told.ids, 1) == np.arange(size)).all()


def test_what_stands_behind_a_position_does_not_matter(engine: TorchEngine, probes: list[Probed]) -> None:
    whole = probes[1]
    position = whole.positions[3]
    short = Probed(whole.carrier_id, whole.prompt_ids, whole.completion_ids[: position + 1], [position])
    [found], [expected] = (list(engine.distributions([each], TOP)) for each in (short, whole))
    np.testing.assert_allclose(found.logprobs[0], expected.logprobs[3], rtol=1e-5, atol=1e-5)


def test_given_tokens_are_as_likely_as_they_are_scored(engine: TorchEngine) -> None:
    probed = lab_probes(1)[0]
    everywhere = Probed("all", probed.prompt_ids, probed.completion_ids, list(range(len(probed.completion_ids))))
    [scored] = engine.score([Given("all", probed.prompt_ids, probed.completion_ids)])
    [told] = engine.distributions([everywhere], TOP)
    assert told.given == pytest.approx(scored, abs=1e-4)


def test_in_16_bits_logits_are_not_rounded_to_ties(probes: list[Probed]) -> None:
    """The head is applied in float32: laws of a 16-bit model are near the exact ones, and their tokens have an order."""
    engine = TorchEngine(EngineSettings(MODEL, "bfloat16", CONTEXT, [0], batch=1))
    [told] = engine.distributions([probes[0]], TOP)
    logits = reference_logits(probes[0])
    exact = torch.from_numpy(logits).log_softmax(-1).sort(-1, descending=True).values[:, :5].numpy()
    assert np.abs(told.logprobs[:, :5] - exact)[exact > -5].max() < 0.3
    assert (np.diff(told.logprobs[:, :100]) < 0).mean() > 0.99


def test_a_text_is_read_by_torch_wherever_it_knows_the_model(tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "other")
    config = json.loads((MODEL / "config.json").read_text()) | {"architectures": ["MambaForCausalLM"]}
    (tmp_path / "other/config.json").write_text(json.dumps(config))
    assert choose_reader("auto", MODEL) == "torch"
    assert choose_reader("vllm", MODEL) == "vllm"
    assert choose_reader("auto", tmp_path / "other") == "torch"  # no vLLM here; its sentence says what is missing
    with pytest.raises(UserError, match="not MambaForCausalLM"):
        TorchEngine(EngineSettings(tmp_path / "other", "float32", CONTEXT, [0], batch=1))
