"""What must not leave this machine: secrets, and the paths that its folders have. Looked for in every text, and in tables.

A secret is the value of a variable of the environment that is named like one, or a text with the shape of a token. What a
secret is is never repeated; where it stands is.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.publishing.members import Kind, Member, read_text
from selfdistill.tables.faults import unreadable_table

SECRET_NAMES = re.compile(r"(^|_)(TOKEN|KEY|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)(_|$)|APIKEY", re.IGNORECASE)
SHORTEST = 8  # characters of a secret: shorter values stand in many texts by chance
SHAPES = {
    "a token of the Hugging Face hub": r"\bhf_[A-Za-z0-9]{30,}",
    "a key of OpenAI's kind": r"\bsk-[A-Za-z0-9_-]{24,}",
    "a token of GitHub": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})",
    "a token of GitLab": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "a key of AWS": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a key of Google": r"\bAIza[A-Za-z0-9_-]{35}",
    "a token of Slack": r"\bxox[abprs]-[A-Za-z0-9-]{20,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a signed token": r"\beyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{16,}\.",
    "a password in an address": r"\b[a-z][a-z0-9+.-]*://[^\s/:@\"']+:[^\s/:@\"']{3,}@",
}
SHAPE = re.compile("|".join(f"(?P<shape{number}>{shape})" for number, shape in enumerate(SHAPES.values())))
# Where machines keep what is theirs or a person's. Models write other paths, too, and those say nothing of this machine.
PLACES = (
    "home|root|Users|tmp|scratch|work|mnt|media|data|gpfs|lustre|nfs|srv|opt|var|workspace|private|cluster|projects?"
)
KNOWN_PLACE = re.compile(
    rf"(?<![\w.:/~*-])/(?:{PLACES})/[\w.@+-]+[^\s\"'<>,;)]*|\b[A-Za-z]:\\+Users\\+[\w.-]+|\bfile://[\w./-]+"
)
ANY_PATH = re.compile(r"(?:(?<=[\s\"'=\[(,:])|^)/(?:[\w.@+-]+/)+[\w.@+-]*")
TEXTS = {
    ".json", ".jsonl", ".yaml", ".yml", ".csv", ".tsv", ".svg", ".html", ".md", ".txt", ".lock", ".cff", ".toml", ".in", ".py", ".smk",
    ".j2", ".jinja", ".css", ".def", "",
}  # fmt: skip


def refuse_leaks(
    members: Iterable[Member], allowed: Iterable[str] = (), environment: Mapping[str, str] | None = None
) -> None:
    """All that was found at once, each with its file and line. `allowed`: paths that a person looked at."""
    search = Search(environment=os.environ if environment is None else environment, allowed=tuple(allowed))
    found = [sentence for member in members for sentence in search.of(member)]
    if found:
        shown = "\n".join(dict.fromkeys(found[:20]))
        more = f"\n… and {len(found) - 20} more" if len(found) > 20 else ""
        raise UserError(f"{shown}{more}\nNothing was written.")


class Search:
    def __init__(self, environment: Mapping[str, str], allowed: tuple[str, ...] = ()) -> None:
        self.secrets = {
            value.strip(): name
            for name, value in environment.items()
            if SECRET_NAMES.search(name) and len(value.strip()) >= SHORTEST and not Path(value).is_absolute()
        }
        self.allowed = allowed
        here = os.path.realpath(".")
        self.here = re.compile(re.escape(here) + r"(?![\w.-])") if here.count("/") > 1 else None

    def of(self, member: Member) -> Iterator[str]:
        name = Path(member.name)
        if name.suffix == ".parquet" and member.source:
            yield from self._of_table(member, member.source)
        elif name.suffix in TEXTS:
            text = member.text if member.source is None else read_text(member.source)
            for number, line in enumerate(text.splitlines(), 1):
                for sentence in self._of_line(line, member.kind):
                    yield f"{member.place}:{number}: {sentence}"

    def _of_table(self, member: Member, source: Path) -> Iterator[str]:
        """Secrets, and this project's own folder; other paths are what models and datasets wrote."""
        try:
            strings = [name for name, dtype in pl.read_parquet_schema(source).items() if dtype == pl.String]
            for column in strings:
                values = (
                    pl.scan_parquet(source)
                    .select(row=pl.int_range(pl.len()), value=column)
                    .filter(self._suspect())
                    .collect()
                )
                for row, value in values.iter_rows():
                    for sentence in self._of_line(value, Kind.FOREIGN):
                        yield f"{member.place}: row {row}, column {column}: {sentence}"
        except pl.exceptions.PolarsError as error:
            raise unreadable_table(source, error) from error
        except OSError as error:
            raise unreadable_table(source, error) from error

    def _suspect(self) -> pl.Expr:
        """Which values are worth a look, found where the table lies: of a million completions hardly one is."""
        words = [*self.secrets, *([os.path.realpath(".")] if self.here else [])]
        shape = pl.col("value").str.contains("|".join(SHAPES.values()))
        return pl.any_horizontal(shape, *(pl.col("value").str.contains(word, literal=True) for word in words))

    def _of_line(self, line: str, kind: Kind) -> Iterator[str]:
        for secret, name in self.secrets.items():
            if secret in line:
                yield f"holds the value of the variable {name}; a secret does not belong there: remove it, and make a new one."
        if shape := SHAPE.search(line):
            yield f"holds what looks like {list(SHAPES)[int(str(shape.lastgroup).removeprefix('shape'))]}; remove it, and make a new one if it is real."
        for path in self._paths(line, kind):
            yield f"holds a path of this machine, {path!r}; name it from the project's folder, or say --allow {path} if it may be read."

    def _paths(self, line: str, kind: Kind) -> Iterator[str]:
        patterns = {Kind.OURS: (KNOWN_PLACE, ANY_PATH), Kind.QUOTES: (KNOWN_PLACE,), Kind.PLUGIN: (KNOWN_PLACE,)}.get(
            kind, ()
        )
        found = [match.group() for pattern in (*patterns, self.here) if pattern for match in pattern.finditer(line)]
        yield from (path for path in dict.fromkeys(found) if not any(path.startswith(each) for each in self.allowed))
