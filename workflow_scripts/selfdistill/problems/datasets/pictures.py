r"""Does a problem need a picture? Judged from its text alone: `no`, `helps` or `yes`.

`yes`: the text cannot be understood without a picture that did not come along. `helps`: words or a mark point to a
picture, but the text gives everything without it; or the source of the drawing, such as [asy] code, stands in the text,
which a language model can read. How often this is wrong, docs/datasets.md says.
"""

from collections import Counter
from typing import Literal

from selfdistill.problems.datasets import picture_words as words

Need = Literal["no", "helps", "yes"]
NEEDS: tuple[Need, ...] = ("no", "helps", "yes")
READABLE: tuple[Need, ...] = ("no", "helps")  # what a reader without eyes can solve
REASONS: dict[Need, str] = {"no": "needs no picture", "helps": "a picture would help", "yes": "needs a picture"}
# Facts that a text must give, where it mentions the picture in passing, and where it leans on it.
ENOUGH_IN_PASSING, ENOUGH = 4, 7


def needs_picture(text: str) -> Need:
    drawn, rest = _without_sources(text)
    if words.HALF_A_SOURCE.search(rest):
        return "yes"  # it was cut off
    marked = words.MARK_AT_ALL.search(rest) is not None
    if drawn and not marked:
        return "helps"
    without = _unmarked(rest).replace("graph paper", "paper")
    said = words.EXAMPLE.sub(" ", without)
    pointers = _pointers(said)
    if marked and (words.MARK_IN_A_SENTENCE.search(rest) or facts(said) < ENOUGH_IN_PASSING):
        return "yes"
    if not pointers:
        return "helps" if marked or (said != without and _pointers(without)) else "no"
    if words.TABLE.search(said):
        return "helps"
    if _demands(said) or _asks_about_unknown_points(said):
        return "yes"
    in_passing = all(words.BESIDE.search(said[max(0, start - 4) : end + 12]) for start, end in pointers)
    return "helps" if facts(said) >= (ENOUGH_IN_PASSING if in_passing else ENOUGH) else "yes"


def facts(text: str) -> int:
    """How much a text gives by itself: numbers, equations and words of geometry."""
    return len(words.GIVEN.findall(text)) + len(words.RELATION.findall(text))


def without_marks(text: str) -> str:
    """The text without the names of pictures that did not come along. Sources of drawings stay as they are, unless they
    only load one."""
    if not words.MARK_AT_ALL.search(text):
        return text
    parts: list[str] = []
    position = 0
    for source in words.SOURCE.finditer(text):
        loads = words.MARK_AT_ALL.search(source[0]) is not None
        parts += [_unmarked(text[position : source.start()]), _unmarked(source[0]) if loads else source[0]]
        position = source.end()
    return "".join([*parts, _unmarked(text[position:])]).strip()


def has_link(text: str) -> bool:
    """A link to anything but a picture: what it says stands elsewhere."""
    return words.LINK.search(_unmarked(text)) is not None


def _unmarked(text: str) -> str:
    return words.MARK.sub(" ", text) if words.MARK_AT_ALL.search(text) else text


def _without_sources(text: str) -> tuple[bool, str]:
    """Whether a source stands in it that draws something by itself, and the text without any; where a source only loads
    a file, that is the mark of a picture."""
    found = [match[0] for match in words.SOURCE.finditer(text)]
    loaded = [source for source in found if words.LOADS.search(source)]
    drawn = any(words.DRAWS.search(source) and source not in loaded for source in found)
    return drawn, words.SOURCE.sub(" ", text) + (" ![]" if loaded and not drawn else "")


def _pointers(text: str) -> list[tuple[int, int]]:
    if not words.POINTER_AT_ALL.search(text):
        return []
    found = [
        match
        for match in words.POINTER.finditer(text)
        if not words.NO_POINTER.search(text[max(0, match.start() - 40) : match.end()])
    ]
    shading = words.SHADING.search(text) is not None  # the text itself shades
    return [match.span() for match in found if not (shading and "shaded" in match[0].lower())]


def _demands(text: str) -> bool:
    """Whether it asks for what only the picture can say, apart from what it says of the picture in passing."""
    if words.ARRANGED.search(text):
        return True
    for match in words.DEMAND.finditer(words.PASSING.sub(" ", text)):
        said = match[0].lower()
        of_the_text = ("shaded" in said and words.SHADING.search(text)) or (
            "graph" in said and words.FORMULA_OF_THE_GRAPH.search(text)
        )
        if not of_the_text:
            return True
    return False


def _asks_about_unknown_points(text: str) -> bool:
    """Whether the question is about points, such as those of the angle BAC, that the text names nowhere else."""
    names = [set(name) & set("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for name in words.LABEL.findall(text)]
    times = Counter(letter for name in names for letter in name)
    question = text[_beginning_of_the_question(text) :]
    return any(times[letter] == 1 for name in words.LABEL.findall(question) if len(name) > 1 for letter in name)


def _beginning_of_the_question(text: str) -> int:
    last = text.rfind("?") if "?" in text else len(text)
    starts = [0, *(match.end() for match in words.END_OF_A_SENTENCE.finditer(text, 0, last))]
    return max((start for start in starts if words.QUESTION.search(text, start)), default=0)
