"""Which engine samples, and opening it. The engines are imported when they are opened: vLLM is not everywhere."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import Reference, offered, reference_in
from selfdistill.models.configuration import read_config
from selfdistill.models.sizes import size_of
from selfdistill.sampling.engines.contract import Engine, EngineSettings

# Parameters. A smaller model waits for the host and not for the GPU: vLLM samples it no faster and starts a minute later
# (measured at 135 million: benchmarks/gpu/README.md).
WORTH_VLLM = 250_000_000
PARTS = ("name", "version", "sample", "score", "distributions")


def choose_engine(asked: str, device: str, model: Path, begun_by: str | None = None) -> str:
    """`auto` goes on with the engine that began a journal, and else takes vLLM where it is installed, there is a GPU, and
    the model is worth it."""
    if asked != "auto":
        return asked
    if begun_by and "#" not in begun_by:  # where a plugin began it, the journal says so
        return begun_by
    return "vllm" if device == "cuda" and find_spec("vllm") and not _is_small(model) else "torch"


def choose_reader(asked: str, model: Path) -> str:
    """Which engine reads texts for their laws: `auto` takes the torch engine wherever it knows the model, for it tells
    entropies and is as fast, since nothing is decoded."""
    from selfdistill.sampling.engines.decoder import read_shape

    if asked != "auto":
        return asked
    try:
        read_shape(model)
    except UserError:
        return "vllm" if find_spec("vllm") else "torch"
    return "torch"


def _is_small(model: Path) -> bool:
    """And one that the torch engine can sample."""
    from selfdistill.sampling.engines.decoder import ARCHITECTURES

    known = set(read_config(model).get("architectures") or ()) & set(ARCHITECTURES)
    size = size_of(model) if known else None
    return size is not None and size.parameters < WORTH_VLLM


def open_engine(name: str, settings: EngineSettings) -> Engine:
    if name == "vllm":
        from selfdistill.sampling.engines.vllm_engine import VllmEngine

        return VllmEngine(settings)
    if name == "torch":
        from selfdistill.sampling.engines.torch_engine import TorchEngine

        return TorchEngine(settings)
    if reference := reference_in(name):
        return engine_class(reference)(settings)
    raise ValueError(f"no engine is named {name}")


def engine_class(reference: Reference) -> Callable[[EngineSettings], Engine]:
    """A plugin's engine, if it has what the contract names."""
    found: Any = offered(reference).ENGINE
    if not isinstance(found, type):
        raise UserError(f"plugins: {reference.file}: ENGINE must be a class, but is {found!r:.80}.")
    missing = [each for each in PARTS if not hasattr(found, each)]
    if missing:
        raise UserError(
            f"plugins: {reference.file}: ENGINE has no {', '.join(missing)}; an engine has {', '.join(PARTS)} (docs/extend.md)."
        )
    version = getattr(found, "version", None)
    if not isinstance(version, str):
        raise UserError(f"plugins: {reference.file}: ENGINE.version must be text, but is {version!r:.80}.")
    opener: Callable[[EngineSettings], Engine] = found
    return opener
