"""Which texts are probed: in proportion, on the same problems, of equally many models, and the same for ever."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.mechanism.carriers import COLUMNS, choose_carriers, read_texts, with_texts
from selfdistill.tables import words
from selfdistill.tables.mechanism import CARRIERS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.schema import conform
from selfdistill.tables.whole import write_table

TRAINED = ["ssd/seed-0/at-100", "ssd/seed-1000/at-100", "null/seed-0/at-100"]
CONTEXT = 400


def texts(problems: int = 120, draws: int = 2, models: list[str] | None = None, seed: int = 3) -> pl.DataFrame:
    """Half of the answers right, a third wrong, the rest cut; two problems a family."""
    rng, rows = random.Random(seed), []
    for model in ["base", "aa", *TRAINED] if models is None else models:
        for number in range(problems):
            for draw in range(draws):
                kind = rng.choices([("correct", "answered"), ("wrong", "answered"), ("unanswered", "cut")], [3, 2, 1])[
                    0
                ]
                length = 200 if kind[1] == "cut" else rng.randint(5, 190)
                rows.append(
                    {"request_id": f"{model}-{number}-{draw}", "model_id": model, "problem_id": f"p{number}", "source": "quiz",
                     "family": f"f{number // 2}", "decode_id": "t07", "prompt_ids": [1, 2], "n_tokens": length, "verdict": kind[0], "finish_class": kind[1]}
                )  # fmt: skip
    return pl.DataFrame(rows)


def chosen(count: int = 48, **changed: Any) -> pl.DataFrame:
    return choose_carriers(texts(**changed), count, CONTEXT, seed=1)


def test_as_many_are_of_the_base_as_of_trained_models_and_of_each_resample_arm() -> None:
    carriers = chosen()
    assert carriers["carrier_id"].n_unique() == carriers.height == 3 * 24
    assert Counter(carriers["model_id"]) == {"base": 24, "aa": 24, **dict.fromkeys(TRAINED, 8)}


def test_all_sides_answer_the_same_problems_in_the_same_order() -> None:
    carriers = chosen()
    sides = [carriers.filter(pl.col("model_id") == "base"), carriers.filter(pl.col("model_id") == "aa")]
    sides.append(carriers.filter(pl.col("model_id").is_in(TRAINED)))
    problems = [side["problem_id"].to_list() for side in sides]
    assert problems[0] == problems[1] == problems[2] and len(set(problems[0])) == 24


def test_a_problem_that_one_side_was_not_asked_is_left_out() -> None:
    table = texts().filter((pl.col("model_id") != "aa") | (pl.col("problem_id").str.slice(1).cast(int) < 30))
    carriers = choose_carriers(table, 48, CONTEXT, seed=1)
    assert all(int(problem[1:]) < 30 for problem in carriers["problem_id"])


@pytest.mark.parametrize("column", ["verdict", "finish_class", "third"])
def test_every_kind_of_text_has_its_share(column: str) -> None:
    """Each side's carriers are as its texts are: nearer than chance alone would bring them."""
    table, count = texts(problems=300), 120
    carriers = choose_carriers(table, count, CONTEXT, seed=1)
    for models in (["base"], ["aa"], TRAINED):
        every, mine = (with_thirds(each, table, models) for each in (table, carriers))
        expected = {kind: count / 2 * n / every.height for kind, n in Counter(every[column]).items()}
        found = Counter(mine[column])
        assert all(abs(found[kind] - expected[kind]) < 5 for kind in expected), (models, found, expected)


def with_thirds(rows: pl.DataFrame, table: pl.DataFrame, models: list[str]) -> pl.DataFrame:
    """Those of these models, and of which third of all their lengths each is."""
    lengths = sorted(table.filter(pl.col("model_id").is_in(models))["n_tokens"])
    cuts = [lengths[len(lengths) // 3], lengths[2 * len(lengths) // 3]]
    third = sum((pl.col("n_tokens") > cut).cast(int) for cut in cuts)
    return rows.filter(pl.col("model_id").is_in(models)).with_columns(third=third)


def test_the_choice_follows_from_the_seed_and_not_from_the_order_of_the_tables() -> None:
    table = texts()
    first = choose_carriers(table, 48, CONTEXT, seed=1)
    assert first.sort("carrier_id").equals(choose_carriers(table.reverse(), 48, CONTEXT, seed=1).sort("carrier_id"))
    assert set(first["carrier_id"]) != set(choose_carriers(table, 48, CONTEXT, seed=2)["carrier_id"])


def test_a_family_stands_in_one_half_and_the_halves_are_alike() -> None:
    carriers = chosen()
    assert set(carriers.group_by("family").agg(pl.col("half").n_unique())["half"]) == {1}
    families = carriers.unique("family")
    counts = Counter(families["half"])
    assert (
        set(counts) == {words.SELECTING, words.MEASURING}
        and abs(counts[words.SELECTING] - counts[words.MEASURING]) <= 1
    )


def test_a_text_that_does_not_fit_the_context_is_refused_by_name() -> None:
    with pytest.raises(
        UserError, match=r"carrier base-\d+-\d of base: 2 tokens of prompt and 200 of completion do not fit"
    ):
        choose_carriers(texts(), 48, 201, seed=1)


def test_a_text_that_fills_the_context_is_no_carrier() -> None:
    carriers = choose_carriers(texts(), 48, 202, seed=1)
    assert max(carriers["n_tokens"].to_list()) < 200


def test_more_carriers_than_there_are_problems_are_refused() -> None:
    with pytest.raises(
        UserError, match="mechanism.carriers: asks for 24 texts of the base, each of another problem, and there are 10"
    ):
        chosen(problems=10)


@pytest.mark.parametrize(
    ("models", "sentence"), [(["aa", *TRAINED], "no text of the base"), (["base", "aa"], "no text of a trained")]
)
def test_a_side_without_texts_is_a_sentence(models: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        chosen(models=models)


def test_only_evaluation_answers_at_the_decode_are_read_and_only_the_chosen_ones_whole(tmp_path: Path) -> None:
    rows = texts(problems=4, draws=1, models=["base", TRAINED[0]])
    rows = rows.with_columns(purpose=pl.Series(["eval", "mixture", "eval", "eval"] * 2))
    rows = rows.with_columns(decode_id=pl.Series(["t07", "t07", "t15", "t07"] * 2))
    whole = rows.with_columns(
        text=pl.format("text of {}", "request_id"), token_ids=pl.int_ranges(0, "n_tokens", dtype=pl.Int32)
    )
    table = whole.with_columns(
        pl.lit(None).cast(dtype).alias(name) for name, dtype in GRADED.items() if name not in whole.columns
    ).select(*GRADED)
    write_table(table, tmp_path / "graded.parquet", GRADED)
    found = read_texts([tmp_path / "graded.parquet"], "t07")
    assert set(found["problem_id"]) == {"p0", "p3"} and set(found.columns) == set(COLUMNS) - {"purpose"}
    chosen = choose_carriers(found, 2, CONTEXT, seed=1)
    carriers = with_texts(chosen, [tmp_path / "graded.parquet"])
    conform(carriers, CARRIERS, "carriers")
    assert carriers["carrier_id"].to_list() == chosen["carrier_id"].to_list() and carriers.height == 2
    for row in carriers.iter_rows(named=True):
        assert row["text"] == f"text of {row['carrier_id']}" and len(row["token_ids"]) == row["n_tokens"]
