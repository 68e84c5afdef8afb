"""Claims about pictures: which texts need one, which would only gain by one, and which never had one."""

from pathlib import Path

import pytest

from converted import numina, outcome
from selfdistill.problems.datasets.convert import audit, convert
from selfdistill.problems.datasets.pictures import needs_picture, without_marks
from selfdistill.rehearsal.recorded_shapes import json_lines, numina_row

SQUARE = "In square $KLMN$ with side $6$, point $P$ is the midpoint of $KL$ and $Q$ the midpoint of $LM$"

# Each is a text that cannot be understood alone, and its twin that can.
NEEDED_AND_HELPFUL = [
    ("What is the area of the shaded region in the figure?", f"{SQUARE}, as shown in the figure. Find the area of $KPQ$."),
    ("The graph of $y = f(x)$ is shown below. Find $f(3)$.", "The graph of $f(x) = x^2 + 3x$ is shown below, for $0 < x < 9$, where $f(x+9) = f(x)$. Find $f(30)$."),
    ("How many triangles are in the figure?", f"{SQUARE} (see the figure below). How many of $K, L, M$ are $6$ away from $N$?"),
    ("In the star shown, the sum along each line is the same. What is $q$?", "As shown, a regular hexagon of side $6$ is inscribed in a circle of radius $6$. Find the circle's area."),
    ("The areas of four of these triangles are as indicated in the figure. Find the area of $ABC$.", "Triangle $ABC$ with $AB=7$, $BC=8$, $CA=9$ is shown in the figure. Find the area of $ABC$."),
    ("In the diagram, what is the value of $x$?", "In the diagram, $AB = 5$, $BC = 12$ and $\\angle ABC = 90^\\circ$. What is the length of $AC$?"),
    ("According to the bar graph, how many students are there?", "According to the table, how many are there? \\begin{tabular}{c|c} a & 3 \\\\ b & 4 \\end{tabular}"),
    ("In right triangle $RST$, shown below, $\\cos S = \\frac{2}{7}$. Find $RT$.", "In right triangle $RST$, shown below, $RS = 3$, $ST = 4$ and $\\angle RST = 90^\\circ$. Find $RT$."),
    ("Three numbers are placed as shown in a magic square with sum 15, 5 in its middle. Find $x$.", "One such placing of 1 to 9 in a $3 \\times 3$ grid is shown below. How many are there?"),
    ("The matrix in ./pages/chain.png has 4 rows and 4 columns, 16 entries. Find its period.", f"{SQUARE}. Find the area of $KPQ$. Exam 1990 Problem 4.png"),
    ("As given in the table, Mercury's distance is $D$. Find $0.4 D$.", "The scores of 5 are in the table: 1, 2, 3, 4, 5. What is shown in the table: the mean?"),
    ("What fraction of the two squares is shaded?", "Of a $3 \\times 4$ grid, $6$ squares are to be shaded. How often are there two shaded squares in each row?"),
]  # fmt: skip


@pytest.mark.parametrize(("needed", "helpful"), NEEDED_AND_HELPFUL)
def test_a_text_that_gives_everything_does_not_need_its_picture(needed: str, helpful: str) -> None:
    assert needs_picture(needed) == "yes"
    assert needs_picture(helpful) != "yes"


@pytest.mark.parametrize(
    ("helps", "no"),
    [
        ("Find the area. [asy] draw((0,0)--(3,0)--(0,4)--cycle); [/asy]", "Find the area of a triangle of sides 3, 4 and 5."),
        (r"Find it. \begin{tikzpicture}\draw (0,0);\end{tikzpicture}", r"Find it. \begin{array}{c} 1 \end{array}"),
        (f"{SQUARE}, as shown. Find $PQ$.", "It can be shown that $n$ is even. Find $n$."),
        (f"{SQUARE}. Find $PQ$. ![](figure-1)", f"{SQUARE}. Find $5!$"),
        ("Let $x = 5$ and $y = 6$. Find $x + y$. exam4.gif", "Let $x = 5$. Find the ratio of 4.0 to x."),
        ("Four squares form a grid. One example is shown below. How many colorings are there?", "A die is rolled. What is the expected number shown?"),
    ],
)  # fmt: skip
def test_a_drawing_that_can_be_read_or_is_mentioned_in_passing_helps(helps: str, no: str) -> None:
    assert needs_picture(helps) == "helps"
    assert needs_picture(no) == "no"


@pytest.mark.parametrize(
    "text",
    [
        "It can be shown that 5 figures of speech are 5.",
        "a three-figure number",
        "A picture frame has sides 3 and 4.",
        "A 5-inch by 7-inch picture lies on paper; each side of the picture has a border.",
        "Each photo has three students in the picture.",
        "The graph of $y=x^2$ passes through (1, 1).",
        "The graph of $9x+2y=20$ is drawn on graph paper. How many squares lie below the graph?",
        "If $a < b$ and $b > c$, what is a?",
        "What is the image of $(3, 4)$ after a reflection? What are its coordinates?",
        "Ten squares below the top one, how many lie above?",
        "A line cuts this parallelogram; the figure formed by the two lines has area 3.",
        "Every cell in a $3 \\times 3$ grid holds a number; this grid has a saddle point.",
        "Solve the equation below: $x + 1 = 2$.",
        "Let $\\mathcal{G}$ be a graph with 5 vertices.",
    ],
)
def test_a_text_that_only_sounds_like_one_needs_none(text: str) -> None:
    assert needs_picture(text) == "no"


@pytest.mark.parametrize(
    "text",
    [
        "Find it. [asy] draw((0,0)--(1,1)",  # the source was cut off
        "Find it. draw((0,0)--(1,1)); [/asy]",
        "What is the area? <image_1>",  # there was a picture, and there is little beside it
        r'Find it. [asy] label(graphic("a.png"), (0,0)); [/asy] In the figure, what is $x$?',  # it only loads a file
    ],
)
def test_a_source_or_a_mark_that_says_nothing_is_no_help(text: str) -> None:
    assert needs_picture(text) == "yes"


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("Find $a+b.$ Exam 1995 Problem 9.png", "Find $a+b.$"),
        ("Find it. ![](https://example.org/a.jpg)", "Find it."),
        ('Find it. <img src="x" onerror="alert(1)">', "Find it."),
        (r"Find it. \includegraphics[width=5cm]{a}", "Find it."),
        ("Find it. [img]https://example.org/a.png[/img]", "Find it."),
        ("Find it. <image_1>", "Find it."),
        (
            "Find the ratio of 4.5 to 3. [asy] dot((0,0)); [/asy]",
            "Find the ratio of 4.5 to 3. [asy] dot((0,0)); [/asy]",
        ),
    ],
)
def test_the_name_of_a_missing_picture_goes_and_a_source_stays(text: str, without: str) -> None:
    assert without_marks(text) == without


def test_pictures_are_an_option_of_every_loader(tmp_path: Path) -> None:
    rows = [
        numina_row(f"{SQUARE}. Find the area.", "36"),
        numina_row(f"{SQUARE}, as shown. Find $KN$.", "6"),
        numina_row("In the figure, find $x$.", "1"),
    ]
    folder = numina(tmp_path, *rows)
    assert outcome("numina-math-cot", folder) == (["36", "6"], {"needs a picture": 1})
    assert outcome("numina-math-cot", folder, pictures=["no"]) == (
        ["36"], {"a picture would help": 1, "needs a picture": 1}
    )  # fmt: skip
    assert outcome("numina-math-cot", folder, pictures=["yes"]) == (
        ["1"], {"a picture would help": 1, "needs no picture": 1}
    )  # fmt: skip
    conversion = convert("numina-math-cot", folder, {"pictures": ["no", "helps", "yes"]})
    assert [row["needs_picture"] for row in conversion.rows] == ["no", "helps", "yes"]
    assert audit("numina-math-cot", {}, conversion)["pictures"] == {"no": 1, "helps": 1, "yes": 1}


def test_all_thirty_problems_of_an_exam_with_drawings_are_kept(tmp_path: Path) -> None:
    """The six shapes in which drawings stand in real copies of the exams of 2025."""
    drawn = [
        f"{SQUARE}, as shown in the figure below. Find the area. [asy] draw((0,0)--(6,0)); [/asy]",
        f"{SQUARE}, as shown. Find it. \\begin{{tikzpicture}}\\draw (0,0) -- (6,0);\\end{{tikzpicture}}",
        f"{SQUARE}, as shown in the diagram. Find $PQ^2$.",
        "A function is defined by $f(x) = x$ for $0 \\le x < 4$ and $f(x + 4) = f(x)$. The graph of $f(x)$ has the "
        "pattern depicted below. The parabola $x = 34y^2$ meets it how often?",
        "Four unit squares form a $2 \\times 2$ grid. Each of the 12 segments is red or blue. One example is shown "
        "below (red is solid, blue is dashed). Find the number of such colorings.",
        f"{SQUARE}. Find it. Exam 2025 Problem 6.png",
    ]  # fmt: skip
    texts = [*drawn, *(f"How many ways are there to climb {n} stairs?" for n in range(24))]
    rows = [{"question": text, "answer": str(n)} for n, text in enumerate(texts)]
    json_lines(tmp_path / "aime2025-I.jsonl", rows[:15])
    json_lines(tmp_path / "aime2025-II.jsonl", rows[15:])
    conversion = convert("aime-2025", tmp_path, {})
    assert len(conversion.rows) == 30 and conversion.dropped == {}
    assert [row["needs_picture"] for row in conversion.rows[:7]] == ["helps"] * 6 + ["no"]
    assert audit("aime-2025", {}, conversion)["alarm"] == ""
