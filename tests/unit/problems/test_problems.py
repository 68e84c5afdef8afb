"""Claims about how problems are read, compared, dropped, split and ranked."""

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.problems.assemble import assemble, without_duplicates
from selfdistill.problems.budgets import proportional_turns, ranking, split_families
from selfdistill.problems.contamination import find_contamination
from selfdistill.problems.families import find_families
from selfdistill.problems.normalise import normalised, problem_id, words
from selfdistill.problems.similarity import alike, contained, word_grams
from selfdistill.problems.sources import RawProblem, read_source
from selfdistill.sampling.asked import Asked
from selfdistill.sampling.plan import make_plan
from selfdistill.study.problems import Contamination, Problems
from selfdistill.tables.problems import CONTAMINATION, PROBLEMS, PROMPTS
from selfdistill.tables.schema import conform

ROOT = Path(__file__).resolve().parents[3]
VERBS = ["Add", "Subtract", "Multiply by", "Divide by"]


def templated(rng: random.Random, steps: int = 6) -> str:
    return f"Start with {rng.randint(2, 99)}. " + " ".join(
        f"{rng.choice(VERBS)} {rng.randint(2, 99)}." for _ in range(steps)
    )


def prose(rng: random.Random, length: int = 40) -> str:
    """Words as frequent as in a language: the n-th in proportion to about 1/n."""
    return " ".join("".join(chr(97 + int(digit)) for digit in str(int(5000 ** rng.random()))) for _ in range(length))


def raw(text: str, answer: str = "1", source: str = "s", family: str | None = None, level: int = 1) -> RawProblem:
    return RawProblem(source, f"{source}.jsonl", 1, None, family, level, text, answer, problem_id(text))


def write_source(folder: Path, name: str, rows: list[dict]) -> str:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def make_rows(seed: int, count: int, levels: int = 3, family_of: int = 1) -> list[dict]:
    rng = random.Random(seed)
    return [
        {"id": f"{seed}-{i}", "family": f"{seed}-{i // family_of}", "level": 1 + (i * i) % levels,
         "problem": templated(rng), "answer": str(rng.randint(0, 999))}
        for i in range(count)
    ]  # fmt: skip


def settings(**sources: str) -> Problems:
    return Problems.model_validate(
        {
            "prompt": "{problem}",
            "sources": {name: {"path": f"{name}.jsonl", "use": use} for name, use in sources.items()},
        }
    )


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_source(tmp_path, "drills.jsonl", make_rows(1, 200))
    write_source(tmp_path, "quiz.jsonl", make_rows(2, 90, family_of=2))
    write_source(tmp_path, "exam.jsonl", make_rows(3, 61, levels=2))
    return tmp_path


def assembled(folder: Path, seed: int = 5) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    asked = settings(drills="train", quiz="eval", exam="eval")
    return assemble(asked, seed, folder)


# Reading


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{broken", "is not JSON"),
        ("[1, 2]", "is not a JSON object"),
        ('{"answer": "1", "level": 1}', "problem is missing"),
        ('{"problem": "  ", "answer": "1", "level": 1}', "problem is empty"),
        ('{"problem": "p", "level": 1}', "answer is missing"),
        ('{"problem": "p", "answer": "", "level": 1}', "answer is missing"),
        ('{"problem": "p", "answer": 1.5, "level": 1}', "answer must be text"),
        ('{"problem": "p", "answer": "1"}', "level must be an integer"),
        ('{"problem": "p", "answer": "1", "level": "3"}', "level must be an integer"),
        ('{"problem": "p", "answer": "1", "level": true}', "level must be an integer"),
        ('{"problem": "p", "answer": "1", "level": 1, "id": ["x"]}', "id must be text"),
        ('{"problem": "p", "answer": "1", "level": 1, "id": "first"}', "stands in line 1 already"),
        (
            '{"problem": "p", "answer": "1", "level": 1, "solution": " "}',
            "solution is empty; write the reference solution",
        ),
        ('{"problem": "p", "answer": "1", "level": 1, "solution": ["x"]}', "solution must be text but is"),
    ],
)
def test_a_bad_row_is_one_sentence_naming_file_and_line(tmp_path: Path, line: str, complaint: str) -> None:
    good = '{"problem": "q", "answer": "1", "level": 1, "id": "first"}'
    (tmp_path / "a.jsonl").write_text(f"{good}\n\n{line}\n")
    with pytest.raises(UserError, match=re.escape(complaint)) as caught:
        read_source("a", "a.jsonl", tmp_path)
    assert str(caught.value).startswith("a.jsonl, line 3: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"", "holds no problems"), (b"\n\n", "no problems"), (b"\xff{}", "UTF-8")]
)
def test_an_empty_or_unreadable_source_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=complaint):
        read_source("a", "a.jsonl", tmp_path)


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.jsonl: cannot be read"):
        read_source("a", "none.jsonl", tmp_path)


def test_integer_answers_and_unknown_fields_are_fine(tmp_path: Path) -> None:
    write_source(tmp_path, "a.jsonl", [{"problem": "p", "answer": 204, "level": 1, "url": "x", "id": 7}])
    (problem,) = read_source("a", "a.jsonl", tmp_path)
    assert (problem.answer, problem.id, problem.family) == ("204", "7", None)


def test_a_reference_solution_is_read_where_there_is_one(tmp_path: Path) -> None:
    sound: dict[str, object] = {"answer": "2", "level": 1}
    rows: list[dict[str, object]] = [
        {"problem": "p", "solution": " One and one.\n"},
        {"problem": "q", "solution": None},
        {"problem": "r"},
    ]
    write_source(tmp_path, "a.jsonl", [row | sound for row in rows])
    assert [problem.solution for problem in read_source("a", "a.jsonl", tmp_path)] == ["One and one.", None, None]


# Names of problems


def test_looks_do_not_change_a_problems_name() -> None:
    same = ["Find  $x^2$.", "find $x^2$.", " FIND\n$x^2$. ", "Find\\, $x^2$.", "Find~$x²$.", "Ｆind $x^2$."]
    assert len({problem_id(text) for text in same}) == 1
    assert re.fullmatch("[0-9a-f]{16}", problem_id("x"))


def test_numbers_powers_and_matrix_rows_do_change_it() -> None:
    different = ["Find 22", "Find 2²", "Find 23", "Find 2 2", r"Find 1\\ 2", r"Find 1 2"]
    assert len({problem_id(text) for text in different}) == len(different)
    assert normalised(r"\leftarrow") == r"\leftarrow"


def test_numbers_are_words() -> None:
    assert words("Start with 7.5, add \\frac{1}{2}.") == ["start", "with", "7.5", "add", "frac", "1", "2"]


# Gold answers


def test_a_gold_answer_that_does_not_parse_names_its_row(study: Path) -> None:
    rows = [*make_rows(2, 3), {"problem": "What?", "answer": "((((", "level": 1}]
    write_source(study, "quiz.jsonl", rows)
    with pytest.raises(UserError, match=r"quiz\.jsonl, line 4: the answer '\(\(\(\(' is not one that math-verify"):
        assembled(study)


def test_gold_answers_of_every_usual_kind_parse(study: Path) -> None:
    golds = ["7", "-7", "3/4", r"\frac{3}{4}", r"\dfrac{9}{7}", "2.5", r"2\sqrt{3}", "(1,2)", "[0,1)", r"\text{B}",
             r"\frac{\pi}{2}", "x^2+1", "y=2x+1", r"\{1,2\}", "1,000", r"50\%"]  # fmt: skip
    rows = make_rows(2, 60)
    for row, gold in zip(rows, golds, strict=False):
        row["answer"] = gold
    write_source(study, "quiz.jsonl", rows)
    assembled(study)


# Duplicates


def test_of_duplicates_the_first_source_in_the_study_file_is_kept(study: Path) -> None:
    row = make_rows(3, 1, levels=2)[0]
    again = {**row, "id": "again", "problem": row["problem"].upper(), "answer": row["answer"] + ".0"}
    write_source(study, "quiz.jsonl", [again, *make_rows(2, 90)])
    _, evaluation, _ = assembled(study)
    kept = evaluation.filter(problem_id=problem_id(row["problem"]))
    assert kept["source"].to_list() == ["quiz"]
    assert len(evaluation) == 90 + 61


def test_duplicates_that_contradict_each_other_name_both_rows(study: Path) -> None:
    rows = make_rows(2, 90)
    write_source(study, "quiz.jsonl", [*rows, {**rows[4], "id": "again", "answer": "-77"}])
    with pytest.raises(UserError, match="different answers") as caught:
        assembled(study)
    assert "quiz.jsonl, line 5" in str(caught.value)
    assert "quiz.jsonl, line 91" in str(caught.value)


def test_of_public_data_a_problem_with_two_answers_is_dropped_with_all_its_copies(capfd: pytest.CaptureFixture) -> None:
    mine, theirs, other = (
        raw("Add 1 to 2.", "3", "ours"),
        raw("Add 1 to 2.", "4", "public"),
        raw("Add 2 to 2.", "4", "public"),
    )
    assert without_duplicates([mine, theirs, other], ["ours", "public"], {"public"}) == [other]
    assert "ours.jsonl, line 1 and public.jsonl, line 1: give one problem different answers" in capfd.readouterr().err
    same = raw("Add 1 to 2.", "3.0", "public")
    assert without_duplicates([mine, same, other], ["ours", "public"], {"public"}) == [mine, other]


# Contamination

SECRET = "A farmer has 17 sheep and 23 goats. Every sheep eats 4 kilos and every goat 3 kilos of hay. How much is it?"
PLANTED = {
    "exact": (SECRET, "exact"),
    "case": (SECRET.upper(), "exact"),
    "spaces": (SECRET.replace(" ", "  \n"), "exact"),
    "latex spacing": (SECRET.replace(" ", r" \; "), "exact"),
    "reworded opening": (SECRET.replace("A farmer has", "Old Jane keeps"), "ngram"),
    "inside a longer one": (f"Read this twice. {SECRET} Answer in kilos, without any unit, please.", "ngram"),
    "words changed here and there": (SECRET.replace("farmer", "peasant").replace("kilos of", "pounds of"), "jaccard"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_duplicate_is_found(kind: str) -> None:
    text, method = PLANTED[kind]
    rng = random.Random(0)
    train = [raw(templated(rng)) for _ in range(50)] + [raw(text, "137")]
    evaluation = [raw(templated(rng)) for _ in range(50)] + [raw(SECRET, "137")]
    (match,) = find_contamination(train, evaluation, Contamination())
    assert (match.train.problem, match.evaluation.problem) == (text, SECRET)
    assert match.method == method
    assert match.answers_agree


def test_the_threshold_is_lower_when_the_answers_agree() -> None:
    text = SECRET.replace("farmer", "peasant").replace("of hay", "of grass").replace("How much", "What")
    shared, union = (op(word_grams(text, 2), word_grams(SECRET, 2)) for op in (frozenset.__and__, frozenset.__or__))
    assert 0.6 <= len(shared) / len(union) < 0.75
    assert find_contamination([raw(text, "7")], [raw(SECRET, "137")], Contamination()) == []
    (match,) = find_contamination([raw(text, "137.0")], [raw(SECRET, "137")], Contamination())
    assert (match.method, match.overlap) == ("jaccard", len(shared) / len(union))


def test_unrelated_problems_of_one_template_are_not_flagged() -> None:
    rng = random.Random(1)
    train = [raw(templated(rng), str(i % 3)) for i in range(1500)]
    evaluation = [raw(templated(rng), str(i % 3)) for i in range(300)]
    assert find_contamination(train, evaluation, Contamination()) == []


def test_the_index_finds_what_all_pairs_find() -> None:
    rng = random.Random(2)
    texts = [" ".join(rng.choice("abcdef") for _ in range(rng.randint(1, 12))) for _ in range(150)]
    left, right = [word_grams(t, 2) for t in texts[:70]], [word_grams(t, 2) for t in texts[70:]]
    for threshold in (0.3, 0.5, 0.6, 0.75, 0.8):
        brute = {
            (i, j)
            for i, a in enumerate(left)
            for j, b in enumerate(right)
            if a and b and len(a & b) / len(a | b) >= threshold
        }
        assert {(p.one, p.other) for p in alike(left, right, threshold)} == brute
        brute = {
            (i, j) for i, a in enumerate(left) for j, b in enumerate(right) if a and len(a & b) / len(a) >= threshold
        }
        assert {(p.one, p.other) for p in contained(left, right, threshold)} == brute
        assert brute


@pytest.mark.parametrize("make", [templated, prose])
def test_the_search_does_not_try_all_pairs(make: Callable[[random.Random], str]) -> None:
    """A fifth of 20,000 by 2,000 each way; the whole takes 2 to 4 s on one core."""
    rng = random.Random(3)
    train, evaluation = [raw(make(rng)) for _ in range(4000)], [raw(make(rng)) for _ in range(400)]
    started = time.process_time()
    find_contamination(train, evaluation, Contamination())
    assert time.process_time() - started < 8


def test_contaminated_training_problems_are_dropped_and_recorded(study: Path) -> None:
    leaked = make_rows(3, 1, levels=2)[0]
    rows = make_rows(1, 200)
    write_source(study, "drills.jsonl", [*rows, {**leaked, "id": "leak", "problem": leaked["problem"].lower()}])
    train, evaluation, contamination = assembled(study)
    assert len(train) == 200
    assert problem_id(leaked["problem"]) in set(evaluation["problem_id"])
    (row,) = contamination.rows(named=True)
    assert (row["method"], row["overlap"], row["train_source"], row["eval_source"]) == ("exact", 1.0, "drills", "exam")


# Families and the split


def test_families_merge_through_shared_names_and_near_duplicates() -> None:
    near = SECRET.replace("farmer", "peasant")
    problems = [raw("one", family="x"), raw("two", family="x"), raw(SECRET, family="y"), raw(near, family="z"),
                raw("five", family="z"), raw("alone")]  # fmt: skip
    families = find_families(problems, 0.75)
    named = [families[problem.problem_id] for problem in problems]
    assert named == ["x", "x", "y", "y", "y", problem_id("alone")]
    assert find_families(problems[::-1], 0.75) == families


def test_the_copy_that_is_dropped_still_joins_its_family() -> None:
    problems = [raw("one", family="x"), raw("ONE", family="y"), raw("two", family="y")]
    assert set(find_families(problems).values()) == {"x"}


def test_no_family_is_split_and_the_dev_share_holds_in_every_stratum() -> None:
    rng = random.Random(4)
    families = {f"p{i:04}": f"f{i // 3 if i < 600 else i}" for i in range(1500)}
    strata = {name: ("s", rng.randint(1, 4)) for name in families}
    split = split_families(families, strata, 0.3, seed=1)
    sides = {family: {split[name] for name in families if families[name] == family} for family in families.values()}
    assert all(len(side) == 1 for side in sides.values())
    assert abs(Counter(split.values())["dev"] - 450) <= 2
    first: dict[str, tuple[str, int]] = {}  # a family counts where its first problem does
    for name in sorted(families):
        first.setdefault(families[name], strata[name])
    for stratum in set(strata.values()):
        members = [split[name] for name in families if first[families[name]] == stratum]
        assert abs(members.count("dev") - 0.3 * len(members)) <= 3


def test_small_strata_do_not_all_go_to_one_side() -> None:
    families = {f"p{i}": f"p{i}" for i in range(100)}
    split = split_families(families, {name: ("s", i) for i, name in enumerate(families)}, 0.3, seed=1)
    assert Counter(split.values())["dev"] == 30


def test_another_seed_draws_another_split_and_ranking() -> None:
    names = {f"p{i}": f"p{i}" for i in range(100)}
    strata = dict.fromkeys(names, ("s", 1))
    assert split_families(names, strata, 0.3, 1) != split_families(names, strata, 0.3, 2)
    assert ranking(strata, "eval", 1) != ranking(strata, "eval", 2)


# Ranking and budgets


@pytest.mark.parametrize("sizes", [[1], [10, 10], [500, 1, 1, 1], [1] * 30 + [970], [7, 13, 101, 350], [3] * 40])
def test_every_beginning_of_the_ranking_is_proportional_to_less_than_one(sizes: list[int]) -> None:
    turns = proportional_turns(sizes)
    assert Counter(turns) == dict(enumerate(sizes))
    taken = [0] * len(sizes)
    for n, turn in enumerate(turns, start=1):
        taken[turn] += 1
        assert all(abs(t - n * size / sum(sizes)) < 1 for t, size in zip(taken, sizes, strict=True))


def test_budgets_are_nested_and_of_equal_composition(study: Path) -> None:
    train, evaluation, _ = assembled(study)
    assert evaluation["rank"].to_list() == list(range(len(evaluation)))
    assert train["rank"].to_list() == list(range(len(train)))
    whole = evaluation.group_by("split", "source", "level").len()
    for size in (30, 77, 120):
        part = evaluation.head(size).group_by("split", "source", "level").len(name="here")
        joined = whole.join(part, on=("split", "source", "level"), how="left").fill_null(0)
        assert all(abs(h - n * size / len(evaluation)) < 1 for n, h in joined.select("len", "here").iter_rows())


@pytest.mark.parametrize(
    ("asked", "key"),
    [({"eval_problems": 1000}, r"evaluation\.budgets"), ({"train_samples": 201}, r"training\.samples")],
)
def test_a_budget_over_the_data_names_its_key_and_what_there_is(study: Path, asked: dict, key: str) -> None:
    train, evaluation, _ = assembled(study)
    fields = {
        "dtype": "float32",
        "decodes": {},
        "train": [],
        "train_samples": 0,
        "eval": [],
        "eval_problems": 0,
        "draws": 1,
        "stream": "",
        "seed": 0,
        "shards": 1,
    }
    with pytest.raises(
        UserError, match=rf"{key}: asks for \d+ problems, but without duplicates and contamination there are"
    ):
        make_plan(
            "base", "digest", Asked.model_validate({**fields, **asked}), train, evaluation, pl.DataFrame(schema=PROMPTS)
        )


def test_an_evaluation_set_too_small_to_split_is_refused(tmp_path: Path) -> None:
    write_source(tmp_path, "drills.jsonl", make_rows(1, 5))
    write_source(tmp_path, "quiz.jsonl", make_rows(2, 1))
    with pytest.raises(UserError, match="leaves dev or test empty"):
        assemble(settings(drills="train", quiz="eval"), 0, tmp_path)


# All together


def test_the_order_of_rows_changes_nothing(study: Path) -> None:
    before = assembled(study)
    for path in study.glob("*.jsonl"):
        lines = path.read_text().splitlines()
        random.Random(9).shuffle(lines)
        path.write_text("\n".join(lines) + "\n")
    after = assembled(study)
    assert all(one.equals(other) for one, other in zip(before, after, strict=True))


def test_the_tables_have_their_schemas_and_no_problem_is_on_both_sides(study: Path) -> None:
    train, evaluation, contamination = assembled(study)
    assert conform(train, PROBLEMS, "").equals(train)
    assert conform(evaluation, PROBLEMS, "").equals(evaluation)
    assert contamination.schema == CONTAMINATION
    assert set(train["split"]) == {"train"}
    assert set(evaluation["split"]) == {"dev", "test"}
    assert not set(train["problem_id"]) & set(evaluation["problem_id"])
    splits_of_family = evaluation.group_by("family").agg("split")["split"]
    assert splits_of_family.list.n_unique().max() == 1
    assert (splits_of_family.list.len() > 1).any()


def test_what_the_lab_planted_is_found_and_hardly_anything_else() -> None:
    folder = ROOT / "resources/lab/problems"
    names = {"drills": "train", "homework": "train", "quiz": "eval", "exam": "eval", "olympiad": "eval"}
    texts = {
        row["id"]: row["problem"]
        for name in names
        for row in map(json.loads, (folder / f"{name}.jsonl").read_text().splitlines())
    }
    planted = {
        (problem_id(texts[pair["train"]]), problem_id(texts[pair["eval"]]))
        for pair in json.loads((folder / "planted.json").read_text())
    }
    train, _, contamination = assemble(settings(**names), 1, folder)
    found = set(contamination.select("train_problem_id", "eval_problem_id").iter_rows())
    assert planted <= found
    assert len({one for one, _ in found - planted} - {one for one, _ in planted}) < 0.002 * len(train)
