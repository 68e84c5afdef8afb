"""The report's tables of training: what the filter did, gradient noise, weights changed."""

from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, arm_names
from selfdistill.reporting.numbers.names import numbered
from selfdistill.reporting.select import on_references, runs_in_order, share_correct, total
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words


def filter_audit(inputs: ReportInputs) -> Table | None:
    rows = []
    for arm in arm_names(inputs.study):
        if not (entry := inputs.audits.get(arm)) or on_references(entry):
            continue
        counts = [
            fmt.count(entry.get(key)) for key in ("sampled", "finished", "cut", "looped", "empty", "kept", "used")
        ]
        before, after = entry.get("before") or {}, entry.get("after") or {}
        favour = entry.get("favour") or {}
        rows.append(Row([
            arm, str(entry.get("decode", fmt.MISSING)), str(entry.get("keep", fmt.MISSING)), *counts,
            " → ".join(fmt.percent(share_correct(entry, stage), 0) for stage in ("before", "after")),
            _leaning(favour),
            f"{fmt.count(before.get('mean_tokens'))} → {fmt.count(after.get('mean_tokens'))}",
        ]))  # fmt: skip
    if not rows:
        return None
    columns = ["arm", "sampled with", "keeps", "sampled", "finished", "cut", "looped", "empty", "kept", "used",
               "correct", "filter favours correct by, pp", "mean tokens"]  # fmt: skip
    note = (
        "“Correct” and “mean tokens” go from the sampled to the kept. A cut answer is never correct, so dropping cut answers raises "
        "the share of correct ones without a look at any answer; the table says by how many percentage points, with the 95 % "
        "interval of a percentile bootstrap over the sampled problems."
    )
    return Table("What each arm trained on", columns, [Group(rows)], "arms/*/audit.json", note, frozenset({0, 1, 2}))


def references(inputs: ReportInputs) -> Table | None:
    rows = [
        Row([arm, *(fmt.count(entry[key]) for key in (
            "problems", "without_solution", "too_long", "ends_within", "refused", "kept", "used", "mean_tokens", "most_tokens",
        ))])
        for arm in arm_names(inputs.study)
        if (entry := inputs.audits.get(arm)) and on_references(entry)
    ]  # fmt: skip
    if not rows:
        return None
    columns = ["arm", "training problems", "without a solution", "too long", "end token within", "answer refused", "left", "used",
               "mean tokens", "longest"]  # fmt: skip
    note = (
        "These arms trained on the dataset’s own solutions and on nothing of the model’s own: no sample was drawn for them and no "
        "filter chose. The first problems of the ranking were taken whose solution fits the context, holds no end token before "
        "its end, and has an answer that the grader finds and takes for the problem’s. Other arms took their problems from the "
        "same ranking; which of them is left out differs."
    )
    return Table(
        "The dataset’s own solutions", columns, [Group(rows)], "arms/*/audit.json, problems/references.parquet", note
    )


def right_answers(inputs: ReportInputs) -> Table | None:
    """Of arms that learn right answers alone: to which problems, told what, and how long."""
    rows = [
        Row([
            arm, str(entry.get("decode", fmt.MISSING)), entry["context"] or "nothing",
            fmt.count(entry["problems_with_a_right_answer"][arm]), fmt.count(entry["shared_problems"]), fmt.count(entry["used"]),
            fmt.count(entry["used_profile"]["mean_tokens"]), _matched(entry),
        ])
        for arm in arm_names(inputs.study)
        if (entry := inputs.audits.get(arm)) and "shared_problems" in entry
    ]  # fmt: skip
    if not rows:
        return None
    columns = ["arm", "sampled with", "told", "problems with a right answer", "with one of every arm", "used", "mean tokens",
               "matched in length"]  # fmt: skip
    note = (
        "These arms learn right answers alone, one to each of the same problems, and as many of them: a problem is taken where every "
        "such arm of the decode has a right answer. Whatever a sample was told beside its problem, what is learnt is its completion "
        "behind the bare prompt. An arm that is matched in length takes of each problem the right answer nearest in length to "
        "the other arm’s; the table says how far the means are still apart."
    )
    return Table(
        "Right answers to the same problems", columns, [Group(rows)], "arms/*/audit.json", note, frozenset({0, 1, 2})
    )


def _matched(entry: dict[str, Any]) -> str:
    if not entry.get("length_like"):
        return fmt.MISSING
    return f"like {entry['length_like']}, {fmt.number(entry['mean_length_gap'], 1, signed=True)} tokens"


def _leaning(favour: dict[str, Any]) -> str:
    low, high = favour.get("correctness_difference_low"), favour.get("correctness_difference_high")
    return f"{fmt.points(favour.get('correctness_difference'))} {fmt.interval(low, high, 1, scale=100)}".strip()


def soft_targets(inputs: ReportInputs) -> Table | None:
    rows = [
        Row([
            arm, fmt.count(said["tokens"]), fmt.number(said["mean_retained"]), fmt.count(said["largest_retained"]),
            fmt.number(said["loss_floor"], 4), fmt.percent(said["mean_sampled_probability"]), fmt.count(said["outside"]),
        ])
        for arm, said in inputs.targets.items()
    ]  # fmt: skip
    if not rows:
        return None
    columns = ["arm", "tokens", "retained per token", "most retained", "loss floor, nats per token",
               "probability of the sampled token", "sampled tokens not retained"]  # fmt: skip
    note = (
        "At each token these arms learn the base's whole distribution, not the one token that was drawn. Their loss cannot fall "
        "below the entropy of that distribution. Where a sampled token is not retained, two programs broke a near-tie "
        "differently."
    )
    return Table("Soft targets", columns, [Group(rows)], "arms/*/targets.json", note)


def exports_checked(inputs: ReportInputs) -> Table | None:
    """How far the sampling engine's log-probabilities were from the trainer's, of each run's worst checkpoint."""
    rows = []
    for run, check in inputs.export_checks.items():
        checkpoints = list(check["checkpoints"].values())
        largest, mean = (max(checkpoint[name] for checkpoint in checkpoints) for name in ("largest", "mean"))
        rows.append(Row([
            run, f"{check['engine']} {check['version']}", str(check["dtype"]), fmt.count(len(checkpoints)),
            fmt.count(sum(checkpoint["tokens"] for checkpoint in checkpoints)), fmt.significant(largest, 2),
            fmt.significant(mean, 2), fmt.significant(min(checkpoint["limit"] for checkpoint in checkpoints), 2),
        ]))  # fmt: skip
    if not rows:
        return None
    columns = ["run", "engine", "precision", "checkpoints", "tokens", "largest difference", "mean", "limit"]
    note = (
        "The sampling engine loaded each exported checkpoint and computed the log-probabilities of a few training examples. The "
        "table says how far these lie from those of the trainer's own model, in nats, for the worst checkpoint of each run. "
        "Above the limit the study stops before it samples anything."
    )
    return Table(
        "Checkpoints as the sampling engine reads them", columns, [Group(rows)], "runs/*/*/export_check.json", note,
        frozenset({0, 1, 2}),
    )  # fmt: skip


def gradient_noise(inputs: ReportInputs) -> Table | None:
    summary = total(inputs.noise_summary)
    if summary is None:
        return None
    rows = []
    for run in runs_in_order(inputs, summary):
        for row in summary.filter((pl.col("run") == run) & (pl.col("window") == words.WHOLE_RUN)).to_dicts()[:1]:
            low, high = row["signal_fraction_low"], row["signal_fraction_high"]
            rows.append(Row([
                run, fmt.count(row["steps"]), _noise(fmt.significant(row["signal"]), row, "signal"),
                _noise(fmt.significant(row["trace_per_sequence"]), row, "trace_per_sequence"),
                _noise(f"{fmt.percent(row['signal_fraction'])} {fmt.percent_interval(low, high)}", row, "signal_fraction"),
                _noise(noise_scale_in_words(row), row, "noise_scale"), fmt.count(row["sequences"]),
                _noise(fmt.count(row["detection_limit"]), row, "detection_limit"), _adam_share(inputs, run),
                "not positive" if row["two_batch_noise_scale"] is None else fmt.count(row["two_batch_noise_scale"]),
            ]))  # fmt: skip
    columns = ["run", "steps", "signal |G|²", "noise tr Σ per sequence", "share of |g|² that is signal",
               "noise scale, sequences", "batch", "detection limit", "share in Adam's norm", "two-batch scale"]  # fmt: skip
    note = (
        "|G|² and tr Σ are pooled as sums over steps before any ratio is taken, from gradients before clipping. The "
        "95 % interval belongs to |G|²/tr Σ, and the noise scale inverts it: where it reaches zero the scale has no upper "
        "bound. A scale of the detection limit is told from no signal with 80 % power, a smaller one with more. Norms are "
        "Euclidean; the column of Adam's norm weighs each coordinate as Adam does, Σ g²/√v̂, at the few steps where that was measured. The last "
        "column is the usual estimate from the same log: mean norms of micro-batches' own gradients and of steps, as if all "
        "sequences were equally long. It has no interval, and unequal lengths can bias it several times over."
    )
    return Table("Signal and noise over the whole run", columns, [Group(rows)], "analysis/noise_summary.parquet", note)


def _noise(cell: str, row: dict[str, Any], column: str) -> str:
    return numbered(cell, "noise_summary", row, column)


def _adam_share(inputs: ReportInputs, run: str) -> str:
    summary = total(inputs.noise_summary, words.ADAM)
    rows = (
        []
        if summary is None
        else summary.filter((pl.col("run") == run) & (pl.col("window") == words.WHOLE_RUN)).to_dicts()
    )
    if not rows:
        return fmt.MISSING
    low, high = rows[0]["signal_fraction_low"], rows[0]["signal_fraction_high"]
    return _noise(
        f"{fmt.percent(rows[0]['signal_fraction'])} {fmt.percent_interval(low, high)}", rows[0], "signal_fraction"
    )


def noise_scale_in_words(row: dict[str, Any]) -> str:
    if row.get("noise_scale_text"):
        return str(row["noise_scale_text"])
    low, high = row.get("noise_scale_low"), row.get("noise_scale_high")
    if row.get("noise_scale") is None or high is None:
        return f"at least {fmt.count(low)}, unbounded above"
    return f"{fmt.count(row['noise_scale'])} {fmt.interval(low, high, 0)}"


def weights_changed(inputs: ReportInputs) -> Table | None:
    table = total(inputs.weight_change)
    if table is None:
        return None
    rows = []
    for run in runs_in_order(inputs, table):
        here = table.filter(pl.col("run") == run).sort("step")
        last = here.row(-1, named=True)
        shares = pl.col("changed_fraction", "predicted_fraction", "changed_to_predicted", "kept_in_bf16")
        middle = here.select(shares.median()).row(0)
        rows.append(Row([
            run, fmt.count(last["weights"]), fmt.percent(middle[0]), fmt.percent(middle[1]), fmt.number(middle[2]),
            fmt.percent(middle[3]), fmt.percent(last["changed_since_start_fraction"]),
            fmt.significant(last["relative_distance"]), _coherence(inputs, run),
        ]))  # fmt: skip
    columns = ["run", "weights", "changed in a step", "predicted", "seen / predicted", "bf16 weights would keep",
               "changed since base", "distance / norm", "coherence (of noise)"]  # fmt: skip
    note = (
        "Medians over steps; the last three columns describe the end of training. “bf16 weights would keep” is the share of an "
        "update's squared norm that would survive if the weights were kept in bf16. Coherence is |θ − θ₀|² / Σ|Δθ|² over the "
        "longest window of steps; brackets give its value for steps of pure noise under momentum. Far above that value, the "
        "steps agree."
    )
    return Table(
        "Weights changed, as bfloat16 sees them", columns, [Group(rows)], "analysis/weight_change.parquet", note
    )


def _coherence(inputs: ReportInputs, run: str) -> str:
    table = total(inputs.coherence)
    windows = None if table is None else table.filter(pl.col("run") == run).sort("steps", "last_step")
    if windows is None or windows.is_empty():
        return fmt.MISSING
    longest = windows.row(-1, named=True)
    cell = f"{fmt.number(longest['coherence'], 1)} ({fmt.number(longest['of_noise'], 1)}) over {fmt.plural(longest['steps'], 'step')}"
    return numbered(cell, "coherence", longest, "coherence")
