"""A check asks one thing of what is examined; what it finds broken is a sentence."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import in_a_line


class Broken(AssertionError):
    """What of its contract something does not keep."""


class NotAsked(Exception):
    """What a check rests on is lacking, as another check has told."""


class Found(NamedTuple):
    claim: str
    broken: str | None  # None where it holds, and where it was not asked
    not_asked: str | None = None  # why


Watch = Callable[[str], AbstractContextManager[None]]  # around the asking of a claim


def unwatched(_claim: str) -> AbstractContextManager[None]:
    return nullcontext()


def require(holds: object, sentence: str) -> None:
    if not holds:
        raise Broken(sentence)


def examined(checks: Mapping[str, Callable[..., None]], *subject: Any, watch: Watch = unwatched) -> Iterator[Found]:
    """Every check by itself, so that all that is broken is told at once. An error of what is examined is its own."""
    for claim, check in checks.items():
        try:
            with watch(claim):
                check(*subject)
        except NotAsked as lacking:
            yield Found(claim, None, str(lacking))
        except (Broken, UserError) as broken:
            yield Found(claim, str(broken))
        except (Exception, SystemExit) as error:
            yield Found(claim, f"it raises {in_a_line(error)}")
        else:
            yield Found(claim, None)
