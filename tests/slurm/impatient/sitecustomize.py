"""Lies on the path of the tests' drivers: Snakemake looks at its jobs every two seconds at most.

Its own pauses of ten seconds and more, which grow, are for queues of hours; here they would be most of the tests' time.
"""

import sys
from pathlib import Path

if Path(sys.argv[0]).name == "snakemake":  # the driver; its jobs are started as `python -m snakemake`
    from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

    pause = RemoteExecutor.next_seconds_between_status_checks
    RemoteExecutor.next_seconds_between_status_checks = property(
        pause.fget, lambda executor, seconds: pause.fset(executor, min(seconds, 2))
    )
