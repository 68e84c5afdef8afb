"""Whether the state of Slurm jobs can be seen at all, asked before the first is submitted.

Snakemake learns from `squeue` or `sacct` that a job has ended. A squeue that forgets too early and a sacct whose database
does not answer say nothing, and a run then waits for ever without a word. Better one sentence at the start.
"""

import re
import shutil
import subprocess

from selfdistill.foundation.errors import UserError

LONGEST_PAUSE = 180  # seconds between two looks at the jobs, at most; the executor's own
REMEMBERED = LONGEST_PAUSE + 20  # how long squeue must show an ended job, so that no look misses it
PROFILE = "profiles/slurm/profile.yaml"


def refuse_blind_status(command: str | None) -> None:
    """`command` is the one that the profile or the command line names: squeue or sacct."""
    remembered = min_job_age()
    if command == "squeue":
        if remembered < REMEMBERED and accounts_answer():
            raise UserError(
                f"{PROFILE}: squeue forgets jobs {remembered} s after their end here, too early to follow them; "
                "set `slurm-status-command: sacct`."
            )
        if remembered < REMEMBERED:
            raise UserError(
                f"Slurm: squeue forgets jobs {remembered} s after their end and sacct does not answer, so nobody can tell "
                f"when a job has ended; ask the site for MinJobAge of {REMEMBERED} or more, or for accounting."
            )
    elif shutil.which("sacct") and not accounts_answer():
        raise UserError(f"{PROFILE}: sacct does not answer here; set `slurm-status-command: squeue`.")


def min_job_age() -> int:
    """Seconds for which squeue shows a job that has ended."""
    said = _ask("scontrol", "show", "config")
    found = re.search(r"^MinJobAge\s*=\s*(\d+)", said or "", re.MULTILINE)
    if found is None:
        raise UserError("Slurm: `scontrol show config` does not answer; is this a machine that may submit jobs?")
    return int(found.group(1))


def accounts_answer() -> bool:
    return _ask("sacct", "--noheader", "--allocations") is not None


def _ask(*command: str) -> str | None:
    """What a command says, or nothing where it fails, is not there, or takes longer than a person waits."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
