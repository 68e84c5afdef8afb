"""Soft targets: q is the law that samples are drawn from, and its loss is the mean of the one-hot loss over samples."""

import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats
from torch import Tensor

from selfdistill.foundation.errors import UserError
from selfdistill.sampling.law import Law, draw, law_numbers, shares, steps_of
from selfdistill.sampling.requests import Request
from selfdistill.study.sampling import Decode
from selfdistill.tables.training import DATASET, TARGETS
from selfdistill.tables.whole import read_table, write_table
from selfdistill.training.examples import teacher
from selfdistill.training.examples.taught import TaughtCollator, targets_digest, with_targets
from selfdistill.training.examples.teacher import example_targets, retained_tokens, write_targets
from selfdistill.training.objectives import soft as soft_targets
from selfdistill.training.objectives.soft import SoftTargets, add_soft_loss, soft_cross_entropy

VOCABULARY, END = 40, 1
PROMPT, COMPLETION = [5, 9, 2], [7, 30, 7, 12, 21, END]
SSD = Decode(temperature=1.1, top_k=6, top_p=0.9, max_tokens=64)
ITSELF = Decode(temperature=1.0, top_k=VOCABULARY, max_tokens=64)
torch.set_num_threads(1)


def random_model(tied: bool = True, **other: Any) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, tie_word_embeddings=tied, max_position_embeddings=64, initializer_range=0.3,
        eos_token_id=END, bos_token_id=None, **other,
    )  # fmt: skip
    return Qwen3ForCausalLM(config)


def targets_of(row: dict[str, Any]) -> SoftTargets:
    return SoftTargets(*(torch.from_numpy(row[name]) for name in ("retained", "token_ids", "probabilities")))


def soft_loss(model: Any, targets: SoftTargets, completion: list[int] = COMPLETION) -> Tensor:
    hidden = model.model(torch.tensor([PROMPT + completion])).last_hidden_state[0, len(PROMPT) - 1 : -1]
    return soft_cross_entropy(hidden, model.get_output_embeddings(), targets)[0]


def gradients(model: Any, loss: Tensor) -> Tensor:
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(model.parameters()))]).double()


def log_probabilities(model: Any, completion: list[int] = COMPLETION) -> Tensor:
    """Of every next token, from plain logits."""
    return model(torch.tensor([PROMPT + completion])).logits[0, len(PROMPT) - 1 : -1].log_softmax(-1)


def distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


# The teacher


def brute_force(logits: Sequence[float], decode: Decode) -> dict[int, float]:
    """The law spelt out slowly, in float64: temperature, min-p, top-k, then top-p of what is left."""
    p = np.exp(np.asarray(logits, dtype=np.float64) / decode.temperature)
    p /= p.sum()
    order = [int(i) for i in np.argsort(-p) if p[i] >= decode.min_p * p.max()][: decode.top_k]
    mass = p[order] / p[order].sum()
    order = order[: int(np.searchsorted(np.cumsum(mass), decode.top_p)) + 1]
    return {token: float(p[token] / p[order].sum()) for token in sorted(order)}


DECODES = [
    SSD,
    Decode(temperature=0.7, top_k=20, top_p=0.95, max_tokens=9),
    Decode(temperature=1.5, top_k=5, max_tokens=9),
    Decode(temperature=2.0, top_k=7, top_p=0.9, min_p=0.05, max_tokens=9),
    Decode(temperature=0.0, top_k=20, max_tokens=9),
]


@pytest.mark.parametrize("decode", DECODES[:-1])
def test_the_teacher_gives_the_law_of_a_brute_force(decode: Decode) -> None:
    logits = torch.randn(30, 50, generator=torch.Generator().manual_seed(1)) * 3
    counts, ids, q, _ = retained_tokens(logits, decode, torch.zeros(30, dtype=torch.long))
    places = np.split(np.arange(len(ids)), np.cumsum(counts.numpy())[:-1])
    for row, place in zip(logits.tolist(), places, strict=True):
        expected = brute_force(row, decode)
        assert ids[place].tolist() == list(expected)
        assert q[place].tolist() == pytest.approx(list(expected.values()), rel=1e-5)
    assert int(counts.max()) <= decode.top_k


@pytest.mark.parametrize("decode", DECODES)
def test_what_the_sampler_draws_has_the_teachers_frequencies(decode: Decode) -> None:
    n, rng = 40_000, random.Random(17)
    logits = torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(3)) * 2
    _, ids, q, _ = retained_tokens(logits, decode, torch.zeros(1, dtype=torch.long))
    asked = [Request("", [1], 9, rng.getrandbits(63), **decode.model_dump(exclude={"max_tokens"})) for _ in range(n)]
    law = Law(*torch.tensor([law_numbers(request) for request in asked]).unbind(1))
    unseen = torch.zeros(n, VOCABULARY, dtype=torch.bool)
    drawn = draw(logits.expand(n, -1), law, steps_of(asked, VOCABULARY), unseen, shares(asked, 1)[:, 0])
    found = np.bincount(drawn.numpy(), minlength=VOCABULARY)
    assert found.sum() == found[ids].sum(), "a token was drawn that the teacher does not retain"
    assert len(ids) == 1 or stats.chisquare(found[ids], (q * n).numpy()).pvalue > 1e-4


def test_a_completion_is_taught_at_each_of_its_tokens_and_no_other() -> None:
    model = random_model()
    row = example_targets(model, PROMPT, COMPLETION, SSD)
    logits = model(torch.tensor([PROMPT + COMPLETION])).logits[0]
    expected = [brute_force(logits[len(PROMPT) - 1 + n].tolist(), SSD) for n in range(len(COMPLETION))]
    assert row["retained"].tolist() == [len(q) for q in expected]
    assert row["token_ids"].tolist() == [token for q in expected for token in q]
    assert row["probabilities"].tolist() == pytest.approx([p for q in expected for p in q.values()], rel=1e-4)
    assert row["entropy"] == pytest.approx(-sum(p * np.log(p) for q in expected for p in q.values()), rel=1e-4)
    of_sampled = [q.get(token, 0.0) for q, token in zip(expected, COMPLETION, strict=True)]
    assert row["sampled_probability"] == pytest.approx(sum(of_sampled), rel=1e-4)
    assert row["outside"] == of_sampled.count(0.0) > 0


# The loss


@pytest.mark.parametrize("tied", [True, False])
def test_its_gradient_is_the_expectation_of_the_one_hot_gradient(tied: bool) -> None:
    """Σ_t Σ_v q_t(v) ∇(−log p_t(v)), each gradient by autograd through plain logits."""
    model = random_model(tied)
    row = example_targets(random_model(tied), PROMPT, COMPLETION, SSD)
    with torch.no_grad():
        for parameter in model.parameters():  # a student that has learnt something, so that p is not the base's
            parameter += 0.05 * torch.randn_like(parameter)
    expected, loss = torch.zeros(()), 0.0
    tokens, q = iter(row["token_ids"].tolist()), iter(row["probabilities"].tolist())
    for position, retained in enumerate(row["retained"].tolist()):
        for token, share in ((next(tokens), next(q)) for _ in range(retained)):
            one_hot = -log_probabilities(model)[position, token]
            expected, loss = expected + share * gradients(model, one_hot), loss + share * one_hot.item()
    ours = soft_loss(model, targets_of(row))
    assert ours.item() == pytest.approx(loss, rel=1e-6)
    assert distance(gradients(model, ours), expected) < 1e-5


def test_a_model_that_is_taught_its_own_distribution_stands_still() -> None:
    """Temperature 1, nothing truncated: the fixed point, without the noise that samples have there."""
    model = random_model()
    row = example_targets(model, PROMPT, COMPLETION, ITSELF)
    ours = soft_loss(model, targets_of(row))
    assert ours.item() == pytest.approx(row["entropy"], rel=1e-6)  # the floor
    one_hot = gradients(model, -log_probabilities(model).gather(1, torch.tensor(COMPLETION)[:, None]).sum())
    assert float(gradients(model, ours).norm() / one_hot.norm()) < 1e-6


def one_hot_targets() -> SoftTargets:
    return SoftTargets(
        torch.ones(len(COMPLETION), dtype=torch.int32), torch.tensor(COMPLETION), torch.ones(len(COMPLETION))
    )


def test_one_hot_targets_give_the_loss_of_trl() -> None:
    from trl.trainer.utils import add_fused_lm_head

    model = random_model()
    ours = soft_loss(model, one_hot_targets())
    mine = gradients(model, ours)
    add_fused_lm_head(model)
    ids, labels = torch.tensor([PROMPT + COMPLETION]), torch.tensor([[-100] * len(PROMPT) + COMPLETION])
    theirs = model(input_ids=ids, labels=labels, fused_lm_head=True, num_items_in_batch=1).loss
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
    assert distance(mine, gradients(model, theirs)) < 1e-6


@pytest.mark.parametrize("positions", [1, 2, 4])
def test_the_chunks_change_neither_loss_nor_gradient(positions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model()
    targets = targets_of(example_targets(model, PROMPT, COMPLETION, SSD))
    whole = soft_loss(model, targets)
    expected = gradients(model, whole)
    monkeypatch.setattr(soft_targets, "LOGITS_TOGETHER", positions * VOCABULARY)
    assert len(list(soft_targets.position_chunks(len(COMPLETION), VOCABULARY))) == -(-len(COMPLETION) // positions)
    chunked = soft_loss(model, targets)
    assert chunked.item() == pytest.approx(whole.item(), rel=1e-6)
    assert distance(gradients(model, chunked), expected) < 1e-6
    taught = targets_of(example_targets(model, PROMPT, COMPLETION, SSD))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(taught[:2], targets[:2], strict=True))
    assert torch.allclose(taught.probabilities, targets.probabilities)


def test_a_head_with_a_bias_learns_its_bias() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(7, 12, generator=generator, requires_grad=True)
    head, q = torch.nn.Linear(12, 30), torch.rand(7, 30, generator=generator).softmax(-1)
    targets = SoftTargets(torch.full((7,), 30), torch.arange(30).repeat(7), q.flatten())
    leaves = [hidden, *head.parameters()]
    plain = -(q * head(hidden).log_softmax(-1)).sum()
    expected = torch.autograd.grad(0.3 * plain, leaves)
    found = torch.autograd.grad(0.3 * soft_cross_entropy(hidden, head, targets)[0], leaves)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_under_autocast_only_the_products_are_rounded() -> None:
    """bf16 factors, float32 sums: nearer to float32 than through logits in bf16."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(64, 256, generator=generator, requires_grad=True)
    head = torch.nn.Linear(256, 500, bias=False)
    with torch.no_grad():
        head.weight *= 8
    targets = SoftTargets(torch.full((64,), 2), torch.tensor([3, 4]).repeat(64), torch.tensor([0.7, 0.3]).repeat(64))
    exact, _ = soft_cross_entropy(hidden, head, targets)
    expected = torch.autograd.grad(exact, head.weight)[0]
    with torch.autocast("cpu", torch.bfloat16):
        rounded, _ = soft_cross_entropy(hidden, head, targets)
        found = torch.autograd.grad(rounded, head.weight)[0]
        log_p = head(hidden).float().log_softmax(-1)
        usual = torch.autograd.grad(-(0.7 * log_p[:, 3] + 0.3 * log_p[:, 4]).sum(), head.weight)[0]
    assert rounded.dtype == found.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact.item(), rel=1e-3)
    assert 1e-4 < distance(found, expected) < 0.8 * distance(usual, expected)


# Beside the examples


def lesson(name: str, completion: list[int]) -> dict[str, Any]:
    return {"request_id": name} | example_targets(random_model(), PROMPT, completion, SSD)


def examples(**completions: list[int]) -> pl.DataFrame:
    rows = [{"request_id": name, "completion_ids": completion} for name, completion in completions.items()]
    return pl.DataFrame(rows, schema={name: DATASET[name] for name in ("request_id", "completion_ids")})


@pytest.fixture
def targets_file(tmp_path: Path) -> Path:
    rows = [lesson("a", COMPLETION), lesson("b", [9, 8, 7, END]), lesson("c", [3])]
    write_table(pl.DataFrame(rows, schema=TARGETS), tmp_path / "targets.parquet", TARGETS)
    return tmp_path / "targets.parquet"


def test_examples_get_their_own_targets_for_as_many_tokens_as_they_have(targets_file: Path) -> None:
    """A completion that was cut to fit keeps the targets of what is left of it."""
    found = with_targets(examples(c=[3], a=COMPLETION[:2]), targets_file)
    assert found["request_id"].to_list() == ["c", "a"]
    for (_, _, *ours), (name, tokens) in zip(found.iter_rows(), {"c": [3], "a": COMPLETION[:2]}.items(), strict=True):
        expected = lesson(name, tokens)
        for mine, entry in zip(ours, ("retained", "token_ids", "probabilities"), strict=True):
            assert mine == pytest.approx(expected[entry].tolist(), rel=1e-5)


def test_targets_of_another_dataset_are_refused(targets_file: Path) -> None:
    with pytest.raises(UserError, match=r"no targets for all tokens of request z \(1 such\)"):
        with_targets(examples(a=COMPLETION, z=[2]), targets_file)
    with pytest.raises(UserError, match="no targets for all tokens of request c"):
        with_targets(examples(c=[3, 4]), targets_file)


def test_the_digest_is_of_what_is_read(targets_file: Path) -> None:
    whole, again, other = (
        targets_digest(with_targets(examples(a=tokens, c=[3]), targets_file))
        for tokens in (COMPLETION, COMPLETION, COMPLETION[:5])
    )
    assert whole == again != other


@pytest.mark.parametrize("padding_free", [False, True])
def test_a_batch_has_the_losses_of_its_examples(targets_file: Path, padding_free: bool) -> None:
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    model = random_model()
    completions = {"b": [9, 8, 7, END], "a": COMPLETION, "c": [3]}
    expected = sum(soft_loss(model, targets_of(lesson(*each)), each[1]).item() for each in completions.items())
    plain = [log_probabilities(model, completion) for completion in completions.values()]
    collator = TaughtCollator(
        DataCollatorForLanguageModeling(0, padding_free=padding_free),
        with_targets(examples(**completions), targets_file),
    )
    rows = [
        {"input_ids": PROMPT + completion, "labels": [-100] * len(PROMPT) + completion, "example": number}
        for number, completion in enumerate(completions.values())
    ]
    add_soft_loss(model)
    said = model(**collator(rows), use_cache=False, fused_lm_head=True)
    assert said.log_probs.item() == pytest.approx(-expected, rel=1e-5)
    assert said.entropy.item() == pytest.approx(-sum((each.exp() * each).sum().item() for each in plain), rel=1e-5)
    assert int(said.label_mask.sum()) == sum(map(len, completions.values()))


# The table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model and sixty completions that were drawn from it at the decode SSD."""
    model = random_model().eval()
    model.save_pretrained(tmp_path / "model")
    rng = random.Random(0)
    law, steps = Law(*torch.tensor([law_numbers(SSD)]).unbind(1)), steps_of([SSD], VOCABULARY)
    unseen, rows = torch.zeros(1, VOCABULARY, dtype=torch.bool), []
    for number in range(60):
        prompt = [rng.randrange(2, VOCABULARY) for _ in range(4)]
        completion: list[int] = []
        while len(completion) < 8 and completion[-1:] != [END]:
            with torch.no_grad():
                logits = model(torch.tensor([prompt + completion])).logits[:, -1]
            completion.append(int(draw(logits, law, steps, unseen, torch.tensor([1 - rng.random()]))))
        rows.append(
            (f"r{number:02d}", "base", f"p{number}", prompt, completion, "answered", "correct", len(completion))
        )
    write_table(pl.DataFrame(rows, schema=DATASET, orient="row"), tmp_path / "dataset.parquet", DATASET)
    return tmp_path


def taught(folder: Path, decode: Decode = SSD) -> tuple[pl.DataFrame, dict[str, Any]]:
    files = folder / "targets.parquet", folder / "targets.json"
    write_targets(folder / "model", folder / "dataset.parquet", decode, "cpu", *files)
    return read_table(files[0], TARGETS), json.loads(files[1].read_text())


def test_the_table_has_a_row_per_example_and_says_what_it_holds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "PIECE_TOKENS", 100)  # several pieces
    table, said = taught(folder)
    dataset = read_table(folder / "dataset.parquet", DATASET)
    assert table["request_id"].equals(dataset["request_id"])
    assert table["retained"].list.len().to_list() == dataset["n_tokens"].to_list()
    sums = [
        np.add.reduceat(q, np.cumsum([0, *counts[:-1]]))
        for counts, q in table.select("retained", "probabilities").iter_rows()
    ]
    assert np.concatenate(sums) == pytest.approx(1, abs=1e-6)
    tokens = int(dataset["n_tokens"].sum())
    assert said["examples"] == 60 and said["tokens"] == tokens and said["outside"] == 0
    assert said["mean_retained"] == pytest.approx(table["token_ids"].list.len().sum() / tokens)
    assert said["largest_retained"] <= SSD.top_k
    q = np.concatenate([np.asarray(each, dtype=np.float64) for each in table["probabilities"]])
    assert said["loss_floor"] == pytest.approx(-(q * np.log(q)).sum() / tokens, rel=1e-6)
    # Whoever is drawn from q has it in expectation: Σ q². The samples themselves agree within their error.
    assert said["mean_sampled_probability"] == pytest.approx((q**2).sum() / tokens, abs=4 * 0.3 / tokens**0.5)
    assert said["bytes_per_token"] == (folder / "targets.parquet").stat().st_size / tokens


def test_samples_of_another_law_are_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"\d+ of \d+ sampled tokens .* more than 1%: .* make it anew"):
        taught(folder, Decode(temperature=1.1, top_k=2, max_tokens=64))
    assert not (folder / "targets.parquet").exists() and not list(folder.glob(".*"))


@pytest.mark.parametrize(
    ("decode", "sentence"),
    [
        (Decode(temperature=1.0, top_p=0.9, max_tokens=9), "soft targets need a decode with top_k"),
        (Decode(temperature=1.0, top_k=9, presence_penalty=1.5, max_tokens=9), "use a decode without"),
    ],
)
def test_a_decode_without_a_bounded_law_of_its_own_is_refused(folder: Path, decode: Decode, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        taught(folder, decode)


def test_a_model_that_caps_its_logits_is_refused(folder: Path) -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, final_logit_softcapping=1.0, initializer_range=0.3,
    )  # fmt: skip
    Gemma2ForCausalLM(config).save_pretrained(folder / "model")
    with pytest.raises(UserError, match="Gemma2ForCausalLM does more than its head to make logits"):
        taught(folder)
