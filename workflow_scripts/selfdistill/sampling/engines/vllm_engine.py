"""The vLLM engine: for GPUs, and for every architecture that vLLM knows. Tried with vLLM 0.26 and 0.30.

Requests go into vLLM's continuous batching a little ahead of what it can hold, each with its own seed and decode. Token
ids go in and come out: vLLM never sees the tokenizer, and no default of the model folder reaches the sampling.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from selfdistill.foundation.errors import UserError
from selfdistill.sampling.engines.contract import EngineSettings
from selfdistill.sampling.requests import Given, NextTokens, Probed, Request, Sample
from selfdistill.study.sampling import AbortLoops

# vLLM reads these when it is imported. What the user has set stays.
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_LOGGING_LEVEL": "WARNING",
    # The engine lives in this process: a killed sampler leaves no orphan behind that holds the GPU.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}
DEVICE_ENVIRONMENT = {
    "cuda": {
        # Seeded requests never use FlashInfer's sampler, and compiling it takes a minute of every cold start.
        "VLLM_USE_FLASHINFER_SAMPLER": "0",
        # The second model runner draws from seeds in one kernel; the first loops over the requests of a batch.
        "VLLM_USE_V2_MODEL_RUNNER": "1",
    },
    "cpu": {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        # Else a few small functions are compiled at the first start, which takes a compiler and 15 seconds.
        "TORCH_COMPILE_DISABLE": "1",
    },
}
FINISH_REASONS = {"stop": "stop", "length": "length", "repetition": "loop"}
READ_TOGETHER = 1024  # tokens whose laws are asked for
LOWEST_TEMPERATURE = 0.01  # vLLM takes what lies between 0 and this for this


class VllmEngine:
    name = "vllm"

    def __init__(self, settings: EngineSettings) -> None:
        vllm = _import_vllm(settings.device)
        self.version = str(vllm.__version__)
        self.batch, self.stop_ids = settings.batch, settings.stop_ids
        self.model, self.on_gpu = settings.model, settings.device == "cuda"
        self.repetition = _repetition_detection(settings.abort_loops, self.version)
        arguments = vllm.EngineArgs(**_engine_arguments(settings))
        expected: tuple[type[Exception], ...] = (*_refusals(), RuntimeError, OSError)
        try:
            self.engine = vllm.LLMEngine.from_engine_args(arguments)
        except expected as error:
            raise UserError(
                f"{settings.model}: vLLM {self.version} does not start on {settings.device} with dtype {settings.dtype}, "
                f"context {settings.context} and batch {settings.batch}: {_quote(error)} -- Mend what it names "
                "(the model's config.json, model.context, sampling.batch), or set sampling.engine to torch."
            ) from error

    def sample(self, requests: Iterator[Request]) -> Iterator[Sample]:
        room = self.batch + self.batch // 4 + 1
        since: dict[str, float] = {}  # the requests inside, and when they went in
        try:
            while True:
                for request in islice(requests, room - len(since)):
                    self._add(request)
                    since[request.request_id] = time.monotonic()
                if not since:
                    return
                for output in self.engine.step():
                    if output.finished:
                        yield _sample(output, time.monotonic() - since.pop(output.request_id))
        finally:  # also when the consumer stops early or the user interrupts
            self.engine.abort_request(list(since))

    def score(self, given: list[Given]) -> list[list[float]]:
        """The completions are read as the ends of prompts."""
        for each in given:
            read = each.prompt_ids + each.completion_ids
            self._submit(each.request_id, read, max_tokens=1, prompt_logprobs=0)  # of the prompt's own tokens alone
        found: dict[str, list[float]] = {}
        while self.engine.has_unfinished_requests():
            found |= {output.request_id: output.prompt_logprobs.logprobs for output in self.engine.step()}
        return [found[each.request_id][-len(each.completion_ids) :] for each in given]

    def distributions(self, given: Iterable[Probed], top: int) -> Iterator[NextTokens]:
        """The log-probabilities of prompts, one text at a time: vLLM makes Python objects of those of every position. It tells
        neither log-sum-exp nor entropy."""
        vocabulary = int(self.engine.model_config.get_vocab_size())
        for each in given:
            read = each.prompt_ids + each.completion_ids
            self._submit(each.carrier_id, read, max_tokens=1, prompt_logprobs=min(top, vocabulary))
            finished = None
            while self.engine.has_unfinished_requests():
                for output in self.engine.step():
                    finished = output if output.finished else finished
            assert finished is not None
            yield _next_tokens(each, finished.prompt_logprobs)

    def rest(self) -> None:
        """On a CPU nothing is given back: vLLM cannot."""
        if self.on_gpu:
            self.engine.sleep(level=2)  # weights are dropped: newer ones come

    def wake(self, model: Path) -> None:
        if self.on_gpu:
            self.engine.wake_up(["weights"])
        elsewhere = {} if model == self.model else {"weights_path": str(model)}
        self.engine.collective_rpc("reload_weights", kwargs=elsewhere)
        self.engine.collective_rpc(_renew_head)
        self.model = model
        if self.on_gpu:
            self.engine.wake_up(["kv_cache"])

    def _add(self, request: Request) -> None:
        if 0 < request.temperature < LOWEST_TEMPERATURE:
            raise UserError(
                f"request {request.request_id}: vLLM does not sample at temperature {request.temperature}; take 0 "
                f"(greedy), {LOWEST_TEMPERATURE} or more, or set sampling.engine to torch."
            )
        self._submit(
            request.request_id,
            request.prompt_ids,
            seed=request.seed,
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            top_k=request.top_k,
            top_p=request.top_p,
            min_p=request.min_p,
            presence_penalty=request.presence_penalty,
            stop_token_ids=self.stop_ids,
            ignore_eos=True,  # else vLLM adds the end tokens of the folder's generation_config.json to ours
            repetition_detection=self.repetition,
            logprobs=0,  # of the sampled token alone
        )

    def _submit(self, request_id: str, prompt_ids: list[int], **wanted: Any) -> None:
        from vllm.sampling_params import RequestOutputKind, SamplingParams

        shape = {"flat_logprobs": True, "detokenize": False, "output_kind": RequestOutputKind.FINAL_ONLY}
        prompt = {"type": "token", "prompt_token_ids": prompt_ids}
        try:
            self.engine.add_request(request_id, prompt, SamplingParams(**shape, **wanted))
        except _refusals() as error:
            raise UserError(f"request {request_id}: vLLM refuses it: {_quote(error)}") from error


def _renew_head(worker: Any) -> None:
    """A head that is tied to the embedding has no weights in the files, so reloading passes it by. On a CPU it has a packed
    copy of its own, which would stay that of the old weights."""
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

    for layer in worker.get_model().modules():
        if isinstance(layer, ParallelLMHead):
            layer.quant_method.process_weights_after_loading(layer)


def _import_vllm(device: str) -> Any:
    for name, value in (ENVIRONMENT | DEVICE_ENVIRONMENT[device]).items():
        os.environ.setdefault(name, value)
    try:
        import vllm
        from vllm.platforms import current_platform
    except ImportError as error:
        raise UserError(
            f"vLLM cannot be imported ({error}): install what envs/sampling-vllm.yaml names, or set sampling.engine to torch."
        ) from error
    if current_platform.device_type != device:
        raise UserError(
            f"vLLM {vllm.__version__} runs on {current_platform.device_type or 'no device that it finds here'}, and the job "
            f"asks for {device}: ask for the other, install vLLM's build for {device}, or set sampling.engine to torch."
        )
    return vllm


def _engine_arguments(settings: EngineSettings) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": str(settings.model),
        "dtype": settings.dtype,  # vLLM's own choice turns float32 into float16
        "load_format": "safetensors",
        "trust_remote_code": settings.trust_remote_code,
        "skip_tokenizer_init": True,
        "generation_config": "vllm",
        "logprobs_mode": "raw_logprobs",
        "max_model_len": settings.context,
        "max_num_seqs": settings.batch,
        # Draws of one prompt could share its prefill, a small part of the work when answers are long; but then the last
        # bits of a sample would depend on what was sampled before it.
        "enable_prefix_caching": False,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    if settings.memory is not None:
        arguments["gpu_memory_utilization"] = settings.memory
    if settings.top:
        arguments["max_logprobs"] = max(20, settings.top)  # 20 is its own limit
    config = json.loads((settings.model / "config.json").read_text())
    if "vision_config" in config:
        arguments["language_model_only"] = True  # else vLLM asks for an image processor
    if settings.device == "cuda":
        if settings.top:
            # It makes the logits of all tokens that it reads together: of 8,192 and a vocabulary of 150,000 they are 5 GB.
            arguments["max_num_batched_tokens"] = READ_TOGETHER
        if settings.rests:
            arguments["enable_sleep_mode"] = True
        return arguments | {"gdn_prefill_backend": "triton"}  # Qwen3.5: the default is compiled at every cold start
    # A seeded request whose prompt is prefilled in parts crashes on CPU ("CPU Generator does not use offset").
    whole_prompts = {"enable_chunked_prefill": False, "max_num_batched_tokens": max(settings.context, 4096)}
    return arguments | whole_prompts | {"enforce_eager": True}


def _repetition_detection(loops: AbortLoops | None, version: str) -> Any:
    if loops is None:
        return None
    try:
        from vllm.sampling_params import RepetitionDetectionParams
    except ImportError as error:
        raise UserError(
            f"sampling.abort_loops: vLLM {version} cannot stop completions that loop; install 0.26 or newer, or remove the key."
        ) from error
    return RepetitionDetectionParams(max_pattern_size=loops.max_period, min_count=loops.min_repeats)


def _refusals() -> tuple[type[Exception], ...]:
    """What vLLM raises at wishes that it does not grant; its own errors were ValueErrors once."""
    from vllm import exceptions

    return (ValueError, getattr(exceptions, "VLLMError", ValueError))


def _sample(output: Any, seconds: float) -> Sample:
    completion = output.outputs[0]
    if completion.finish_reason not in FINISH_REASONS:
        raise UserError(
            f"request {output.request_id}: vLLM gave it up ({completion.finish_reason}) after {len(completion.token_ids)} "
            "tokens. Look above for its reason and run again; finished samples are kept."
        )
    return Sample(
        request_id=output.request_id,
        token_ids=list(completion.token_ids),
        finish_reason=FINISH_REASONS[completion.finish_reason],
        logprobs=list(completion.logprobs.logprobs),
        seconds=seconds,
    )


def _next_tokens(each: Probed, told: Any) -> NextTokens:
    """`told` has for every token of the text a line of its own number, then the likeliest."""
    ids, logprobs, ranks, given = [], [], [], []
    for position in each.positions:
        place = len(each.prompt_ids) + position
        first, end = told.start_indices[place], told.end_indices[place]
        best = np.array(told.logprobs[first + 1 : end], dtype=np.float32)
        own = np.float32(told.logprobs[first])
        ids.append(told.token_ids[first + 1 : end])
        logprobs.append(best)
        # vLLM counts a token's equals as likelier; among the likeliest we count ourselves.
        ranks.append(1 + int((best > own).sum()) if own >= best[-1] else int(told.ranks[first]))
        given.append(float(own))
    return NextTokens(
        each.carrier_id, np.array(ids, np.int32), np.array(logprobs, np.float32), None, None, np.array(ranks, np.int32),
        np.array(given, np.float64),
    )  # fmt: skip


def _quote(error: Exception, longest: int = 400) -> str:
    """The message on one line, without the long lists that some messages of vLLM end in."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= longest else said[:longest] + " …"
