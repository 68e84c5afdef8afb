r"""The words by which a problem's text points to a picture, and the marks that a picture leaves where it is taken away.

Tuned on one half of 29,229 real texts, measured on the other (docs/datasets.md says with what errors). Each
repeat is bounded, so that no text, however made, takes longer than its length.
"""

import re


def any_of(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


# The source of a drawing, and what in it draws. A source that only loads a file says nothing to a reader.
SOURCE = re.compile(
    r"\[asy\].*?\[/asy\]|\\begin\s*\{(tikzpicture|asy|picture)\}.*?\\end\s*\{\1\}", re.DOTALL | re.IGNORECASE
)
HALF_A_SOURCE = any_of(r"\[/?asy\]", r"\\(?:begin|end)\s*\{(?:tikzpicture|asy|picture)\}")
DRAWS = any_of(
    "draw", "fill", "label", r"dot\b", "node", "line", "circle", "plot", "path", r"graph\b", r"\bD\(", r"MP\("
)
LOADS = any_of(r"\bgraphic\s*\(", r"\\includegraphics")

# A file's name at the end of a text may hold spaces: "AIME 1985 Problem 4.png".
FILE = (
    r"(?:(?<=[.?!$)\]}])\s[\w ().-]{1,60}|[\w./:%+?=&-]{1,200})\.(?:png|jpe?g|gif|svg|bmp|webp)\b(?:\?[\w=&]{0,100})?"
)
MARK = any_of(
    r"\[img[^\]]{0,200}\](?:[^\[]{0,500}\[/img\])?",
    r"!\[[^\]]{0,500}\](?:\([^)]{0,500}\))?",
    r"<\s{0,9}(?:img|image|svg|figure)[^>]{0,1000}>?",
    r"\\includegraphics\s{0,9}(?:\[[^\]]{0,200}\])?\s{0,9}(?:\{[^}]{0,200}\})?",
    r"\\(?:begin|end)\s{0,9}\{figure\*?\}",
    FILE,
)
# Most texts hold neither a mark nor a pointer; these see so at once.
MARK_AT_ALL = any_of(
    r"\.(?:png|jpe?g|gif|svg|bmp|webp)\b|\[img|!\[|<\s{0,9}(?:img|image|svg|figure)|includegraphics|\{figure"
)
POINTER_AT_ALL = any_of(
    "fig|diagram|picture|drawing|sketch|illustrat|image|chart|graph|plot|map|shown|depict|drawn|indicated|labell?ed|below"
    "|above|shaded|table|grid|to the (?:right|left)|network|circuit|clock|tetromino|shape|adjoining|accompanying|attached"
)
MARK_IN_A_SENTENCE = any_of(
    rf"\b(?:in|on|from|of|diagram|figure|by|satisfies)\s{{0,9}}(?:{FILE})",
    rf"(?:{FILE})\s{{0,9}}(?:shows|represents|below)",
)
LINK = any_of(r"https?://", r"(?<![\w.])www\.\w")

FIGURE = r"(?:figures?|diagrams?|pictures?|drawings?|sketch(?:es)?)"
ANY_PICTURE = (
    r"(?:figures?|diagrams?|pictures?|drawings?|sketch(?:es)?|illustrations?|images?|charts?|graphs?|plots?|maps?)"
)
SHOWN = r"(?:shown|depicted|illustrated|pictured|drawn|displayed|indicated|sketched|seen|labell?ed|given|marked)"
PLACE = r"(?:below|above|here|at (?:the )?(?:right|left)|(?:on|to) the (?:right|left)|at the side|alongside)"
OBJECT = (
    r"(?:triangles?|squares?|rectangles?|circles?|grids?|figures?|boards?|tables?|graphs?|polygons?|regions?|trapezoids?"
    r"|parallelograms?|rhombus|pentagons?|hexagons?|octagons?|solids?|shapes?|spinners?|dartboards?|clocks?|arrays?"
    r"|lattices?|stars?|cubes?|points|lines|letters|patterns?|trees?|networks?|mazes?|paths?|boxes|blocks|tiles?|pieces?"
    r"|quadrilaterals?|semicircles?|machine|scale|ellipse|parabola)"
)
# "the figure formed by …" is a figure of which the text speaks, and no picture of it.
OF_THE_TEXT = (
    r"(?!\s+(?:whose|formed|obtained|with|of|which|having|that (?:is|was)|so formed|bounded|frame|book|album|is \$))"
)

POINTER = any_of(
    rf"\b{SHOWN}\s+(?:\w+\s+)?(?:in|by|on)\s+(?:(?:the|this|these|each)\s+)?(?:\w+[ -])?{ANY_PICTURE}\b",
    rf"\bas\s+(?:in|on)\s+(?:the\s+|this\s+)?(?:\w+\s+)?{ANY_PICTURE}\b",
    rf"\b(?:see|refer to)\s+(?:the\s+)?(?:\w+\s+)?(?:{FIGURE}|below\s*[.)])",
    r"\bfig(?:ure)?s?\.?\s*[A-Z]?\d",
    rf"\b(?:in|from|on|of|consider|using)\s+(?:the|this|these)\s+(?:\w+\s+)?(?:figures?|diagrams?|sketch)\b{OF_THE_TEXT}",
    rf"\b(?:adjoining|accompanying|attached|adjacent|following|next)\s+(?:\w+\s+)?(?:{FIGURE}|charts?)\b",
    r"\b(?:adjoining|accompanying|attached)\s+(?:\w+\s+)?(?:graphs?|maps?|plots?)\b",
    r"\bfollowing\s+(?:\w+\s+){0,2}(?:graph|network|circuit|clock|tetromino|shape|grid|map)\b(?!\s+of\b)",
    rf"\b(?:the|this|each|these)\s+(?:\w+[ -])?(?:{FIGURE}|charts?|graphs?|maps?)\s+"
    rf"(?:{PLACE}|shows?\b|represents?\b|indicates?\b|illustrates?\b|depicts?\b|gives?\b)",
    r"(?<!be )\bas\s+(?:(?:is|are)\s+)?(?:shown|depicted|illustrated|pictured|drawn|indicated|sketched|labell?ed)\b"
    rf"(?:\s+(?:in|on)\s+(?:the\s+|this\s+)?(?:\w+\s+)?{ANY_PICTURE}\b)?(?!\s+by\b)",
    rf"\b(?:shown|pictured|depicted|illustrated|drawn|sketched)\s+{PLACE}",
    r"(?<!not )\b(?:shown|pictured|depicted)\s*(?:[.,?;:]|$|if\b|with\b|and\b|has\b|have\b|is\b|are\b)",
    rf"\b(?:the|this|these|each|of|two|three|four)\s+(?:[\w$\\{{}}^-]{{1,40}}\s+){{0,3}}?{OBJECT}\s+"
    r"(?:shown|below|pictured|depicted|to the (?:right|left))\b(?!\s+(?:the|it|this|and above)\b)",
    rf"\bbelow\s+(?:is|are)\s+(?:\w+\s+){{1,4}}?{ANY_PICTURE}\b",
    r"\bgraphed below|\bin (?:red|blue|bold) below",
    r"\bthis\s+(?:diagram|figure|drawing|chart)\b|\bon this (?:\w+\s+){0,2}grid\b",
    r"\b(?:un)?shaded\s+(?:[\w$\\-]{1,30}\s+)?(?:region|area|part|portion|square|triangle|section)s?\b|\bis shaded\s*\?",
    r"\b(?:the|this)\s+(?:bar|line|circle|pie|scatter)\s*(?:graph|chart|plot)\b",
    r"\b(?:given|shown|listed|recorded)\s+in\s+(?:the|this)\s+table\b(?!\s*:)|\b(?:the|this)\s+table\s+(?:shows|gives|below|above)\b",
    rf"\baccording to the\s+(?:\w+\s+)?{ANY_PICTURE}\b",
    r"(?:^|[.?!$]\s+)(?:in|from)\s+(?:the|this)\s+(?:picture|drawing|image)\b",
)
# A number on a die or on a slip is shown as well, and a thing may be shown to be so.
NO_POINTER = any_of(
    r"\b(?:numbers?|values?|faces?|digits?|time|cards?|heads|tails|letters?|result|work|can be|could be|was|be)\s+"
    r"(?:\w+\s+){0,2}shown\b",
    r"\bshown (?:up|that|to)\b",
)

# What is said of a picture in passing: the text goes on without it.
PASSING = any_of(
    rf"\([^()]{{0,40}}{ANY_PICTURE}[^()]{{0,40}}\)",
    r",?\s*\bas\s+(?:(?:is|are)\s+)?(?:shown|depicted|illustrated|pictured|drawn|seen)"
    rf"(?:\s+(?:in|by|on)\s+(?:the\s+)?(?:\w+\s+)?{ANY_PICTURE})?(?:\s+{PLACE})?",
)
BESIDE = any_of(
    rf"\b(?:as|see)\s+(?:(?:is|are)\s+)?(?:{SHOWN}\b|in\b|(?:the\s+)?(?:\w+\s+)?{ANY_PICTURE}\b)",
    rf"\((?:see|refer|in|as|shown)?[^()]{{0,25}}{ANY_PICTURE}[^()]{{0,25}}\)",
)
EXAMPLE = any_of(
    r"(?:\b(?:samples?|examples?|instance|one of the|one (?:such|way|possible)\b[^.]{0,20})\b[^.]{0,60}?"
    r"|\bfor example\b[^.]{0,160}?|\bshows one of\b[^.]{0,60}?)"
    rf"\b(?:{SHOWN}|below|{ANY_PICTURE})\b(?:\s+in the (?:\w+\s+)?{ANY_PICTURE})?(?:\s+below)?"
)

# What nobody can guess: which part is shaded, what a graph shows, how things are arranged.
SHADED = r"\b(?:un)?shaded\b(?!\s+\w+\s+(?:that|which|consist|lies|lie|inside|outside|between|is (?:inside|outside|between)))"
OF_A_GRAPH = (
    r"\bgraphs?\b[^.?]{0,80}\b(?:shown|below|above|pictured|depicted|drawn)\b|\b(?:shown|given)\b[^.?]{0,20}\bgraphs?\b"
    r"|\b(?:graph|chart)s?\s+(?:shows?|represents?|indicates?)"
)
DEMAND = any_of(
    SHADED,
    OF_A_GRAPH,
    r"\b(?:numbers?|letters?|arrows?|dots?)\s+(?:represents?|indicates?|shows?)\b|\b(?:they|it) (?:are|is) shown",
    r"\b(?:bar|circle|pie|scatter)\s*(?:graph|chart|plot)s?\b|\bhistogram\b|\bcircuit\b",
    rf"\baccording to the\s+(?:\w+\s+)?{ANY_PICTURE}\b",
    r"\bas (?:indicated|labell?ed|marked)\b|\b(?:indicated|labell?ed|marked)\s+(?:in|on)\s+(?:the|this)\b",
    rf"\bhow many\b[^.?]{{0,80}}\b(?:in|on)\s+(?:the|this)\s+(?:\w+\s+)?(?:{FIGURE}|grid|map)\b|\bon this (?:\w+\s+){{0,2}}grid\b",
    r"\b(?:of|in)\s+(?:the|this)\s+(?:figure|diagram|picture|shape|star|polygon|solid|structure|pattern)\b[^.]{0,40}\?",
    r"\b(?:star|net|spinner|maze|pattern|tree|path|grid|board|sum|puzzle|shape|figure|solid|configuration|stairs?|table"
    r"|scale|arrangement)\s+(?:shown|below|pictured)",
    r"\b(?:given|shown|listed|recorded)\s+in\s+(?:the|this)\s+table\b(?!\s*:)|\btable\s+(?:shows|gives)\b",
)
ARRANGED = any_of(
    r"\b(?:placed|arranged|joined|numbered|connected|constructed)\s+as\s+(?:shown|depicted|pictured|illustrated)\b"
)
SHADING = any_of(r"\b(?:be|get|being|then|randomly)\s+shaded\b", r"\bshad(?:es|ings?)\b")
FORMULA_OF_THE_GRAPH = any_of(r"\b[a-z]\(x[^)]{0,40}\)\s*=")
TABLE = re.compile(
    r"\\begin\s*\{(?:tabular|array|table|[pbv]?matrix)\}|\|\s*-{2,}|^[ \t]*\|[^\n]*\|[^\n]*\|[ \t]*$", re.MULTILINE
)

# What a text gives by itself.
RELATION = any_of(
    r"\b(?:mid-?points?|perpendicular|parallel|square|rectang\w+|equilateral|isosceles|right|regular|inscribed|circumscribed"
    r"|tangent|bisects?|bisectors?|cent(?:er|re)d?|radi(?:us|i)|diameters?|congruent|equal|concentric|semi-?circles?"
    r"|intersects?|meets?|altitude|medians?|similar|trapezoid|parallelogram|rhombus|cube|sphere|cylinder|cone|circles?"
    r"|triangles?|hexagon|pentagon|octagon)\b",
    r"\\(?:perp|parallel|cong|angle|triangle|sim|overline)(?![a-zA-Z])",
)
GIVEN = re.compile(r"=|\\(?:frac|sqrt)(?![a-zA-Z])|(?<![\w\\{^_])\d+(?:\.\d+)?")
LABEL = re.compile(r"(?<![A-Za-z\\])[A-Z](?:'|_\{?\d\}?)?(?:[A-Z](?:'|_\{?\d\}?)?)*(?![a-z])")
QUESTION = any_of(r"\b(?:what|find|determine|compute|calculate|evaluate|how (?:many|much|long))\b")
END_OF_A_SENTENCE = re.compile(r"[.?!]\$?\s+(?=[A-Z$\\])")
