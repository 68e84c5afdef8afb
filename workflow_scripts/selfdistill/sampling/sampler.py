"""The sampler: executes what a plan asks of a shard and the journal does not yet hold, then seals the shard.

Goes in: a plan, a model folder, a journal. Comes out: one Parquet shard with exactly the plan's requests.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from tokenizers import Tokenizer

from selfdistill.errors import UserError
from selfdistill.sampling.journal import Journal, read_siblings
from selfdistill.sampling.requests import Engine, Request, Sample
from selfdistill.tables import COMPLETIONS, PLAN, read_table, write_table


@dataclass(frozen=True)
class SamplerSettings:
    engine: str
    dtype: str
    context: int
    batch: int = 64
    device: str = "cpu"


def sample_shard(
    plan_path: Path, model: Path, shard: int, journal_folder: Path, output: Path, settings: SamplerSettings
) -> None:
    plan = read_table(plan_path, PLAN).filter(pl.col("shard") == shard)
    with Journal(journal_folder) as journal:
        held = journal.read()
        for complaint in journal.damaged:
            print(complaint, file=sys.stderr)
        # With another number of shards a request may have been sampled into a sibling's journal.
        held = pl.concat([held, *read_siblings(journal_folder)]).unique("request_id", keep="first", maintain_order=True)
        missing = plan.join(held, on="request_id", how="anti").unique("request_id", maintain_order=True)
        print(
            f"{output}: {len(plan)} requests, {len(plan) - len(missing)} in the journal, {len(missing)} to sample",
            file=sys.stderr,
        )
        if len(missing):
            _execute(missing, model, journal, settings)
            held = pl.concat([held, journal.read()]).unique("request_id", keep="first", maintain_order=True)
        sealed = plan.select("request_id").join(held, on="request_id", how="inner", maintain_order="left")
        if len(sealed) != len(plan):
            raise UserError(f"{output}: {len(plan) - len(sealed)} of {len(plan)} requests have no sample; run again.")
        write_table(sealed, output, COMPLETIONS)
        journal.fold(journal.read())


def _execute(missing: pl.DataFrame, model: Path, journal: Journal, settings: SamplerSettings) -> None:
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    stop_ids = end_tokens(model)
    engine = open_engine(model, stop_ids, settings)
    # Neighbours of one decode share a batch, so that the sampling law takes its fast path.
    ordered = missing.sort("decode_id", "request_id")
    requests = [Request(**row) for row in ordered.select(list(Request.__dataclass_fields__)).iter_rows(named=True)]
    progress = Progress(len(requests))
    for sample in engine.sample(requests):
        journal.append(_record(sample, tokenizer, stop_ids, engine))
        progress.count(sample)
    progress.report(final=True)


def open_engine(model: Path, stop_ids: list[int], settings: SamplerSettings) -> Engine:
    from selfdistill.sampling.torch_engine import TorchEngine

    return TorchEngine(model, settings.context, stop_ids, settings.batch, settings.dtype, settings.device)


def end_tokens(model: Path) -> list[int]:
    """The ids at which a completion ends, from the generation configuration or else the configuration."""
    for name in ("generation_config.json", "config.json"):
        path = model / name
        found = json.loads(path.read_text()).get("eos_token_id") if path.is_file() else None
        if found is not None:
            return [found] if isinstance(found, int) else list(found)
    raise UserError(f"{model}: neither generation_config.json nor config.json names an eos_token_id; add one.")


def _record(sample: Sample, tokenizer: Tokenizer, stop_ids: list[int], engine: Engine) -> dict[str, object]:
    ended = sample.token_ids and sample.token_ids[-1] in stop_ids
    return {
        "request_id": sample.request_id,
        "token_ids": sample.token_ids,
        "text": tokenizer.decode(sample.token_ids[:-1] if ended else sample.token_ids, skip_special_tokens=False),
        "n_tokens": len(sample.token_ids),
        "finish_reason": sample.finish_reason,
        "logprob": sample.logprob,
        "engine": engine.name,
        "engine_version": engine.version,
        "seconds": sample.seconds,
    }


class Progress:
    """One line every few seconds, in the log and for the eye: samples, tokens a second, cut rate so far, time left."""

    EVERY = 5.0

    def __init__(self, total: int) -> None:
        self.total, self.samples, self.tokens, self.cut = total, 0, 0, 0
        self.began = self.reported = time.monotonic()

    def count(self, sample: Sample) -> None:
        self.samples += 1
        self.tokens += len(sample.token_ids)
        self.cut += sample.finish_reason == "length"
        if time.monotonic() - self.reported > self.EVERY:
            self.report()

    def report(self, final: bool = False) -> None:
        self.reported = time.monotonic()
        seconds = max(self.reported - self.began, 1e-9)
        left = seconds / max(self.samples, 1) * (self.total - self.samples)
        print(
            f"{self.samples}/{self.total} samples  {self.tokens / seconds:,.0f} tokens/s  "
            f"cut {self.cut / max(self.samples, 1):.1%}  " + (f"{seconds:.0f} s" if final else f"{left:.0f} s left"),
            file=sys.stderr,
            flush=True,
        )
