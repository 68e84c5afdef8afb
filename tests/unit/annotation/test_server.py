"""A server that judges: asked with patience, told no secret, left alone when it is down; and nothing that it said is lost."""

import json
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

import stand_in_judge as conduct
from conftest import ROOT
from judged_answers import DOUBTS, MODELS, annotation, graded, problems
from selfdistill.annotation.agreement import agreement
from selfdistill.annotation.answers import choose_answers, with_texts
from selfdistill.annotation.asking import ask_judge
from selfdistill.annotation.contract import Question
from selfdistill.annotation.judgements import judgements
from selfdistill.annotation.questions import make_questions
from selfdistill.annotation.rubric import read_rubric
from selfdistill.annotation.server import Server, key_of
from selfdistill.doubt.counting import Markers
from selfdistill.foundation.errors import UserError
from selfdistill.study.annotation import Annotation
from selfdistill.tables import words
from selfdistill.tables.annotation import ANNOTATION, JUDGEMENTS, QUESTIONS
from selfdistill.tables.sampling import COMPLETIONS, GRADED
from selfdistill.tables.whole import read_table, write_table
from stand_in_judge import Conduct, StandIn, judging

KEY = "sk-very-secret"
RUBRIC = read_rubric(ROOT / "resources/rubrics/brief.yaml")


def asked_of(server: StandIn, **judge: object) -> Annotation:
    return annotation(
        judge={"model": "stand-in", "server": server.address, "seconds": 5.0, "parallel": 2, "tries": 4, **judge}
    )


def at_first(mishap: str) -> Conduct:
    return lambda prompt, attempt: mishap if attempt == 1 else conduct.WELL


def questions(folder: Path, annotated: Annotation) -> pl.DataFrame:
    files = [folder / f"{number}.parquet" for number in range(len(MODELS))]
    for file, model in zip(files, MODELS, strict=True):
        write_table(graded(model), file, GRADED)
    chosen = choose_answers(
        pl.concat(graded(model).filter(pl.col("decode_id") == "t07", pl.col("draw") == 0) for model in MODELS),
        MODELS,
        annotated,
        7,
    )
    return make_questions(with_texts(chosen, files, problems()), RUBRIC, annotated, 7, "float32")


def ask(asked: pl.DataFrame, annotated: Annotation, folder: Path, key: str | None = KEY) -> pl.DataFrame:
    server = Server(annotated.judge, annotated.temperature, annotated.max_tokens, key, first_pause=0.0)
    ask_judge(asked, server, folder / "journal-0", folder / "replies.parquet")
    return read_table(folder / "replies.parquet", COMPLETIONS)


def table(asked: pl.DataFrame, replies: pl.DataFrame) -> pl.DataFrame:
    return judgements(asked, replies, RUBRIC, Markers(), thinks=False)


def test_a_server_that_is_slow_busy_and_wrong_is_asked_until_it_answers(tmp_path: Path) -> None:
    """Each question meets another mishap at first. Every judgement is the number of doubts in the answer."""
    mishaps = (conduct.BUSY, conduct.BROKEN, conduct.WAIT_A_WHILE)

    def once(prompt: str, attempt: int) -> str:
        return mishaps[len(prompt) % 3] if attempt == 1 else conduct.WELL

    with judging(once) as server:
        annotated = asked_of(server)
        asked = questions(tmp_path, annotated)
        patient = Server(annotated.judge, 0.7, 512, None)
        patient._stopped.wait = lambda timeout=None: False  # type: ignore[method-assign]  # no pause takes time here
        ask_judge(asked, patient, tmp_path / "journal-0", tmp_path / "replies.parquet")
        assert set(server.attempts.values()) == {2}
    judged = table(asked, read_table(tmp_path / "replies.parquet", COMPLETIONS))
    write_table(judged, tmp_path / "judgements.parquet", JUDGEMENTS)
    assert judged.height == 2 * 2 * 8 and judged["parse"].unique().to_list() == [words.AS_ASKED]
    assert (judged["judged"] == judged["markers"]).all() and set(judged["engine_version"]) == {"stand-in-1"}
    for model in MODELS:
        assert sorted(judged.filter(model_id=model, **{"pass": 1})["judged"]) == sorted(DOUBTS[model])


IT = Question("a", "ANSWER wait", 1, "it")


@pytest.mark.parametrize(
    "lame",
    [conduct.SLOW, conduct.DRIPPING, conduct.STALLED, conduct.RESET, conduct.DRIPPING_FAULT, conduct.DRIPPING_HEADERS],
)
def test_a_server_that_does_not_answer_in_time_is_asked_again(lame: str) -> None:
    with judging(at_first(lame)) as server:
        annotated = asked_of(server, seconds=0.3)
        (reply,) = Server(annotated.judge, 0.7, 512, None, 0.0).ask_all([IT])
        assert reply.text == '{"doubts": 1}' and server.attempts["ANSWER wait", 1] >= 2


def test_a_fault_that_does_not_end_is_told_by_its_code() -> None:
    with judging(lambda prompt, attempt: conduct.DRIPPING_FAULT) as server:
        asked = Server(asked_of(server, seconds=1.0, tries=1).judge, 0.7, 512, None)
        assert list(asked.ask_all([IT])) == [] and asked.given_up == ["500: nothing more; timed out"]


def test_a_key_for_this_machine_passes_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with judging() as server, judging() as proxy:
        for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", proxy.address)
        assert Server(asked_of(server).judge, 0.7, 512, KEY).ask(IT).text == '{"doubts": 1}'
        assert server.keys == [f"Bearer {KEY}"] and proxy.keys == []
        elsewhere = asked_of(server).judge.model_copy(update={"server": "http://judge.invalid/v1", "tries": 1})
        with pytest.raises(UserError, match="404"):  # other servers may be reachable by a proxy alone
            Server(elsewhere, 0.7, 512, None).ask(IT)
        assert len(proxy.keys) == 1


def test_replies_under_way_are_kept_when_one_question_ends_the_job(tmp_path: Path) -> None:
    """A question is refused; the other's reply comes only after that was seen, and no third is asked."""
    servers: list[Server] = []

    def one_refused(prompt: str, attempt: int) -> str:
        if prompt == "refused":
            return conduct.TOO_LONG
        assert servers[0]._stopped.wait(20)
        return conduct.WELL

    with judging(one_refused) as server:
        servers.append(Server(asked_of(server, parallel=2).judge, 0.7, 512, None))
        asked = servers[0].ask_all(Question(name, name, 1, "it") for name in ("late", "refused", "third"))
        assert next(asked).request_id == "late"
        with pytest.raises(UserError, match="answers 400"):
            next(asked)
        assert len(server.asked) == 2


def test_what_is_no_judgement_is_kept_as_it_was_said_and_refused(tmp_path: Path) -> None:
    with judging(
        lambda prompt, attempt: conduct.GARBLED if "p1" in prompt or "5 + 4" in prompt else conduct.CUT
    ) as server:
        annotated = asked_of(server)
        asked = questions(tmp_path, annotated)
        judged = table(asked, ask(asked, annotated, tmp_path))
        assert set(judged["parse"]) == {words.REFUSED_REPLY} and judged["judged"].null_count() == judged.height
        assert '{"doubts": about three' in set(judged["reply"]) and "length" in set(judged["finish_reason"])
        assert set(server.attempts.values()) == {1}  # a reply is a reply
    rows = agreement(judged, MODELS)
    write_table(rows, tmp_path / "annotation.parquet", ANNOTATION)
    refused = rows.filter(model_id="base", measure=words.replies(words.REFUSED_REPLY)).row(0, named=True)
    assert (refused["estimate"], refused["n"]) == (1.0, 8) and refused["low"] < 1
    assert rows.filter(pl.col("measure") == words.with_markers(words.BIAS))["n"].to_list() == [0, 0]


def test_a_server_that_is_down_is_left_alone_and_what_it_answered_is_kept(tmp_path: Path) -> None:
    answered: set[str] = set()

    def dies(prompt: str, attempt: int) -> str:
        if len(answered) == 6:
            return conduct.BUSY
        answered.add(prompt)
        return conduct.WELL

    with judging(dies) as server:
        annotated = asked_of(server, tries=2, parallel=1)
        asked = questions(tmp_path, annotated)
        with pytest.raises(
            UserError, match="24 of 30 questions have no reply after 2 tries each.*500: no: Bearer …"
        ) as error:
            ask(asked, annotated, tmp_path)
        assert KEY not in str(error.value)
        assert len(server.asked) == 6 + 2 * 2  # after two in a row that had none, the rest was not tried
    with judging() as server:
        again = annotated.model_copy(update={"judge": annotated.judge.model_copy(update={"server": server.address})})
        assert ask(asked, again, tmp_path).height == 30 and len(server.asked) == 24
        ask(asked, again, tmp_path)
        assert len(server.asked) == 24


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [(conduct.DENIED, "does not take the key of FORKLOCK_JUDGE_KEY"), (conduct.NO_SUCH, "ends where /chat/completions begins"),
     (conduct.MOVED, "redirects are not followed")],
)  # fmt: skip
def test_what_would_be_the_same_again_ends_the_job_with_a_sentence(tmp_path: Path, behaviour: str, said: str) -> None:
    with judging(lambda prompt, attempt: behaviour) as server:
        annotated = asked_of(server, parallel=1)
        with pytest.raises(UserError, match=said) as error:
            ask(questions(tmp_path, annotated), annotated, tmp_path)
        assert KEY not in str(error.value) and "Bearer …" in str(error.value)
        assert len(server.asked) == 1


@pytest.mark.parametrize("elsewhere", ["http://[", "ftp://judge.example/"])
def test_a_redirect_to_nowhere_is_none(elsewhere: str) -> None:
    with judging(lambda prompt, attempt: conduct.MOVED) as server:
        server.elsewhere = elsewhere
        with pytest.raises(UserError, match="redirects are not followed"):
            Server(asked_of(server).judge, 0.7, 512, None).ask(IT)


def test_the_key_goes_into_the_header_and_nowhere_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with judging(at_first(conduct.BUSY)) as server:
        annotated = asked_of(server)
        asked = questions(tmp_path, annotated)
        write_table(asked, tmp_path / "questions.parquet", QUESTIONS)
        ask(asked, annotated, tmp_path)
        assert set(server.keys) == {f"Bearer {KEY}"}
        assert server.asked[0].keys() == {"model", "messages", "temperature", "seed", "max_tokens"}
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert KEY.encode() not in written and KEY not in "".join(capfd.readouterr())


def test_a_server_says_how_long_to_wait_and_is_heard() -> None:
    with judging(at_first(conduct.WAIT_A_WHILE)) as server:
        asked = Server(asked_of(server).judge, 0.7, 512, None, first_pause=1.0)
        paused: list[float | None] = []

        def noted(timeout: float | None = None) -> bool:
            paused.append(timeout)
            return False

        asked._stopped.wait = noted  # type: ignore[method-assign]
        assert asked.ask(IT).text == '{"doubts": 1}' and paused == [17.0]
        for patience in ("900", "0"):
            server.attempts.clear()
            server.patience = patience
            assert asked.ask(IT).text == '{"doubts": 1}'
        assert paused == [17.0, 900.0, 1.0]
        server.attempts.clear()
        server.patience = "86400"
        assert list(asked.ask_all([IT])) == [] and server.attempts["ANSWER wait", 1] == 1
        assert asked.given_up == ["429: no: None; it asks for 86400 s of patience"]


def test_whatever_a_server_says_of_itself_is_kept_without_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "model": f"of {KEY}", "choices": [{"message": {"content": f"a {KEY}"}, "finish_reason": f"for {KEY}"}],
    }  # fmt: skip
    with judging() as server:
        asked = Server(asked_of(server).judge, 0.7, 512, KEY)
        monkeypatch.setattr(asked, "_post", lambda *_: json.dumps(said).encode())
        reply = asked.ask(IT)
    assert (reply.text, reply.finish_reason, reply.model) == ("a …", "for …", "of …")


def test_a_judge_without_a_key_is_told_before_it_is_asked() -> None:
    judge = annotation(judge={"server": "https://judge.example/v1"}).judge
    with pytest.raises(UserError, match="FORKLOCK_JUDGE_KEY is not set in the environment, and judge.example is asked"):
        key_of(judge, {})
    with pytest.raises(UserError, match="no key") as error:
        key_of(judge, {"FORKLOCK_JUDGE_KEY": "sk-secret\nX-Other: 1"})
    assert "sk-secret" not in str(error.value)
    assert key_of(judge, {"FORKLOCK_JUDGE_KEY": " sk-1\n"}) == "sk-1"
    assert key_of(judge.model_copy(update={"key_from": None}), {}) is None
    assert key_of(annotation().judge, {}) is None


def test_the_program_tells_a_missing_key_in_one_sentence(tmp_path: Path) -> None:
    with judging() as server:
        annotated = asked_of(server)
        write_table(questions(tmp_path, annotated), tmp_path / "questions.parquet", QUESTIONS)
        began = time.monotonic()
        said = subprocess.run(
            [sys.executable, ROOT / "workflow_scripts/judge.py", "--questions", tmp_path / "questions.parquet", "--plan", "none",
             "--journal", tmp_path / "journal-0", "--output", tmp_path / "replies.parquet", "--annotation",
             annotated.model_dump_json(), "--settings", "{}"],
            capture_output=True, text=True, env={"PATH": "/usr/bin"},
        )  # fmt: skip
        assert said.returncode == 1 and said.stderr.startswith(
            "error: annotation.judge.key_from: FORKLOCK_JUDGE_KEY is not set"
        )
        assert "Traceback" not in said.stderr and server.asked == [] and began
