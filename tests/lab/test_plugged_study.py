"""A study that uses all kinds of plugins at once, with the examples of docs/extend.md, runs to its report and reads as it should."""

import contextlib
import io
import json
import random
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from conftest import ENVIRONMENT, Clone
from extend_examples import EXAMPLES, example
from redone import examine
from selfdistill.commands.main import run
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import digest_of, import_plugin
from selfdistill.tables import words
from stand_in_engine_server import serving

pytestmark = pytest.mark.xdist_group("plugged")

KINDS = [kind for kind in EXAMPLES if kind != "package"]
FILE, MODELS = "mine.yaml", ("base", "short/seed-0/at-100")
NAMES = {
    "loader": "school-exams",
    "engine": "server",
    "judge": "phrases",
    "filter": "short",
    "analysis": "longest-answers",
}
YEARS = {"years": [2020, 2024]}
STUDY: dict[str, Any] = {
    "study": "plugged",
    "seed": 7,
    "plugins": ["plugins"],
    "model": {"path": "resources/lab/model", "context": 320},
    "problems": {
        "prompt": "{problem}\nPut the answer in \\boxed{}.",
        "sources": {
            "drills": {"path": "data/drills", "use": "train", "loader": "school-exams", "hub": "example/drills", "options": YEARS},
            "exams": {"path": "data/exams", "use": "eval", "loader": "school-exams", "options": YEARS},
        },
    },
    "decodes": {"t10": {"temperature": 1.0, "top_k": 20, "top_p": 0.95, "max_tokens": 130}},
    "sampling": {"engine": "server", "batch": 4, "shards_base": 2},
    "training": {
        "samples": 20, "examples": 8, "batch": 4, "micro_batch": 2, "lr": 3.0e-5, "lr_floor": 6.0e-6, "warmup_steps": 1, "checkpoints": [100],
    },
    "arms": {"short": {"decode": "t10", "keep": "short"}},
    "evaluation": {
        "budgets": {"quick": 4, "full": 10}, "decodes": {"base": ["t10"], "final": ["t10"], "earlier": []}, "resamples": 200,
    },
    "hypotheses": {"short": {"arm": "short", "comparison": "matched", "decode": "t10", "margin": 0.03}},
    "annotation": {"judge": {"model": "phrases"}, "decode": "t10", "answers": 6, "passes": 1},
}  # fmt: skip


def problems(count: int, seed: int) -> list[tuple[str, str, int]]:
    rng = random.Random(seed)
    pairs = [(rng.randint(10, 99), rng.randint(10, 99)) for _ in range(count)]
    return [(f"Start with {one}. Add {other}.", str(one + other), 1) for one, other in pairs]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The study has run, and what served it is gone."""
    clone = Clone(tmp_path_factory.mktemp("plugged"))
    (clone.folder / "plugins").mkdir()
    files = {kind: example(kind, clone.folder / "plugins") for kind in KINDS}
    loader = import_plugin(files["loader"])
    for name, count in (("drills", 24), ("exams", 20)):
        loader.write(clone.folder / "data" / name, problems(count, count))
    (clone.folder / FILE).write_text(yaml.safe_dump(STUDY, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch, serving(clone.folder) as address:
        patch.setitem(ENVIRONMENT, "FORKLOCK_SERVER", address)
        done = clone.snakemake(study=FILE)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return clone


def graded(clone: Clone, model: str) -> pl.DataFrame:
    return pl.read_parquet(clone.folder / f"results/plugged/models/{model}/graded.parquet")


def test_every_plugin_did_its_part_and_the_page_has_its_numbers(made: Clone) -> None:
    results = made.folder / "results/plugged"
    base, trained, samples = (graded(made, model) for model in (*MODELS, "samples-t10"))
    assert {*base["engine"], *trained["engine"], *samples["engine"]} == {"server"} and base.height == 10
    assert pl.read_parquet(results / "models/base/plan.parquet")["shard"].n_unique() == 2
    assert set(base["source"]) == {"exams"} and set(samples["source"]) == {"drills"}
    learnt = set(pl.read_parquet(results / "arms/short/dataset.parquet")["request_id"])
    short = samples.filter(pl.col("finish_class").is_in(["answered", "no_answer"]), pl.col("n_tokens") <= 120)
    assert len(learnt) == 8 and learnt <= set(short["request_id"])
    judged = pl.read_parquet(results / "annotation/judgements.parquet")
    assert set(judged["parse"]) == {words.AS_ASKED} and judged.height == 2 * 6
    answers = dict(pl.concat([base, trained]).select("request_id", "text").iter_rows())
    phrases = import_plugin(made.folder / "plugins/my_judge.py").PHRASES
    for row in judged.iter_rows(named=True):
        found = [re.findall(rf"\b({each})\b", answers[row["answer_id"]], re.IGNORECASE) for each in phrases.values()]
        assert row["judged"] == sum(map(len, found))
    page = (results / "report.html").read_text()
    for model, table in zip(MODELS, (base, trained), strict=True):
        counts = judged.filter(pl.col("model_id") == model)["judged"].to_list()
        told = page.partition("<caption>Uncertainty as judged by phrases#")[2].partition(f"<span>{model}</span>")[2]
        assert (
            re.findall(r"judged uncertainty</th><td[^>]*>([\d.]+)</td>", told)[0] == f"{sum(counts) / len(counts):.2f}"
        )
        assert f"{model}</th><td>{max(table['n_tokens'].to_list())}</td>" in page
    for kind, name in NAMES.items():
        assert f"my_{kind}.py ({kind} {name}), SHA-256 {digest_of(made.folder / f'plugins/my_{kind}.py')}" in page
    assert "plugins/my_" not in page, "where files lie is told nowhere"


CHANGED = {
    ("loader", "filter"): {"fetch_source", "dataset", "report"},
    ("judge",): {"judge_questions", "judge", "annotation", "report"},
    ("analysis",): {"plugged", "report"},
}


def test_a_changed_plugin_is_felt_by_what_uses_it(made: Clone) -> None:
    for kinds, rules in CHANGED.items():
        with contextlib.ExitStack() as stack:
            for kind in kinds:
                stack.enter_context(changed(made.folder / f"plugins/my_{kind}.py", "# changed\n"))
            jobs = made.jobs_to_run(study=FILE).keys()
            assert jobs == rules if kinds[0] in ("judge", "analysis") else jobs >= rules, jobs


@contextlib.contextmanager
def changed(file: Path, more: str) -> Iterator[None]:
    kept = file.read_text()
    file.write_text(kept + more)
    try:
        yield
    finally:
        file.write_text(kept)


def forklock(clone: Clone, *arguments: str) -> tuple[int, str, str]:
    """As a person in that folder would; in this process, which has imported the library already."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(clone.folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = run(arguments)
        except UserError as error:
            return 1, out.getvalue(), str(error)
    return status, out.getvalue(), err.getvalue()


def test_the_command_knows_them(made: Clone) -> None:
    status, _, said = forklock(made, "check", FILE)
    assert status == 0 and "problems.sources.exams: 20 problems kept, 0 rows dropped" in said
    assert "The engine server is a plugin's, which nobody timed here" in forklock(made, "plan", FILE)[1]
    planned = json.loads(forklock(made, "plan", FILE, "--json")[1])
    [judging] = [stage for stage in planned["stages"] if stage["name"] == "judge answers"]
    assert judging["requests"] == 12
    assert planned["proposal"]["most_problems"] == 20, "as many as the plugin's loader reads"
    assert "0 of 40 completions would be sampled, 0 of 1 training would run anew" in forklock(made, "diff", FILE)[1]
    assert "changed since the report" not in forklock(made, "status", FILE)[1]
    with changed(made.folder / "plugins/my_judge.py", "# another\n"):
        said = forklock(made, "status", FILE)[1]
        assert "changed since the report: my_judge.py; forklock diff --jobs says what that makes anew" in said
    status, _, said = forklock(made, "rehearse", FILE)
    assert status == 0, said
    jobs = made.jobs_to_run(study="results/plugged-rehearsal/given/study.yaml")
    assert {"fetch_source", "judge", "plugged"} <= jobs.keys()


def test_a_bundle_has_them_and_is_rerun_with_them(made: Clone, tmp_path: Path) -> None:
    status, _, said = forklock(made, "bundle", FILE, "--out", str(tmp_path / "it.zip"))
    assert status == 0 and "plugins:" not in said, said
    with zipfile.ZipFile(tmp_path / "it.zip") as archive:
        archive.extractall(tmp_path)
    elsewhere = Clone.__new__(Clone)
    elsewhere.folder = tmp_path / "workflow"
    for kind in KINDS:
        name = f"plugins/my_{kind}.py"
        assert (elsewhere.folder / name).read_bytes() == (made.folder / name).read_bytes()
    shutil.copytree(made.folder / "data", elsewhere.folder / "data")
    assert "plugged" in elsewhere.jobs_to_run(study="../study.yaml")
    with changed(made.folder / "plugins/my_judge.py", "# another\n"):
        status, _, said = forklock(made, "bundle", FILE, "--out", str(tmp_path / "later.zip"))
        assert status == 0 and "note: plugins: my_judge.py: the report was made with another file of that name" in said
    with changed(made.folder / "plugins/my_judge.py", f"# at /home/ada/judges, with hf_{'a' * 34}\n"):
        status, _, said = forklock(made, "bundle", FILE, "--out", str(tmp_path / "other.zip"))
        assert status and not (tmp_path / "other.zip").exists()
        assert "holds a path of this machine, '/home/ada/judges'" in said
        assert "a token of the Hugging Face hub" in said


def test_numbers_of_a_judge_are_made_again(made: Clone) -> None:
    examine(made.folder, FILE, ("annotation",))
