"""A drawing in fewer bytes: the same picture, so that a study of many trainings still makes a page that opens at once.

Matplotlib writes each mark with its own style, six decimals and names that nobody refers to. Here marks in a row are one path
with a marker at each of its points, coordinates keep a hundredth of a point (a tenth beyond ten points), and only the names that
something refers to stay, in short.
"""

import re
from itertools import groupby
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

SVG = "http://www.w3.org/2000/svg"
LINK = "{http://www.w3.org/1999/xlink}href"
GROUP, USE, MARKER, PATH = (f"{{{SVG}}}{tag}" for tag in ("g", "use", "marker", "path"))
PLACES = ("d", "x", "y")
REFERENCE = re.compile(r"url\(#([^)]+)\)")
MOVED = re.compile(r"translate\([^)]*\)")
LONG = re.compile(r"-?\d+\.\d{2,}")
REPEATED = {"M": "L", "L": "L", "C": "C", "Q": "Q"}  # a command → the one that goes without saying after it
LEAST_MARKS = 3  # fewer are not worth a marker


def compact(svg: str, name: str) -> str:
    """`svg` in fewer bytes; every name that is left opens with `name`."""
    drawing = ElementTree.fromstring(svg)
    for about in drawing.findall(f"{{{SVG}}}metadata"):
        drawing.remove(about)
    short = {old: f"{name}-{number}" for number, old in enumerate(referred_to(drawing))}
    for element in drawing.iter():
        rename(element, short)
        shorten(element)
    without_bare_groups(drawing)
    for number, group in enumerate(list(drawing.iter())):
        marks_in_a_row(group, f"{name}-{number}m")
    ElementTree.register_namespace("", SVG)
    return re.sub(r">\s+<", "><", ElementTree.tostring(drawing, encoding="unicode").replace(" />", "/>"))


def referred_to(drawing: Element) -> list[str]:
    names: dict[str, None] = {}
    for element in drawing.iter():
        for key, value in element.attrib.items():
            found = [value[1:]] if key in (LINK, "href") else REFERENCE.findall(value)
            names |= dict.fromkeys(found)
    return list(names)


def rename(element: Element, short: dict[str, str]) -> None:
    own = element.attrib.pop("id", None)
    if own in short:
        element.set("id", short[own])
    for key, value in list(element.attrib.items()):
        if key in (LINK, "href"):
            del element.attrib[key]
            element.set("href", f"#{short[value[1:]]}")
        elif "url(#" in value:
            element.set(key, REFERENCE.sub(lambda found: f"url(#{short[found[1]]})", value))


def shorten(element: Element) -> None:
    for place in PLACES:
        if place in element.attrib:
            element.set(place, rounded(element.attrib[place]))
    if "transform" in element.attrib:
        element.set("transform", MOVED.sub(lambda moved: rounded(moved[0]), element.attrib["transform"]))
    if "style" in element.attrib:
        element.set("style", re.sub(r"([:;]) ", r"\1", element.attrib["style"]))


def rounded(places: str) -> str:
    """Shorter numbers, and no command that is the one before it."""
    kept: list[str] = []
    before = ""
    for word in LONG.sub(shorter, places).split():
        if not word.isalpha():
            kept.append(word)
            continue
        if word != REPEATED.get(before):
            kept.append(word)
        before = word
    return " ".join(kept)


def shorter(number: re.Match[str]) -> str:
    value = float(number[0])
    text = f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
    return text.rstrip("0").rstrip(".")


def without_bare_groups(parent: Element) -> None:
    """A group that says nothing gives way to what it holds."""
    children: list[Element] = []
    for child in list(parent):
        without_bare_groups(child)
        children += list(child) if child.tag == GROUP and not child.attrib else [child]
    parent[:] = children


def marks_in_a_row(parent: Element, name: str) -> None:
    """Marks of one shape and style become the points of one path."""
    children: list[Element] = []
    for number, (look, alike) in enumerate(groupby(parent, key=look_of_mark)):
        marks = list(alike)
        if look is None or len(marks) < LEAST_MARKS:
            children += marks
            continue
        shape, style = look
        marker = Element(MARKER, id=f"{name}{number}", overflow="visible", markerUnits="userSpaceOnUse")
        marker.append(Element(USE, href=shape, style=style))
        points = "M " + " ".join(f"{mark.get('x')} {mark.get('y')}" for mark in marks)
        children += [
            marker, Element(PATH, d=points, style=f"fill:none;stroke:none;marker:url(#{marker.get('id')})")
        ]  # fmt: skip
    parent[:] = children


def look_of_mark(element: Element) -> tuple[str, str] | None:
    """Shape and style of what is a mark and nothing else."""
    if element.tag != USE or set(element.attrib) != {"href", "x", "y", "style"}:
        return None
    return element.attrib["href"], element.attrib["style"]
