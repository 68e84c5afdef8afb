"""A drawing made smaller is the same drawing."""

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from selfdistill.reporting.compact import SVG, compact, rounded
from selfdistill.reporting.style import figure_style, new_figure, svg_text

LINK = "{http://www.w3.org/1999/xlink}href"


def drawn(name: str, shrink: bool, monkeypatch: pytest.MonkeyPatch) -> str:
    if not shrink:
        monkeypatch.setattr("selfdistill.reporting.style.compact", lambda svg, name: svg[svg.index("<svg") :])
    rng = np.random.default_rng(0)
    with figure_style(name):
        figure, (left, right) = new_figure(6, 3, columns=2)
        for arm in range(3):
            left.plot(np.arange(60), rng.random(60).cumsum(), marker="osv"[arm], label=f"arm {arm} <b>&amp;")
        right.scatter(rng.random(50), rng.random(50), c=rng.random(50))
        right.fill_between([0, 1], [0.2, 0.3], [0.5, 0.6])
        left.legend()
        text = svg_text(figure, name)
    monkeypatch.undo()
    return text


def shapes(drawing: Element) -> list[tuple[str, list[float], list[float], str]]:
    """Every shape that is drawn, in order: its commands, its numbers, its style and what its groups say of it."""
    defined = {element.get("id"): element for element in drawing.iter() if element.get("id")}
    found = []

    def place(shape: str, x: str, y: str, style: str) -> None:
        target = defined[shape]
        found.append((*told(target.get("d", "")), [float(x), float(y)], spaceless(target.get("style")) + style))

    def walk(element: Element, inherited: str) -> None:
        kind = element.tag.removeprefix(f"{{{SVG}}}")
        style = spaceless(element.get("style")) or inherited
        if kind == "use":
            place(
                (element.get("href") or element.attrib[LINK])[1:], element.get("x", "0"), element.get("y", "0"), style
            )
        elif kind == "path" and "marker" in style:
            marker = defined[re.findall(r"marker:url\(#([^)]+)\)", style)[0]][0]
            numbers = element.attrib["d"].split()[1:]
            for x, y in zip(numbers[::2], numbers[1::2], strict=True):
                place(marker.attrib["href"][1:], x, y, spaceless(marker.attrib["style"]))
        elif kind == "path":
            found.append((*told(element.attrib["d"]), [], style))
        for child in element:
            if kind not in ("defs", "clipPath", "marker"):
                walk(child, style)

    walk(drawing, "")
    return found


def spaceless(style: str | None) -> str:
    return (style or "").replace(" ", "")


def told(path: str) -> tuple[str, list[float]]:
    """The commands of a path, each spelt out, and its numbers."""
    commands, numbers, command = "", [], ""
    parts = {"M": 2, "L": 2, "C": 6, "Q": 4, "z": 0}
    words = path.split()
    while words:
        command = words.pop(0) if words[0] in parts else {"M": "L"}.get(command, command)
        commands += command
        numbers += [float(words.pop(0)) for _ in range(parts[command])]
    return commands, numbers


def test_the_same_shapes_stand_at_the_same_places(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, small = (drawn("try", shrink, monkeypatch) for shrink in (False, True))
    before, after = (shapes(ElementTree.fromstring(each)) for each in (whole, small))
    assert len(before) == len(after) > 300
    for (kind, numbers, place, style), (kind_after, numbers_after, place_after, style_after) in zip(
        before, after, strict=True
    ):
        assert (kind, style) == (kind_after, style_after)
        assert np.allclose(place, place_after, atol=0.0501)
        assert np.allclose(numbers, numbers_after, atol=np.where(np.abs(numbers) < 10, 0.00501, 0.0501))
    assert len(small) < 0.5 * len(whole)


def test_every_name_is_referred_to_and_is_the_figures_own(monkeypatch: pytest.MonkeyPatch) -> None:
    small = drawn("try", True, monkeypatch)
    names = re.findall(r'\bid="([^"]+)"', small)
    referred = {*re.findall(r'href="#([^"]+)"', small), *re.findall(r"url\(#([^)]+)\)", small)}
    assert len(names) == len(set(names)) and set(names) == referred
    assert all(re.fullmatch(r"try-\d+(m\d+)?", name) for name in names)
    assert "<metadata" not in small and "xlink" not in small and "\n" not in small


def test_text_of_a_drawing_is_never_markup() -> None:
    hostile = f'<svg xmlns="{SVG}"><title>&lt;script&gt;alert(1)&lt;/script&gt;</title><path d="M 1.23456 2"/></svg>'
    assert compact(hostile, "x").endswith(
        '<title>&lt;script&gt;alert(1)&lt;/script&gt;</title><path d="M 1.23 2"/></svg>'
    )


@pytest.mark.parametrize(
    ("places", "short"),
    [
        ("1.2345 -0.0001 12", "1.23 -0 12"),
        ("M 1.999\nL 2.5", "M 2 2.5"),
        ("100 123.456", "100 123.5"),
        (
            "M 1 2 L 3 4 L 5 6 z M 7 8 C 1 2 3 4 5 6 C 1 2 3 4 5 7 L 1 1",
            "M 1 2 3 4 5 6 z M 7 8 C 1 2 3 4 5 6 1 2 3 4 5 7 L 1 1",
        ),
    ],
)
def test_places_are_rounded_to_a_hundredth(places: str, short: str) -> None:
    assert rounded(places) == short
