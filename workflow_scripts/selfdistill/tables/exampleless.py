"""Columns of which no study behind the page of tables has an example, and why: what a reader is told in its place."""

LEVEL = "a level has no other side"
ELSEWHERE = "filled in the table of comparisons alone"
POOLED = "of all trainings of the arm"
UNRESOLVED = "so few sequences resolve no signal"
UNCOUNTED = "these studies look for no counting loops"
UNPLUGGED = "no study that comes with the project has a plugin"
REFUSED = "the judge of that study cannot judge"

WHY: dict[str, dict[str, str]] = {
    "sampling.GRADED": dict.fromkeys(("counter_start", "counter_period", "counter_repeats"), UNCOUNTED),
    "analysis.ESTIMATES": dict.fromkeys(("against", "against_decode_id", "p_value", "p_adjusted"), LEVEL),
    "analysis.SOLVING": {
        **dict.fromkeys(("against", "against_decode_id", "p_value", "p_adjusted"), LEVEL),
        "training_seed": POOLED,
    },
    "analysis.EFFECTS": {"training_seed": POOLED},
    "analysis.DIFFICULTY": {
        **dict.fromkeys(("leads", "correlation", "level", "against_level", "boxed_rate", "against_boxed_rate"), ELSEWHERE),
        **dict.fromkeys(("chosen", "against_chosen", "band_low", "band_high"), ELSEWHERE),
        "training_seed": POOLED,
    },
    "analysis.GRADER": {
        **dict.fromkeys(("leads", "correlation", "boxed_rate", "against_boxed_rate", "p_adjusted"), ELSEWHERE),
        **dict.fromkeys(("chosen", "against_chosen", "band_low", "band_high"), ELSEWHERE),
        "training_seed": POOLED,
    },
    "analysis.PLUGGED": dict.fromkeys(("analysis", "digest", "row", "column", "text", "number", "whole"), UNPLUGGED),
    "doubt.DOUBT": {"without": "words are left out of ratios alone"},
    "mechanism.NOISE_PROBE": dict.fromkeys(
        ("square_share_low", "square_share_high", "signal_share_low", "signal_share_high", "noise_scale_high"), UNRESOLVED
    ),
    "mechanism.BRANCHES": {"seed": "every row is over all orders of the data"},
    "ladder.LADDER_TESTS": {"against": "the ladder of that study has one climber"},
    "annotation.JUDGEMENTS": dict.fromkeys(("counts", "judged"), REFUSED),
}  # fmt: skip
