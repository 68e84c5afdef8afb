"""Which arms of a study are the four cells of its 2×2: {SSD decode | plain decode} × {finished | everything}."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from selfdistill.study.arms import Arm
from selfdistill.study.sampling import Decode

KEEPS = ("finished", "everything")


@dataclass(frozen=True)
class Factorial:
    """Which arm is which cell."""

    ssd_finished: str
    ssd_everything: str
    plain_finished: str
    plain_everything: str

    @property
    def arms(self) -> tuple[str, str, str, str]:
        return self.ssd_finished, self.ssd_everything, self.plain_finished, self.plain_everything

    @property
    def by_decode(self) -> tuple[dict[str, str], dict[str, str]]:
        """What was kept → arm: first of the SSD decode, then of the plain one."""
        ssd, plain = self.arms[:2], self.arms[2:]
        return dict(zip(KEEPS, ssd, strict=True)), dict(zip(KEEPS, plain, strict=True))


def factorial_cells(arms: Mapping[str, Arm], decodes: Mapping[str, Decode]) -> Factorial | None:
    """The cells, when exactly two training decodes, one of them plain, were trained on with and without the filter."""
    trained: dict[tuple[str | None, str | None], str] = {
        (arm.decode, arm.keep): name
        for name, arm in arms.items()
        if arm.drawn_by and arm.targets == "sampled" and not arm.training
    }
    crossed = [d for d in dict.fromkeys(d for d, _ in trained) if d and all((d, keep) in trained for keep in KEEPS)]
    plain = next((decode for decode in crossed if is_plain(decodes[decode])), None)
    if len(crossed) != 2 or plain is None:
        return None
    ssd = next(decode for decode in crossed if decode != plain)
    return Factorial(*(trained[decode, keep] for decode, keep in product((ssd, plain), KEEPS)))


def is_plain(decode: Decode) -> bool:
    """The model's own distribution: temperature 1 and nothing cut away."""
    off = (decode.top_k, decode.top_p, decode.min_p, decode.presence_penalty)
    return decode.temperature == 1 and off == (0, 1, 0, 0)
