"""How a program begins to load what is large, and how it or a rule's script ends: a user's mistake is one sentence, ours is a
full traceback, Ctrl-C is neither."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import raised_in


def as_program(main: Callable[[], None]) -> None:
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except SystemExit as ended:
        if not ended.code and (file := raised_in(ended)):
            sys.exit(f"error: plugins: {file} ends the program (SystemExit) before its work is done; mend it.")
        raise
    except KeyboardInterrupt:
        sys.exit("stopped; what is finished is kept: run the same command again to go on")


def as_rule(main: Callable[[], None], log: str) -> None:
    """The same for a rule's script: everything said, tracebacks included, goes to the rule's log."""
    with open(log, "w") as handle:
        os.dup2(handle.fileno(), sys.stderr.fileno())
        as_program(main)


@contextmanager
def loading() -> Iterator[None]:
    """While torch and what rests on it are imported, nothing is looked through for garbage: of a million new objects none is,
    and looking takes a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
