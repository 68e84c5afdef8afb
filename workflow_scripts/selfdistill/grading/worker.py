"""A process that judges answers for `processes.py`: a JSON list a line in, a JSON text a line out.

`["parse", gold]` answers "parsed" or "unparsed"; `["strict", gold, answer]`, "careful" and "lenient" answer a reason. It is a program of its
own, not a multiprocessing child, because a child would run the rule's script a second time to import it.
"""

import contextlib
import faulthandler
import json
import os
import resource
import sys
from collections.abc import Callable

from selfdistill.tables.endings import GRADER_FAILED

MEMORY = 2 * 2**30  # resident bytes, within what the rule asks for, beyond which the parent kills it
START_SECONDS = 300


def main(seconds: float, memory: int) -> None:
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    # Below this limit memory never runs out, for math-verify takes a MemoryError for a no. It stops what wants
    # everything at once, faster than the parent looks.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (2 * memory, resource.RLIM_INFINITY))
    from selfdistill.grading import judge
    from selfdistill.grading.reading import compare

    acts: dict[str, Callable[..., str]] = {
        "strict": compare.compare,
        "careful": judge.careful,
        "lenient": judge.lenient,
        "parse": lambda gold: judge.readable(gold) if (said := compare.readable(gold)) == "unread" else said,
    }

    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):  # libraries that print must not speak into the replies or fill the log
        os.dup2(silence, descriptor)
    with open(os.devnull, "w") as nowhere:
        replies.write('"ready"\n')
        for line in sys.stdin:
            # The parent kills a worker that is late; this ends one whose parent is gone. It needs no interpreter lock.
            faulthandler.dump_traceback_later(2 * seconds + 5, exit=True, file=nowhere)
            act, *texts = json.loads(line)
            try:
                reply = acts[act](*texts)
            except (Exception, RecursionError, MemoryError):  # ours, and nothing about the answer
                reply = GRADER_FAILED
            faulthandler.cancel_dump_traceback_later()
            replies.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
