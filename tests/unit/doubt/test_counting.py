"""Twenty texts counted by hand, and what counting must not see."""

import pytest

from selfdistill.doubt.counting import Counts, Markers, substring_counts, thought_end
from selfdistill.study.doubt import MARKERS, Doubt

# Each text with its doubts in the thought, in the answer, and by the paper's substrings; counted by hand.
BY_HAND: list[tuple[str, int, int, int]] = [
    ("", 0, 0, 0),
    ("So 2 + 2 = 4.\n</think>\n\nThe answer is \\boxed{4}.", 0, 0, 0),
    ("It is unlikely that n is odd.</think>Unlikely.", 0, 0, 2),
    ("We are awaiting an awaited waiter.</think>4", 0, 0, 3),
    ("Colour the checkerboard; both checkers and paychecks fit.</think>32", 0, 0, 3),
    ("Wait, no. Wait! WAIT…</think>3", 3, 0, 3),
    ("Hmm. Hmmm. hmm, so it goes.</think>1", 2, 0, 3),
    ("Perhaps 495: no. Perhaps 877: no.</think>So perhaps 531.", 2, 1, 3),
    ("Maybe. Maybe not; may be so.</think>\\boxed{7}", 2, 0, 2),
    ("Actually, the actual value is 5; it is factually so.</think>5", 1, 0, 2),
    ("Alternatively we take the alternative.</think>Alternatively: 9", 1, 1, 2),
    ("It seems right, but seemingly and seams do not seem so.</think>8", 1, 0, 1),
    ("We might, mighty as we are, try with all our might.</think>6", 2, 0, 3),
    ("Likely 4. The likelihood is higher; likelier than 5.</think>4", 1, 0, 1),
    ("Check: 3·4 = 12. Double-check it. Checking is checked, check.</think>12", 3, 0, 5),
    ("Wait, perhaps it seems likely; maybe check.\n</think>\n\nActually it might: 2", 6, 2, 8),
    ("\\text{wait} and *maybe* and (hmm) and \"likely\" and check-in.</think>0", 5, 0, 5),
    ("Still thinking. Wait, is it 4? Hmm", 2, 0, 2),
    ("<think>wait</think>One. <think>Or two? wait", 2, 0, 2),
    ("Wait</think>maybe</think>perhaps, check", 2, 2, 4),
]  # fmt: skip


@pytest.mark.parametrize(("text", "thought", "answer", "substrings"), BY_HAND)
def test_twenty_texts_are_counted_as_by_hand(text: str, thought: int, answer: int, substrings: int) -> None:
    counted = Markers().counts(text)
    assert (counted.in_thought, counted.in_answer) == (thought, answer)
    assert counted.total == thought + answer == sum(counted.of(marker) for marker in MARKERS)
    assert sum(substring_counts(text, MARKERS).values()) == substrings


def test_substrings_are_counted_in_any_case_of_the_marker() -> None:
    assert substring_counts("Wait, WAIT; unlikely", ["Wait", "likely"]) == {"Wait": 2, "likely": 1}


def test_there_are_twenty_of_them_and_they_show_every_marker() -> None:
    assert len(BY_HAND) == 20
    seen = [marker for text, *_ in BY_HAND for marker in MARKERS if Markers().counts(text).of(marker)]
    assert set(seen) == set(MARKERS)


def test_the_markers_are_those_of_the_paper() -> None:
    listed = "wait hmm perhaps maybe actually alternatively seems might likely check"
    assert listed.split() == MARKERS == Doubt().names


@pytest.mark.parametrize("word", ["unlikely", "awaiting", "checkerboard", "mighty", "hmmm", "check_sum", "waited"])
def test_a_longer_word_is_no_doubt(word: str) -> None:
    assert Markers().counts(f"So {word} it is.").total == 0


def test_a_model_that_does_not_think_answers_from_the_first_word_on() -> None:
    text = "Wait, maybe</think>check"
    assert Markers().counts(text, thinks=False) == Counts(
        dict.fromkeys(MARKERS, 0), dict.fromkeys(MARKERS, 0) | {"wait": 1, "maybe": 1, "check": 1}
    )
    assert (thought_end(text), thought_end(text, thinks=False)) == (len("Wait, maybe</think>"), 0)


def test_a_hit_says_where_it_stands() -> None:
    text = "No. Wait, so PERHAPS."
    assert [(hit.marker, text[hit.begin : hit.end]) for hit in Markers().hits(text)] == [
        ("wait", "Wait"),
        ("perhaps", "PERHAPS"),
    ]


def test_a_place_counts_once() -> None:
    own = Markers(Doubt(markers=["check", "let me check", "?"], patterns={"asks": r"is (?:it|this)\b.*\?"}))
    counted = own.counts("Let me check. Is it 4? Check? Why?", thinks=False)
    assert counted.answer == {"check": 0, "let me check": 1, "?": 0, "asks": 1}
    counted = own.counts("Let me check. Check? Why?", thinks=False)
    assert counted.answer == {"check": 1, "let me check": 1, "?": 2, "asks": 0}


def test_an_own_pattern_keeps_to_word_boundaries() -> None:
    own = Markers(Doubt(markers=[], patterns={"seem": "seem(?:s|ed)?"}))
    assert own.counts("It seems so; it seemed so; seem; seemingly; beseem.").total == 3
