"""Nothing secret and no path of this machine goes out: each is named with its file and line, and the secret is not repeated."""

import os
from pathlib import Path

import polars as pl
import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.publishing.leaks import refuse_leaks
from selfdistill.publishing.members import Kind, Member, code_of

TOKEN = "hf_" + "AbCdEfGh" * 4  # the shape of one


def told(
    text: str, kind: Kind = Kind.OURS, name: str = "notes.yaml", allowed: tuple[str, ...] = (), **environment: str
) -> str:
    try:
        refuse_leaks([Member(name, kind, text=text)], allowed, environment)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "secret",
    [
        TOKEN, "sk-" + "a1B2" * 8, "ghp_" + "a1B2" * 9, "glpat-" + "a1B2" * 6, "AKIA" + "A1B2" * 4, "xoxb-" + "12345-" * 5,
        "-----BEGIN OPENSSH PRIVATE KEY-----", "https://me:geheim@example.org/x",
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_refused_in_every_kind_of_file_and_not_repeated(secret: str) -> None:
    for kind in Kind:
        said = told(f"one\ntwo: {secret}\n", kind)
        assert said.startswith("notes.yaml:2: holds what looks like a") and secret not in said


def test_the_value_of_a_secret_variable_is_refused_by_the_variables_name() -> None:
    said = told("a\nb\nc: correct-horse-battery\n", WANDB_API_KEY="correct-horse-battery", PATH="correct-horse")
    assert said.splitlines()[0].startswith("notes.yaml:3: holds the value of the variable WANDB_API_KEY")
    assert "battery" not in said
    assert not told("a: true\n", SOME_KEY="true") and not told(
        "a: correct-horse-battery\n", EDITOR="correct-horse-battery"
    )


@pytest.mark.parametrize(
    "path", ["/home/ada/data/x.jsonl", "/scratch/ada", "/Users/ada/x", "C:\\Users\\ada", "file:///x/y"]
)
def test_a_path_of_a_machine_is_refused_where_we_or_models_write(path: str) -> None:
    for kind in (Kind.OURS, Kind.QUOTES):
        assert f"notes.yaml:1: holds a path of this machine, {path!r}" in told(f"path: {path}", kind)
    assert not told(f"path: {path}", Kind.CODE)


def test_any_absolute_path_is_refused_in_what_is_ours_but_not_in_what_quotes() -> None:
    assert "'/netapp/group/x'" in told("path: /netapp/group/x")
    assert not told("then /2/ and 3/4/5 </p>", Kind.QUOTES) and not told("a: b/c/d, https://example.org/x/y, 1/2/3")


def test_this_projects_own_folder_is_refused_even_in_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "somewhere"
    place.mkdir()
    monkeypatch.chdir(place)
    assert os.path.realpath(".") in told(f"# see {place}/x", Kind.CODE)
    assert not told(f"# see {place}x", Kind.CODE)


def test_a_path_that_a_person_looked_at_may_go_out_and_a_secret_never() -> None:
    assert not told("path: /home/ada/x", allowed=("/home/ada",))
    assert told(f"path: /home/ada/x {TOKEN}", allowed=("/home/ada", TOKEN))


def test_tables_are_searched_by_column_and_row(tmp_path: Path) -> None:
    file = tmp_path / "answers.parquet"
    pl.DataFrame({"n": [1, 2], "text": ["/home/model/wrote this", f"take {TOKEN}"]}).write_parquet(file)
    with pytest.raises(
        UserError, match=r"answers\.parquet: row 1, column text: holds what looks like a token of the Hugging"
    ):
        refuse_leaks([Member("results/answers.parquet", Kind.OURS, file)], (), {})
    pl.DataFrame({"text": ["fine", "it is correct-horse-battery"]}).write_parquet(file)
    with pytest.raises(UserError, match="row 1, column text: holds the value of the variable MY_TOKEN"):
        refuse_leaks([Member("results/answers.parquet", Kind.OURS, file)], (), {"MY_TOKEN": "correct-horse-battery"})
    file.write_bytes(b"no table")
    with pytest.raises(UserError, match="this Parquet file cannot be read"):
        refuse_leaks([Member("results/answers.parquet", Kind.OURS, file)], (), {})


def test_texts_in_lists_are_searched_too(tmp_path: Path) -> None:
    file = tmp_path / "candidates.parquet"
    pl.DataFrame({"candidates": [["fine"], ["fine", f"take {TOKEN}"]]}).write_parquet(file)
    with pytest.raises(UserError, match="row 1, column candidates: holds what looks like a token"):
        refuse_leaks([Member("results/candidates.parquet", Kind.OURS, file)], (), {})


@pytest.mark.parametrize("variable", ["DB_PASS", "MYAUTH", "MYTOKEN", "SMTP_PWD", "GIT_CREDS"])
def test_a_variable_is_secret_by_many_names(variable: str) -> None:
    with pytest.raises(UserError, match=f"the variable {variable};"):
        refuse_leaks([Member("x.md", Kind.OURS, text="correct-horse-battery")], (), {variable: "correct-horse-battery"})
    assert not told("by: Ada Lovelace, of London\n", GIT_AUTHOR_NAME="Ada Lovelace", KEYBOARD="of London")


@pytest.mark.parametrize("name", ["run.sh", "Makefile", "notes.env", "profile.yaml"])
def test_a_setting_that_is_named_like_a_secret_is_refused(name: str) -> None:
    said = told("a: 1\npassword: hunter2hunter2\n", name=name)
    assert said.startswith(f"{name}:2: sets what is named like a secret") and "hunter2" not in said
    assert not told("password: ${PASSWORD_OF_ADA}\npassword: null\nmax_tokens: 123456789\n", name=name)
    assert not told("password: hunter2hunter2\n", Kind.QUOTES, name)  # a model may write so


def test_what_a_site_writes_into_profiles_is_searched_for_its_paths_and_goes_without_its_account(
    tmp_path: Path,
) -> None:
    (tmp_path / "Snakefile").touch()
    profile = tmp_path / "profiles/slurm/profile.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_text("executor: slurm\nconda-prefix: /netapp/secret/conda\n")
    with pytest.raises(UserError, match=r"profile\.yaml:2: holds a path of this machine, '/netapp/secret/conda'"):
        refuse_leaks(code_of(tmp_path), (), {})
    profile.write_text("""\
- slurm_account=None # your account, as "slurm_account='lab'"
- "slurm_account='ada-lab'"
- slurm_account=ada-lab
slurm_account: "'ada-lab'"
slurm_extra: "--account=ada-lab --mail-user=ada@ada-lab.org"
""")
    [packed] = [member for member in code_of(tmp_path) if member.name.endswith("profile.yaml")]
    assert (
        packed.text
        == """\
- slurm_account=None # your account, as "slurm_account='lab'"
- "slurm_account=None"
- slurm_account=None
slurm_account: None
slurm_extra: "--account=None --mail-user=None"
"""
    )


def test_what_may_not_be_read_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.json: cannot be read .*; make it readable and try again"):
        refuse_leaks([Member("gone.json", Kind.OURS, tmp_path / "gone.json")], (), {})
