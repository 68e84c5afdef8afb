"""Section `mechanism`: probes of next-token laws, what they are sorted into, and what else is measured on them."""

from pydantic import Field

from selfdistill.study.doubt import MARKERS
from selfdistill.study.section import Name, Section, Share


class Positions(Section):
    """Which positions of a carrier are probed; one that several of these name is probed once."""

    regular: int = Field(16, ge=0, description="Positions at even distances.")
    random: int = Field(16, ge=0, description="Positions drawn at random.")
    heuristic: int = Field(
        32, ge=0, description="Positions in boxes, at line starts, where words of doubt begin, and after them; at most."
    )


class Classes(Section):
    """Classes of tokens by the base's law at temperature 1, before any decode. A lock has one likely token; a fork has
    several, and little mass beyond the decode's kept set; a diffuse position has much beyond it; the rest is mixed."""

    lock_top: Share = Field(0.95, description="Smallest probability of the likeliest token of a lock.")
    fork_top: Share = Field(0.95, description="Largest probability of the likeliest token of a fork.")
    fork_second: Share = Field(0.05, description="Smallest probability of the second token of a fork.")
    fork_tail: Share = Field(0.1, description="Largest mass beyond the kept set at a fork.")
    diffuse_tail: Share = Field(0.2, description="Smallest mass beyond the kept set at a diffuse position.")
    least: int = Field(30, ge=2, description="Positions that a row needs for an interval.")


class Depth(Section):
    """The layer from which on the next-token law, read through the final norm and head, stays near the last layer's. Torch
    engine only."""

    distance: Share = Field(
        0.5,
        description="Largest Jensen–Shannon divergence (in bits, 0 to 1; not its root) from the last layer's law that counts as settled.",
    )


class NoiseProbe(Section):
    """Per-sequence gradients at frozen checkpoints."""

    sequences: int = Field(256, ge=8, description="Training examples whose gradients are taken, one each.")
    checkpoints: list[int] = Field([0, 100], description="Percent of training; 0 is the base.")
    sketch: int = Field(65536, ge=1024, description="Numbers that a gradient is folded into.")
    arms: list[Name] = Field([], description="Arms that are probed; without any, those that are trained.")


class Branches(Section):
    """Short trainings from one model at several batch sizes, with the learning rate by the square root of the batch."""

    arm: Name = Field(description="Arm whose examples and settings are taken.")
    batches: list[int] = Field(min_length=2, description="Batch sizes, in examples.")
    examples: int = Field(gt=0, description="Examples that each branch is shown.")
    held_out: int = Field(64, ge=8, description="Examples that the loss is measured on, shown to no branch.")
    seeds: list[int] = Field([0, 1000, 2000], min_length=2, description="Data orders of each batch size.")


class Mechanism(Section):
    """Left out, nothing is probed. Texts of the base and of finished models are read by all of them, and their laws at
    chosen positions are kept."""

    carriers: int = Field(48, ge=2, description="Texts that are probed, as many of the base as of trained models.")
    decode: Name = Field(description="Decode by which the carriers were sampled.")
    positions: Positions = Field(Positions(), description="Which positions of a text are probed, at most.")
    strips: int = Field(2, ge=0, description="Carriers of which every token is probed and shown in the report.")
    top: int = Field(256, ge=20, description="Tokens of a law that are kept, the likeliest.")
    arms: list[Name] = Field(
        [], description="Arms whose finished models are probed; without any, all that are trained."
    )
    temperatures: list[float] = Field(
        [0.4, 0.7, 1.0, 1.4, 2.0], min_length=1, description="Temperatures of the curves of survivors and of entropy."
    )
    doubt: list[str] = Field(MARKERS, min_length=1, description="Words of doubt, whole words in any case.")
    classes: Classes = Field(Classes(), description="Which laws are locks, forks and diffuse positions.")
    depth: Depth | None = Field(None, description="Depth of a thought.")
    noise: NoiseProbe | None = Field(None, description="Gradient noise at frozen checkpoints.")
    branches: Branches | None = Field(None, description="Short trainings at several batch sizes.")
