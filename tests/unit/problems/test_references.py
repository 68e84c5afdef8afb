r"""The dataset's own solutions as completions: the wording that the grader can read, and exactly the tokens to sample."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.grading.answers import find_answer
from selfdistill.models.tokens import closing_token, end_tokens
from selfdistill.problems.normalise import problem_id
from selfdistill.problems.references import continuation, references, solutions_of
from selfdistill.problems.worded import worded
from selfdistill.problems.wording import WORDINGS, check_wording, wording_of
from selfdistill.sampling.prompts import tokenise_prompts
from selfdistill.study.load import load_study
from selfdistill.study.problems import Source
from selfdistill.study.study import Study

LAB = ROOT / "resources/lab/model"
# As SmolLM2's and Qwen2.5's are: no thought is opened, and a system's turn comes first.
CHATML = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nBe right.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SOLVED = "She sold 48/2 = 24 clips in May.\nThat makes 48+24 = 72."


def study_with(reference: str | None, thinks: bool = False, samples: str = "reference", answer: str = "boxed") -> Study:
    raw = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    if answer == "line":
        raw["grading"]["answer"], raw["problems"]["prompt"] = answer, "{problem} End with Answer: and the answer."
    raw["model"]["thinks"] = thinks
    if samples == "reference":
        raw["arms"]["solved"] = {"samples": "reference"}
    if reference is not None:
        raw["problems"]["reference"] = reference
    return load_study(raw, ROOT)


def byte_level(pre_tokenizer: Any) -> Tokenizer:
    """Learnt from a few lines, so that it merges what a real one merges: words with the space before them, and newlines."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer, decoders.ByteLevel()
    corpus = [SOLVED, "She sold 48 clips.\n\nThe answer is \\boxed{72}.\n\n", "user assistant system Be right."] * 20
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in ("<|im_start|>", "<|im_end|>", "<|end|>")])
    return tokenizer


@pytest.fixture
def chatml(tmp_path: Path) -> Path:
    from transformers import PreTrainedTokenizerFast

    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", clean_up_tokenization_spaces=False
    )
    made.chat_template = CHATML
    made.save_pretrained(tmp_path)
    ids = [tokenizer.token_to_id(name) for name in ("<|end|>", "<|im_end|>")]
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": ids}))
    return tmp_path


def tokenizer_of(model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(model))


def problem(text: str, answer: str = "72", rank: int = 0) -> dict[str, Any]:
    return {"problem_id": problem_id(text), "problem": text, "answer": answer, "rank": rank}


@pytest.mark.parametrize(
    "text", [SOLVED, "  indented", "\n\nlate", "π ≈ 3, naïve 😀", "{answer} {solution} \\frac{1}{2}"]
)
@pytest.mark.parametrize("opening", ["", "<think>\n"], ids=["ChatML", "lab"])
def test_prompt_and_completion_are_the_tokens_of_the_conversation_up_to_its_end(
    chatml: Path, text: str, opening: str
) -> None:
    """The template itself says what the tokens are. The lab's prompt opens the thought, which its template of turns does not."""
    model = LAB if opening else chatml
    asked = pl.DataFrame([problem("What is 48+24?")])
    prompts = tokenise_prompts(asked, "{problem}", model)
    [row] = references(asked, prompts, {asked["problem_id"][0]: text}, "{solution} {answer}", model).to_dicts()
    tokenizer = tokenizer_of(model)
    turns = [
        {"role": "user", "content": "What is 48+24?"},
        {"role": "assistant", "content": f"{opening}{text} 72"},
    ]
    whole = list(tokenizer.apply_chat_template(turns, tokenize=True, return_dict=True)["input_ids"])
    found = prompts["prompt_ids"][0].to_list() + row["completion_ids"]
    if text.startswith("\n"):  # read as one, the prompt's last newline and the text's first would be one token
        assert tokenizer.decode(found) == tokenizer.decode(whole[: len(whole) - 1])
    else:
        assert found == whole[: len(found)]
    assert row["completion_ids"][-1] == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert tokenizer.decode(row["completion_ids"][:-1]) == row["text"] == f"{text} 72" and not row["ends_within"]


def test_solutions_are_split_as_the_tokenizers_file_says_whatever_class_its_makers_name(chatml: Path) -> None:
    """As prompts are. Of a GPT2Tokenizer transformers 5 forgets that digits stand alone."""
    by_digits = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    ])  # fmt: skip
    file = byte_level(by_digits)
    file.save(str(chatml / "tokenizer.json"))
    (chatml / "generation_config.json").write_text(json.dumps({"eos_token_id": file.token_to_id("<|im_end|>")}))
    config = json.loads((chatml / "tokenizer_config.json").read_text()) | {"tokenizer_class": "GPT2Tokenizer"}
    (chatml / "tokenizer_config.json").write_text(json.dumps(config))
    text = "Clips.\n\n48 and 24"
    asked = pl.DataFrame([problem("What is 48+24?")])
    prompts = tokenise_prompts(asked, "{problem}", chatml)
    [row] = references(asked, prompts, {asked["problem_id"][0]: text}, "{solution}", chatml).to_dicts()
    assert row["completion_ids"][:-1] == file.encode(text).ids
    assert tokenizer_of(chatml)(text)["input_ids"] != file.encode(text).ids, "the class reads it as the file does"


def test_a_first_token_that_depends_on_what_is_before_it_is_read_behind_the_prompt() -> None:
    """A tokenizer that puts a space before every text would begin a solution with a space that the prompt did not leave open."""
    from transformers import PreTrainedTokenizerFast

    spaced = PreTrainedTokenizerFast(
        tokenizer_object=byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False)),
        clean_up_tokenization_spaces=False,
    )
    prompt = spaced("She", add_special_tokens=False)["input_ids"]
    ids = continuation(spaced, prompt, " sold 48 clips.")
    assert spaced.decode(prompt + ids) == "She sold 48 clips."
    assert prompt + ids == spaced("She sold 48 clips.", add_special_tokens=False)["input_ids"]


def test_the_end_token_is_the_one_that_closes_a_turn_whatever_other_end_tokens_there_are(chatml: Path) -> None:
    tokenizer = tokenizer_of(chatml)
    assert closing_token(tokenizer, end_tokens(chatml), chatml) == tokenizer.convert_tokens_to_ids("<|im_end|>")
    tokenizer.chat_template = CHATML.replace("<|im_end|>", "")
    with pytest.raises(
        UserError, match=r"closes the model's turn with .* and not with one of the end tokens <\|end\|>"
    ):
        closing_token(tokenizer, end_tokens(chatml), chatml)


def test_a_solution_that_holds_an_end_token_is_known_as_one(chatml: Path) -> None:
    asked = pl.DataFrame([problem("one"), problem("two", rank=1)])
    prompts = tokenise_prompts(asked, "{problem}", chatml)
    solutions = {problem_id("one"): "It ends <|im_end|> here.", problem_id("two"): SOLVED}
    found = references(asked, prompts, solutions, WORDINGS["boxed"], chatml)
    assert found["ends_within"].to_list() == [True, False]


def test_a_problem_without_a_solution_has_no_row(chatml: Path) -> None:
    asked = pl.DataFrame([problem("one"), problem("two", rank=1)])
    found = references(asked, tokenise_prompts(asked, "{problem}", chatml), {}, WORDINGS["boxed"], chatml)
    assert found.is_empty()


def test_the_usual_wording_ends_in_the_answer_that_the_grader_finds() -> None:
    text = worded(WORDINGS["boxed"], SOLVED, "\\frac{1}{2}")
    assert text == f"{SOLVED}\n\nThe answer is \\boxed{{\\frac{{1}}{{2}}}}."
    assert find_answer(text, think=False).extracted == "\\frac{1}{2}"


def test_braces_of_a_solution_are_its_own() -> None:
    assert worded("{solution}: {answer}", "{answer}", "5") == "{answer}: 5"


@pytest.mark.parametrize(
    "reference, thinks, complaint",
    [
        ("The answer is \\boxed{{answer}}.", False, r"must contain \{solution\}"),
        ("{solution} so {answer}", False, r"the grader does not find the answer in '… so 5'"),
        (None, True, "has no </think>, and of this model only what follows it is graded"),
        ("{solution} \\boxed{{answer}}</think>", True, "the grader does not find the answer"),
    ],
)
def test_a_wording_that_teaches_no_gradable_answer_is_refused(
    reference: str | None, thinks: bool, complaint: str
) -> None:
    with pytest.raises(UserError, match=f"^problems.reference: {complaint}"):
        check_wording(study_with(reference, thinks))


@pytest.mark.parametrize(
    "reference, thinks",
    [
        (None, False),
        ("{solution}", False),  # of datasets whose solutions hold the answer in the format: each is graded later
        ("{solution}\n</think>\n\nThe answer is \\boxed{{answer}}.", True),
    ],
)
def test_a_wording_that_can_be_graded_is_taken(reference: str | None, thinks: bool) -> None:
    check_wording(study_with(reference, thinks))


def test_the_usual_wording_is_in_the_format_that_is_graded() -> None:
    study = study_with(None, answer="line")
    check_wording(study)
    assert wording_of(study) == "{solution}\n\nAnswer: {answer}" and "\\boxed" in wording_of(study_with(None))
    with pytest.raises(UserError, match="the grader does not find the answer"):
        check_wording(study_with(WORDINGS["boxed"], answer="line"))


def test_the_wording_of_a_study_without_such_an_arm_is_nobodys_concern() -> None:
    check_wording(study_with(None, thinks=True, samples="own"))


def test_a_solution_belongs_to_every_copy_of_its_problem_and_the_first_that_is_given_counts(tmp_path: Path) -> None:
    def source(name: str, rows: list[dict[str, Any]], use: Any = "train") -> Source:
        (tmp_path / f"{name}.jsonl").write_text(
            "".join(json.dumps({"level": 1, "answer": "2"} | row) + "\n" for row in rows)
        )
        return Source(path=f"{name}.jsonl", use=use)

    sources = {
        "first": source("first", [{"problem": "What is 1+1?"}, {"problem": "What is 4-2?", "solution": "mine"}]),
        "second": source("second", [{"problem": "what  is 1+1?", "solution": "two"}, {"problem": "What is 4-2?", "solution": "his"}]),
        "exam": source("exam", [{"problem": "What is 6/3?", "solution": "never"}], use="eval"),
    }  # fmt: skip
    found = solutions_of(sources, tmp_path)
    assert found == {problem_id("What is 1+1?"): "two", problem_id("What is 4-2?"): "mine"}
