"""Why a table cannot be used, as one sentence: damaged, of another version, or whole but out of reach at the moment.

Only a damaged one may be deleted. What the machine fails at (permissions, memory, a disk, a network) says nothing about
the file, and a table of another version may hold what was dear to make.
"""

from pathlib import Path

from selfdistill.foundation.errors import UserError
from selfdistill.tables.schema import Misfit


class UnusableTable(UserError):
    """The file itself is the reason: its bytes, or its columns."""


def missing_table(path: str | Path) -> UserError:
    return UserError(f"{path}: this table does not exist; ask snakemake for it by name to make it.")


def unreadable_table(path: str | Path, error: BaseException) -> UserError:
    """What to say of a file that polars, pyarrow or its schema refused."""
    if isinstance(error, Misfit):
        return UnusableTable(
            f"{path}: was made by another version of this code ({error}); run again with --forcerun {path}: snakemake makes "
            "it anew, and what journals and work folders hold is not made again."
        )
    if isinstance(error, PermissionError):
        return UserError(f"{path}: may not be read (permission denied); make it readable and run again.")
    if isinstance(error, MemoryError):
        return UserError(f"{path}: there is too little memory to read it; give the job more (mem_mb) and run again.")
    if isinstance(error, OSError) and _of_the_machine(error):
        return UserError(
            f"{path}: could not be read ({error.strerror or error}); see to the disk or the network that it lies on and "
            "run again: the file itself may be whole."
        )
    return UnusableTable(
        f"{path}: this Parquet file cannot be read ({type(error).__name__}); it is damaged: "
        "run again where it lies in a journal, else delete it and run again: journals and work folders keep what they hold."
    )


def _of_the_machine(error: OSError) -> bool:
    """pyarrow also raises OSErrors at damaged bytes, without a number; polars puts the number into the text."""
    return error.errno is not None or "os error" in str(error)
