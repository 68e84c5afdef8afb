r"""The dataset's own solutions as completions: in the study's wording, as the tokens that a model would have to sample.

In: the sources' JSON Lines, the training problems, their prompts and the tokenizer. Out: a row for every training problem
that has a solution. A solution belongs to a problem by the problem's name, so to all copies of its text.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.models.tokens import closing_token, end_tokens, load_tokenizer
from selfdistill.problems.sources import read_source
from selfdistill.problems.worded import worded
from selfdistill.study.problems import Source
from selfdistill.tables.problems import REFERENCES


def solutions_of(sources: Mapping[str, Source], root: Path = Path(".")) -> dict[str, str]:
    """Problem → its solution: of copies the first that has one, by the order of the sources and then by their texts."""
    found: dict[str, str] = {}
    for name, source in sources.items():
        if source.use != "train":
            continue
        solved = [(p.problem, p.solution, p.problem_id) for p in read_source(name, source.path, root) if p.solution]
        for _, solution, problem in sorted(solved):
            found.setdefault(problem, solution)
    return found


def references(
    train: pl.DataFrame,
    prompts: pl.DataFrame,
    solutions: Mapping[str, str],
    wording: str,
    model: Path,
    chat: Mapping[str, Any] = {},
    trust_remote_code: bool = False,
) -> pl.DataFrame:
    """In the order of the training problems, of those that have a solution."""
    tokenizer = load_tokenizer(model, trust_remote_code)
    stop_ids = end_tokens(model)
    end = closing_token(tokenizer, stop_ids, model, chat)
    prompted = train.join(prompts, on="problem_id", how="left", maintain_order="left")
    rows = []
    for problem, answer, prompt_ids in prompted.select("problem_id", "answer", "prompt_ids").iter_rows():
        if problem not in solutions:
            continue
        text = worded(wording, solutions[problem], answer)
        try:
            ids = continuation(tokenizer, prompt_ids, text)
        except ValueError as error:
            raise UserError(f"problem {problem}: {error}") from None
        rows.append({
            "problem_id": problem, "text": text, "completion_ids": [*ids, end], "ends_within": holds(ids, stop_ids),
        })  # fmt: skip
    return pl.DataFrame(rows, schema=REFERENCES)


def continuation(tokenizer: Any, prompt_ids: list[int], text: str) -> list[int]:
    """The tokens of a text behind a prompt whose tokens stand.

    Prompt and text are read as one, for what a text's first token is may depend on what is before it. Where the two then
    share a token, a model that is given the prompt cannot sample it: the text's own tokens are what is left.
    """
    prompt = _text(tokenizer, prompt_ids)
    whole = _ids(tokenizer, prompt + text)
    ids = whole[len(prompt_ids) :] if whole[: len(prompt_ids)] == prompt_ids else _ids(tokenizer, text)
    if _text(tokenizer, prompt_ids + ids) != prompt + text:
        raise ValueError(
            "the tokenizer does not give back the text of its solution, so no tokens of the model's say it; change the "
            "solution or problems.reference."
        )
    return ids


def holds(ids: Collection[int], stop_ids: Collection[int]) -> bool:
    return not set(stop_ids).isdisjoint(ids)


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _text(tokenizer: Any, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))
