"""How far the measured information of a hint is from what the lab's grammar says, and where the difference comes from.

    python benchmarks/contexts_information.py [MODEL] [DRAWS]      (two minutes on one core; writes contexts_information.{json,md})

A hint "It is not 495, not 142." leaves fewer candidates: what a text takes from it is known guess by guess. The measure is
log p(y|x,c) − log p(y|x) of texts y sampled under the hint. The difference is parted twice: by what each text is to the
grammar, and by what each token is.
"""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "resources"), str(ROOT / "workflow_scripts")]

from lab.grammar import Label, NotWellFormed, ReadingPen  # noqa: E402
from lab.search import DOUBTING, NOTHING, Knows, SearchProblem, nats_of_answer, nats_of_trace, parse_search, search  # noqa: E402
from selfdistill.models.tokens import end_tokens, load_tokenizer  # noqa: E402
from selfdistill.sampling.engines.contract import EngineSettings  # noqa: E402
from selfdistill.sampling.engines.torch_engine import TorchEngine  # noqa: E402
from selfdistill.sampling.requests import Probed, Request, request_id, seed_of  # noqa: E402
from selfdistill.statistics.clusters import cluster_mean, cluster_totals  # noqa: E402

PROMPT = "{problem}\nPut the answer in \\boxed{}."
HINT = "{prompt}\n\nIt is not {solution}."
DECODE = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "presence_penalty": 0.0, "max_tokens": 250}
CONTEXT = 512
GUESS, OPENING, ENDING, NUMBER, FORM = "guess", "opening", "what follows a test", "number", "form"
ROLES = (GUESS, OPENING, ENDING, NUMBER, FORM)
KNOWN = "both grammars write it"
AGAIN = "only the hint's grammar writes it: it goes round again among the candidates left"
OFF = "neither grammar writes it"
KINDS = (KNOWN, AGAIN, OFF)


@dataclass
class WeighingPen(ReadingPen):
    """Reads a text and adds up how likely the grammar chooses what it says; what a slip costs is left out."""

    nats: float = 0.0
    roles: list[str] = field(default_factory=list)

    def choose(self, options: list[tuple[float, str]]) -> int:
        before = self.position
        chosen = super().choose(options)
        self.nats += math.log(options[chosen][0] / sum(weight for weight, _ in options))
        self.roles += [_role(options[chosen][1])] * (self.position - before)
        return chosen

    def fixed(self, text: str, label: Label) -> None:
        super().fixed(text, label)
        self.roles += [GUESS if text.isdigit() else _role(text) if text[0] in " PS<" else FORM] * len(text)

    def number(self, value: int, result: bool = False) -> int:
        before = self.position
        found = super().number(value, result)
        self.roles += [NUMBER] * (self.position - before)
        return found


def _role(text: str) -> str:
    if text.isdigit():
        return GUESS
    return OPENING if text.startswith(("Perhaps", "So it is", "</think>")) else ENDING if text.startswith(" ") else FORM


def weighed(problem: SearchProblem, text: str, knows: Knows) -> WeighingPen | None:
    """How likely the grammar of who knows this writes the text; nothing where it never does."""
    pen = WeighingPen(text)
    try:
        search(problem, pen, knows)
    except NotWellFormed:
        return None
    return pen if pen.position == len(text) else None


def roles_by_form(text: str) -> list[str]:
    """Roles of a text that no grammar writes."""
    return [NUMBER if character.isdigit() else FORM for character in text]


@dataclass(frozen=True)
class Told:
    """A text under a hint: what was measured, what the grammars say, and the measure by role."""

    problem: int
    measured: float
    exact: float  # nan where a grammar never writes it
    kind: str
    by_role: dict[str, float]


class Lab:
    def __init__(self, model: Path) -> None:
        self.model, self.tokenizer = model, load_tokenizer(model)
        self.stop_ids = end_tokens(model)
        settings = EngineSettings(model=model, dtype="float32", context=CONTEXT, stop_ids=list(self.stop_ids), batch=64)
        self.engine = TorchEngine(settings)

    def prompt(self, text: str) -> list[int]:
        turns = [{"role": "user", "content": text}]
        encoded: Any = self.tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=True, return_dict=True
        )
        return list(encoded["input_ids"])

    def sampled(self, prompts: Sequence[list[int]], draws: int) -> Iterator[tuple[int, list[int]]]:
        """Which prompt, and the tokens of a completion."""
        places, requests = {}, []
        for place, ids in enumerate(prompts):
            for draw in range(draws):
                key = request_id("", "float32", ids, DECODE, draw, "benchmark", 0)
                places[key] = place
                requests.append(Request(key, ids, seed=seed_of(key), **DECODE))  # type: ignore[arg-type]
        for sample in self.engine.sample(iter(requests)):
            yield places[sample.request_id], sample.token_ids

    def logprobs(self, prompt: list[int], completion: list[int]) -> np.ndarray:
        (law,) = self.engine.distributions([Probed("", prompt, completion, list(range(len(completion))))], 1)
        return np.asarray(law.given)


def told_texts(lab: Lab, problems: Sequence[dict[str, str]], excluded: int, draws: int) -> list[Told]:
    bare = [lab.prompt(PROMPT.replace("{problem}", row["problem"])) for row in problems]
    hints = [
        lab.prompt(HINT.replace("{prompt}", PROMPT.replace("{problem}", row["problem"])).replace("{solution}", row[f"not_{excluded}"]))
        for row in problems
    ]  # fmt: skip
    return [
        told(
            lab, place, problems[place], excluded, ids, lab.logprobs(hints[place], ids) - lab.logprobs(bare[place], ids)
        )
        for place, ids in lab.sampled(hints, draws)
    ]


def told(lab: Lab, place: int, row: dict[str, str], excluded: int, ids: list[int], gained: np.ndarray) -> Told:
    problem = parse_search(row["problem"])
    hinted = Knows(excluded=frozenset(map(int, row[f"not_{excluded}"].split(", not "))))
    kept = ids[:-1] if ids[-1] in lab.stop_ids else ids
    text = lab.tokenizer.decode(kept, skip_special_tokens=False)
    mine, other = weighed(problem, text, hinted), weighed(problem, text, NOTHING)
    kind = KNOWN if mine and other else AGAIN if mine else OFF
    exact = mine.nats - other.nats if mine and other else math.nan
    roles, by_role, position = mine.roles if mine else roles_by_form(text), dict.fromkeys(ROLES, 0.0), 0
    for written, nats in enumerate(gained, 1):
        by_role[roles[position] if position < len(roles) else FORM] += float(nats)
        position = len(lab.tokenizer.decode(ids[:written], skip_special_tokens=False))
    return Told(place, float(gained.sum()), exact, kind, by_role)


def unevenness(lab: Lab, problems: Sequence[dict[str, str]]) -> dict[str, float]:
    """KL(even, bare model) over the candidates of a first guess that doubts: what a hint seems to tell because the bare model
    holds some candidates likelier than others, though nothing in the problem says so."""
    values, places = [], []
    opening = lab.tokenizer(DOUBTING.strip())["input_ids"]
    for place, row in enumerate(problems):
        prompt, candidates = (
            lab.prompt(PROMPT.replace("{problem}", row["problem"])),
            parse_search(row["problem"]).candidates,
        )
        nats = [
            float(lab.logprobs(prompt, lab.tokenizer(f"{DOUBTING}{x}:")["input_ids"])[len(opening) :].sum())
            for x in candidates
        ]
        values.append(-sum(nats) / len(nats) - math.log(len(nats)))
        places.append(place)
    return mean(values, places)


def mean(values: Sequence[float], problems: Sequence[int]) -> dict[str, float]:
    found = cluster_mean(*cluster_totals(np.asarray(values), np.asarray(problems)))
    return {"estimate": found.estimate, "standard_error": found.standard_error}


def summary(texts: Sequence[Told], k: int, excluded: int) -> dict[str, Any]:
    known = [text for text in texts if text.kind == KNOWN]
    return {
        "excluded": excluded,
        "texts": len(texts),
        "exact_without_slips": nats_of_trace(k, excluded),
        "of_the_answer": nats_of_answer(k, excluded),
        "measured": mean([text.measured for text in texts], [text.problem for text in texts]),
        "both_grammars": {
            "measured": mean([text.measured for text in known], [text.problem for text in known]),
            "exact": mean([text.exact for text in known], [text.problem for text in known]),
            "measured_less_exact": mean(
                [text.measured - text.exact for text in known], [text.problem for text in known]
            ),
            "by_role": {
                role: mean([text.by_role[role] for text in known], [text.problem for text in known]) for role in ROLES
            },
        },
        "kinds": {
            kind: {
                "share": sum(text.kind == kind for text in texts) / len(texts),
                "adds": sum(text.measured for text in texts if text.kind == kind) / len(texts),
                "mean": float(np.mean([text.measured for text in texts if text.kind == kind] or [math.nan])),
            }
            for kind in KINDS
        },
    }


def page(found: dict[str, Any]) -> str:
    """What was found, as a table for a reader."""
    lines = [
        "# What a hint tells: measured against the grammar",
        "",
        f"Model `{found['model']}`, temperature 1, {found['problems']} problems of four candidates, {found['draws']} texts each and hint.",
        "Nats, with standard errors over problems. Made by `python benchmarks/contexts_information.py`.",
        "",
        "| excluded | of the answer | exact, without slips | measured | of texts that both grammars write: exact | measured less exact |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in found["hints"]:
        both = row["both_grammars"]
        lines.append(
            f"| {row['excluded']} | {row['of_the_answer']:.2f} | {row['exact_without_slips']:.2f} | {_nats(row['measured'])} | "
            f"{_nats(both['exact'])} | {_nats(both['measured_less_exact'])} |"
        )
    lines += ["", "| excluded | kind of text | share | mean | adds to the measure |", "|---|---|---|---|---|"]
    for row in found["hints"]:
        for kind, of_kind in row["kinds"].items():
            average = f"{of_kind['mean']:.1f}" if of_kind["share"] else "–"
            lines.append(f"| {row['excluded']} | {kind} | {of_kind['share']:.1%} | {average} | {of_kind['adds']:.2f} |")
    lines += [
        "",
        "Of texts that both grammars write, the measure by role of token: "
        + "; ".join(
            f"{row['excluded']} excluded, "
            + ", ".join(f"{role} {_nats(nats)}" for role, nats in row["both_grammars"]["by_role"].items())
            for row in found["hints"]
        )
        + ".",
        "",
        f"Unevenness of the bare model's first guess, KL(even, model): {_nats(found['unevenness'], 3)}.",
    ]
    return "\n".join(lines) + "\n"


def _nats(value: dict[str, float], digits: int = 2) -> str:
    return f"{value['estimate']:.{digits}f} ± {value['standard_error']:.{digits}f}".replace("-", "−")


def main(model: str = "resources/lab/search-model", draws: str = "4") -> None:
    torch.set_num_threads(1)
    lab = Lab(ROOT / model)
    rows = [json.loads(line) for line in (ROOT / "resources/lab/problems/search-eval.jsonl").read_text().splitlines()]
    found = {
        "model": model,
        "problems": len(rows),
        "draws": int(draws),
        "unevenness": unevenness(lab, rows),
        "hints": [summary(told_texts(lab, rows, excluded, int(draws)), 4, excluded) for excluded in (1, 2, 3)],
    }
    (HERE / "contexts_information.json").write_text(json.dumps(found, indent=1) + "\n")
    (HERE / "contexts_information.md").write_text(page(found))
    print(page(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
