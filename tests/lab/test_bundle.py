"""A finished study as one archive: complete, the same bytes twice, valid for machines, and with it the study runs elsewhere."""

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
import yaml

from conftest import ENVIRONMENT, PATIENCE, READY, Clone, jobs_in
from selfdistill.commands.main import run
from selfdistill.foundation.errors import UserError
from selfdistill.models.digests import model_digest
from selfdistill.planning.foreseen import Foreseen
from selfdistill.publishing import texts
from selfdistill.study.load import study_of
from stand_in_hub import Hub, stand_in_hub

pytestmark = pytest.mark.xdist_group("smoke")

ARMS = ("ssd", "keep-cut", "filter-only", "fixed-point")
SMOKE = "config/smoke.yaml"
BUNDLE = ("bundle", SMOKE, "--author", "Ada Lovelace", "--license", "CC-BY-4.0")


class Said(NamedTuple):
    status: int
    out: str
    err: str


def forklock(folder: Path, *arguments: str) -> Said:
    """As a person in that folder would; in this process, which has imported the library already."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = run(arguments)
        except UserError as error:
            return Said(1, out.getvalue(), str(error))
    return Said(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def bundle(smoke: Clone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "smoke.zip"
    packed = forklock(smoke.folder, *BUNDLE, "--out", str(out))
    assert packed.status == 0, packed.err
    return out


@pytest.fixture(scope="module")
def unpacked(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    return folder


def test_it_holds_what_the_report_leads_to_and_no_journal_and_no_weights(smoke: Clone, bundle: Path) -> None:
    names = zipfile.ZipFile(bundle).namelist()
    results = smoke.folder / "results/smoke"
    wanted = {f"results/analysis/{table.name}" for table in (results / "analysis").glob("*.parquet")}
    wanted |= {f"results/figures/{drawing.name}" for drawing in (results / "figures").glob("*.svg")}
    wanted |= {"study.yaml", "results/study.yaml", "results/report.html", "results/models/ssd/seed-0/at-050/graded.parquet",
               "results/runs/ssd/seed-0/manifest.json", "environment.json", "README.md", "CITATION.cff", ".zenodo.json",
               "workflow/requirements.lock", "workflow/envs/training.yaml", "workflow/Snakefile", "bundle.json"}  # fmt: skip
    assert len(wanted) > 50 and wanted <= set(names)
    links = re.findall(r'<a href="([^"#:]+)">', (results / "report.html").read_text())
    assert links and all(any(name.startswith(f"results/{link}") for name in names) for link in links)
    made = [name for name in names if name.startswith("results/")]
    assert not [name for name in made if re.search(r"journal|/work|\.safetensors|shard-\d+\.parquet|/logs/", name)]


def test_the_same_results_give_the_same_bytes(smoke: Clone, bundle: Path, tmp_path: Path) -> None:
    (smoke.folder / "results/smoke/report.html").touch()  # its time is no date of anything
    assert forklock(smoke.folder, *BUNDLE, "--out", str(tmp_path / "again.zip")).status == 0
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()


def test_it_says_by_what_the_study_ran_and_by_what_it_was_packed(
    smoke: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "state_of_the_code", lambda: {"commit": "c0ffee", "uncommitted changes": "none"})
    packed = forklock(smoke.folder, *BUNDLE, "--out", str(tmp_path / "later.zip"))
    assert "note: the report was made with Forklock" in packed.err and "c0ffee: it may make other numbers" in packed.err
    made = json.loads((smoke.folder / "results/smoke/provenance.json").read_text())
    manifest = json.loads((smoke.folder / "results/smoke/runs/ssd/seed-0/manifest.json").read_text())
    with zipfile.ZipFile(tmp_path / "later.zip") as archive:
        environment, readme = json.loads(archive.read("environment.json")), archive.read("README.md").decode()
    assert environment["packed with"]["commit"] == "c0ffee" and environment["commit"] == made["commit"] != "c0ffee"
    assert environment["trainings"]["ssd/seed-0"]["versions"] == manifest["versions"]
    assert f"commit {made['commit']}" in readme and "Packed with Forklock" in readme and "commit c0ffee" in readme


def entities(folder: Path) -> dict[str, dict[str, Any]]:
    graph = json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]
    assert len({entity["@id"] for entity in graph}) == len(graph)
    return {entity["@id"]: entity for entity in graph}


def ids(value: Any) -> list[str]:
    return [each["@id"] for each in (value if isinstance(value, list) else [value])]


def types(entity: dict[str, Any]) -> set[str]:
    return {entity["@type"]} if isinstance(entity["@type"], str) else set(entity["@type"])


def test_a_library_of_others_reads_it_as_a_crate(unpacked: Path) -> None:
    from rocrate.rocrate import ROCrate

    crate = ROCrate(unpacked)
    assert (
        crate.mainEntity.id == "workflow/Snakefile" and crate.mainEntity["programmingLanguage"]["name"] == "Snakemake"
    )
    files = [entity for entity in crate.data_entities if "File" in entity.type]
    assert len(files) > 100 and all((unpacked / file.id).is_file() for file in files)


def test_it_keeps_the_musts_of_the_workflow_run_profile(unpacked: Path) -> None:
    """https://w3id.org/ro/wfrun/workflow/0.5, and what that rests on: RO-Crate 1.1, Process Run Crate, Workflow RO-Crate."""
    found = entities(unpacked)
    descriptor, root = found["ro-crate-metadata.json"], found["./"]
    assert descriptor["@type"] == "CreativeWork" and descriptor["about"] == {"@id": "./"}
    assert "https://w3id.org/ro/crate/1.1" in ids(descriptor["conformsTo"])
    assert root["@type"] == "Dataset" and all(root[key] for key in ("name", "description", "license"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", root["datePublished"])
    profiles = {f"https://w3id.org/ro/wfrun/{name}/0.5" for name in ("process", "workflow")}
    assert profiles <= set(ids(root["conformsTo"])) and all(
        "CreativeWork" in types(found[profile]) for profile in profiles
    )
    workflow = found[root["mainEntity"]["@id"]]
    assert types(workflow) == {"File", "SoftwareSourceCode", "ComputationalWorkflow"}
    assert found[workflow["programmingLanguage"]["@id"]]["@type"] == "ComputerLanguage"
    action = found[root["mentions"]["@id"]]
    assert action["@type"] == "CreateAction" and action["instrument"]["@id"] == root["mainEntity"]["@id"]
    assert {"study.yaml"} == set(ids(action["object"])) and "results/analysis/levels.parquet" in ids(action["result"])
    made = json.loads((unpacked / "results/provenance.json").read_text())
    assert (action["startTime"], action["endTime"]) == (made["started"], made["created"])
    assert action["startTime"] < action["endTime"] and action["endTime"].startswith(root["datePublished"])
    for parameter in (*ids(workflow["input"]), *ids(workflow["output"])):
        assert found[parameter]["@type"] == "FormalParameter" and found[parameter]["additionalType"]
    assert set(ids(root["hasPart"])) >= {
        name for name, entity in found.items() if types(entity) & {"File", "Dataset"} and name != "./"
    }
    assert all(reference in found for entity in found.values() for reference in references(entity))


def references(content: Any) -> Iterator[str]:
    """Every name that an entity uses for another; addresses of the web need not be described."""
    for key, value in content.items() if isinstance(content, dict) else ():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict) and not each["@id"].startswith("https://") and key != "@id":
                yield each["@id"]


def test_the_digests_in_the_crate_are_those_of_the_files(unpacked: Path) -> None:
    import hashlib

    stated = {name: entity["sha256"] for name, entity in entities(unpacked).items() if "sha256" in entity}
    assert len(stated) > 100
    for name, digest in stated.items():
        assert hashlib.sha256((unpacked / name).read_bytes()).hexdigest() == digest, name


def test_in_another_folder_the_study_is_the_same_study(unpacked: Path) -> None:
    """It can be run there, and would ask each model the very requests that it was asked here."""
    there = unpacked / "workflow"
    status, said = READY.run(["snakemake", "--dry-run", "--cores", "1", "--configfile", "../study.yaml"], there)
    assert status == 0 and "problems" in jobs_in(said), said
    with contextlib.chdir(there):
        foreseen = Foreseen(study_of(Path("../study.yaml")))
        for model in ("base", "aa", "samples-t11"):
            plan = foreseen.plan(model)
            assert plan is not None
            packed = pl.read_parquet(unpacked / f"results/models/{model}/plan.parquet")["request_id"]
            assert plan.height > 50 and plan["request_id"].sort().equals(packed.sort()), model


@pytest.fixture(scope="module")
def with_rows(smoke: Clone, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder to run in, as docs/publishing.md unpacks it where nothing is to be sampled or trained."""
    folder = tmp_path_factory.mktemp("elsewhere") / "unpacked"
    opened = forklock(smoke.folder, "bundle", "--check", str(bundle), "--unpack", str(folder), "--rows")
    assert opened.status == 0 and f"run the study in {folder / 'workflow'}" in opened.out, opened.err
    return folder / "workflow"


def snakemake_in(folder: Path, *arguments: str) -> None:
    ran = subprocess.run(
        ["snakemake", "--quiet", "all", "--cores", "2", *arguments, "--configfile", "../study.yaml"],
        cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]


def test_from_the_packed_rows_another_folder_makes_the_same_tables(bundle: Path, with_rows: Path) -> None:
    """All but the page, which every finished study of these tests has, and the one table that is made from weights."""
    packed = with_rows / "results/smoke/analysis"
    assert [table.name for table in packed.iterdir()] == ["weight_overlap.parquet"]
    status, said = READY.run(["snakemake", "--dry-run", "--cores", "1", "--configfile", "../study.yaml"], with_rows)
    assert status == 0 and {"report", "levels", "verdicts"} <= set(jobs_in(said)), said
    assert not {"sample", "grade", "dataset", "train", "probe", "gradients"} & set(jobs_in(said))
    snakemake_in(with_rows, "--omit-from", "report")
    held = forklock(with_rows, "bundle", "--check", str(bundle), "--against", "results/smoke")
    assert held.status == 0 and re.search(
        r"^29 of 29 tables are the same(, \d of them but .*)?$", held.out, re.MULTILINE
    ), held.out


def test_a_shard_drawn_anew_in_another_folder_has_the_packed_completions(with_rows: Path, tmp_path: Path) -> None:
    """In a copy: a shard that is newer than what was graded would be graded again by whatever runs there next."""
    shutil.copytree(with_rows.parent, tmp_path / "copy")
    there, models = tmp_path / "copy/workflow", "results/smoke/models/samples-plain"
    snakemake_in(there, f"{models}/shard-0.parquet")
    drawn = pl.read_parquet(there / models / "shard-0.parquet").sort("request_id")
    packed = pl.read_parquet(there / models / "graded.parquet").sort("request_id")
    packed = packed.filter(pl.col("request_id").is_in(drawn["request_id"].implode()))
    assert drawn.height > 50
    for column in ("request_id", "token_ids", "text", "finish_reason"):
        assert drawn[column].equals(packed[column]), column


def test_a_changed_bundle_is_not_opened(smoke: Clone, bundle: Path, tmp_path: Path) -> None:
    """One byte of a table, a file that is missing, a file that was added."""

    def refused(changed: bytes) -> str:
        (tmp_path / "changed.zip").write_bytes(changed)
        asked = ("bundle", "--check", str(tmp_path / "changed.zip"))
        said = forklock(smoke.folder, *asked, "--unpack", str(tmp_path / "opened"))
        assert said.status == 1 and [file.name for file in tmp_path.iterdir()] == ["changed.zip"]
        return said.err

    def packed(names: Iterator[str]) -> bytes:
        again = io.BytesIO()
        with zipfile.ZipFile(bundle) as archive, zipfile.ZipFile(again, "w") as made:
            for name in names:
                made.writestr(name, archive.read(name) if name in archive.namelist() else b"x")
        return again.getvalue()

    names, levels = zipfile.ZipFile(bundle).namelist(), "results/analysis/levels.parquet"
    content = zipfile.ZipFile(bundle).read(levels)
    place = bundle.read_bytes().index(content) + len(content) // 2
    whole = bytearray(bundle.read_bytes())
    whole[place] ^= 1
    assert f"was changed or damaged: {levels} is another file. Do not trust it" in refused(bytes(whole))
    assert f"was changed or damaged: {levels} is missing. Do" in refused(
        packed(name for name in names if name != levels)
    )
    assert "was changed or damaged: results/more.html was added. Do" in refused(
        packed(iter([*names, "results/more.html"]))
    )
    assert "--check" in forklock(smoke.folder, "bundle", "--unpack", str(tmp_path / "opened")).err


@pytest.mark.slow
def test_run_again_in_another_folder_it_has_the_same_tables(bundle: Path, unpacked: Path) -> None:
    """The command of the README, but for making an environment."""
    there = unpacked / "workflow"
    command = re.search(r"^make report (CONFIG=\S+)$", (unpacked / "README.md").read_text(), re.MULTILINE)
    assert command is not None and command[1] == "CONFIG=../study.yaml"
    snakemake_in(there)
    held = forklock(there, "bundle", "--check", str(bundle), "--against", "results/smoke")
    assert held.status == 0 and re.search(
        r"^(\d+) of \1 tables are the same(, \d+ of them but .*)?$", held.out, re.MULTILINE
    ), held.out


def test_results_are_held_against_it_table_by_table(smoke: Clone, bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(smoke.folder / "results/smoke/analysis", tmp_path / "analysis")
    asked = ("bundle", "--check", str(bundle), "--against", str(tmp_path))
    assert forklock(smoke.folder, *asked).status == 0
    levels = pl.read_parquet(tmp_path / "analysis/levels.parquet")
    levels.with_columns(pl.col("estimate") + 1e-6).write_parquet(tmp_path / "analysis/levels.parquet")
    (tmp_path / "analysis/curves.parquet").unlink()
    pl.read_parquet(tmp_path / "analysis/flips.parquet").head(1).write_parquet(tmp_path / "analysis/flips.parquet")
    said = forklock(smoke.folder, *asked)
    assert said.status == 1 and re.search(r"levels +differs in estimate \(by 1e-06\)", said.out)
    assert re.search(r"curves +is not there", said.out) and re.search(
        r"flips +differs: it has 1 rows; the bundle has", said.out
    )
    assert "run the study first" in forklock(smoke.folder, *asked[:-1], "nowhere").err


def test_what_lacks_or_does_not_belong_is_a_sentence_and_nothing_is_written(
    own: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(study: str = SMOKE) -> str:
        said = forklock(own.folder, "bundle", study, "--out", "made/smoke.zip", "--hub", "ada/smoke")
        assert said.status == 1 and not (own.folder / "made").exists(), said
        return said.err

    results = own.folder / "results/smoke"
    with monkeypatch.context() as changed:
        changed.setenv("HF_TOKEN", "seed: 20261121")
        assert "study.yaml:" in refused() and "the value of the variable HF_TOKEN" in refused()
    lineage = results / "runs/ssd/seed-0/at-100/lineage.json"
    plain = lineage.read_text()
    lineage.write_text(plain.replace("{", '{"of": "/home/ada/x", ', 1))
    assert re.search(r"at-100/lineage.json:\d+: holds a path of this machine, '/home/ada/x'", refused())
    lineage.write_text(plain)
    model = results / "runs/ssd/seed-0/at-100/config.json"
    model.rename(model.with_name("away.json"))
    assert "results/smoke/runs/ssd/seed-0/at-100: the model is not there any more" in refused()
    model.with_name("away.json").rename(model)
    other = own.changed_study(lambda study: study["training"].update(lr=1e-3))
    assert "training.lr: results/smoke/study.yaml says otherwise" in refused(other)
    shutil.move(results / "analysis/curves.parquet", results / "curves.parquet")
    assert "results/smoke/analysis/curves.parquet: the report leads to it, and it is not there" in refused()
    shutil.move(results / "curves.parquet", results / "analysis/curves.parquet")
    levels = pl.read_parquet(results / "analysis/levels.parquet")
    levels.drop("method").write_parquet(results / "analysis/levels.parquet")
    assert "was made by another version of this code (columns missing: method" in refused()
    (results / "analysis/levels.parquet").write_bytes(b"PAR1")
    assert "levels.parquet: this Parquet file cannot be read" in refused()
    levels.write_parquet(results / "analysis/levels.parquet")
    (results / "report.html").unlink()
    assert "report.html: is not there; run the study to its report first" in refused()


def test_weights_come_where_they_are_asked_for_and_ones_own_problems_always(own: Clone) -> None:
    study = yaml.safe_load((own.folder / SMOKE).read_text())
    (own.folder / "mine").mkdir()
    shutil.copy2(own.folder / study["problems"]["sources"]["quiz"]["path"], own.folder / "mine/quiz.jsonl")
    study["problems"]["sources"]["quiz"]["path"] = "mine/quiz.jsonl"
    (own.folder / "mine/study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    record = own.folder / "results/smoke/study.yaml"
    record.write_text(record.read_text().replace("resources/lab/problems/quiz.jsonl", "mine/quiz.jsonl"))
    packed = forklock(own.folder, "bundle", "mine/study.yaml", "--weights", "--out", "mine.zip")
    assert packed.status == 0 and "nobody can cite it well" in packed.err, packed.err
    names = zipfile.ZipFile(own.folder / "mine.zip").namelist()
    assert "workflow/mine/quiz.jsonl" in names and "results/runs/ssd/seed-0/at-100/model.safetensors" in names
    assert not any("at-050/model" in name or "/work/" in name for name in names)


def test_what_goes_to_a_hub_has_cards_and_is_sent_with_a_token_alone(
    smoke: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "smoke.zip"
    monkeypatch.delenv("HF_TOKEN", raising=False)
    asked = (*BUNDLE, "--out", str(out), "--hub", "ada/smoke")
    assert "needs a token that may write, in the variable HF_TOKEN" in forklock(smoke.folder, *asked, "--upload").err
    assert not list(tmp_path.iterdir())
    prepared = forklock(smoke.folder, *asked)
    assert prepared.status == 0, prepared.err
    model, samples = tmp_path / "smoke-hub/models/smoke-ssd-seed-0", tmp_path / "smoke-hub/datasets/smoke-samples"
    assert model_digest(model) == model_digest(smoke.folder / "results/smoke/runs/ssd/seed-0/at-100")
    card = (model / "README.md").read_text()
    header, body = (
        yaml.safe_load(card.split("---\n")[1]),
        card.split("---\n", 2)[2].replace("\u2009", " ").replace("\u00a0", " "),
    )
    assert (
        header["license"] == "cc-by-4.0" and header["datasets"] == ["ada/smoke-samples"] and "base_model" not in header
    )
    level = pl.read_parquet(smoke.folder / "results/smoke/analysis/levels.parquet").filter(
        estimand="accuracy", model_id="ssd/seed-0/at-100", decode_id="t07", split="test", budget="full"
    )  # fmt: skip
    row = level.row(0, named=True)
    assert f"| t07 | {100 * row['estimate']:.1f} % [{100 * row['low']:.1f}, {100 * row['high']:.1f}] |" in body
    told = re.search(
        r"- (\d+) sampled, (\d+) finished .*?, (\d+) .*?, (\d+) cut by .*?, (\d+) cut in a loop, (\d+) empty,", body
    )
    assert told is not None and int(told[1]) == sum(map(int, told.groups()[1:]))
    manifest = json.loads((smoke.folder / "results/smoke/runs/ssd/seed-0/manifest.json").read_text())
    assert f"The folder `model`, which is on no hub; its digest is `{manifest['base_digest']}`" in body
    assert "not adjusted for how many rows there are" in body and "adjusted for how many there are (Holm)" in body
    assert "trained once" in body and "| `lr` | 3e-05 |" in body and "ssd against base at t07: " in body
    answers = pl.concat(pl.read_parquet(table) for table in (samples / "evaluation_answers").glob("*.parquet"))
    told_of_samples = (samples / "README.md").read_text()
    assert f"- `evaluation_answers`: {answers.height:,} rows in 10 tables. A row is a completion" in told_of_samples
    assert "A row is a problem" in told_of_samples and "**Keep the test problems out of training.**" in told_of_samples
    assert "practice_rollouts" not in told_of_samples and "draws of one model" not in told_of_samples
    assert "is there already; send what is in it with --upload, or remove it" in forklock(smoke.folder, *asked).err
    monkeypatch.setenv("HF_TOKEN", "hf_stand-in")
    (model / "config.json").write_text("{}")
    assert (
        "smoke-ssd-seed-0/config.json: is not what the study has now" in forklock(smoke.folder, *asked, "--upload").err
    )


def test_it_is_sent_to_a_hub_once_and_privately(smoke: Clone, tmp_path: Path) -> None:
    """In a process of its own: the hub's client reads its address when it is imported."""
    out = tmp_path / "smoke.zip"
    assert forklock(smoke.folder, *BUNDLE, "--out", str(out), "--hub", "ada/smoke").status == 0
    card, packed = tmp_path / "smoke-hub/models/smoke-ssd-seed-0/README.md", out.stat().st_mtime_ns
    card.write_text(card.read_text() + "\nIt was looked at.\n")
    with stand_in_hub(Hub(tmp_path / "hub", token="hf_stand-in")) as hub:
        sent = subprocess.run(
            [sys.executable, "workflow_scripts/forklock.py", *BUNDLE, "--out", str(out), "--hub", "ada/smoke", "--upload"],
            cwd=smoke.folder, env={**ENVIRONMENT, **hub.environment, "HF_TOKEN": "hf_stand-in"}, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert sent.returncode == 0 and "uploaded 5 repositories, private" in sent.stdout, sent.stderr
        assert "smoke-hub: sent as it was prepared" in sent.stdout and out.stat().st_mtime_ns == packed
        assert hub.private == {
            f"{kind}/ada/smoke-{name}"
            for kind, name in (("datasets", "samples"), *(("models", f"{arm}-seed-0") for arm in ARMS))
        }
        wrong = tmp_path / "refused.zip"
        with pytest.MonkeyPatch.context() as changed:
            changed.setenv("HF_TOKEN", "hf_another")
            changed.setenv("HF_ENDPOINT", hub.environment["HF_ENDPOINT"])
            refused = forklock(smoke.folder, *BUNDLE, "--out", str(wrong), "--hub", "ada/other", "--upload")
        assert (
            refused.err.startswith("ada/other-ssd-seed-0: could not be uploaded (")
            and (tmp_path / "refused-hub").is_dir()
        )
    for kind, name in (("models", "smoke-ssd-seed-0"), ("datasets", "smoke-samples")):
        there = tmp_path / "hub" / kind / "ada" / name
        here = tmp_path / "smoke-hub" / kind / name
        assert "It was looked at." in (there / "README.md").read_text() or kind == "datasets"
        files = sorted(path.relative_to(here) for path in here.rglob("*") if path.is_file())
        assert len(files) > 5 and all((there / file).read_bytes() == (here / file).read_bytes() for file in files)
