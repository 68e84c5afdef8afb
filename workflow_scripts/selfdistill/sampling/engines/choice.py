"""Which engine samples, and opening it. The engines are imported when they are opened: vLLM is not everywhere."""

from importlib.util import find_spec

from selfdistill.sampling.engines.contract import Engine, EngineSettings


def choose_engine(asked: str, device: str, begun_by: str | None = None) -> str:
    """`auto` goes on with the engine that began a journal, and else takes vLLM where it is installed and there is a GPU.

    On a CPU it takes torch although vLLM may be there: benchmarks/real_model_speed.md."""
    if asked != "auto":
        return asked
    return begun_by or ("vllm" if device == "cuda" and find_spec("vllm") else "torch")


def open_engine(name: str, settings: EngineSettings) -> Engine:
    if name == "vllm":
        from selfdistill.sampling.engines.vllm_engine import VllmEngine

        return VllmEngine(settings)
    if name == "torch":
        from selfdistill.sampling.engines.torch_engine import TorchEngine

        return TorchEngine(settings)
    raise ValueError(f"no engine is named {name}")
