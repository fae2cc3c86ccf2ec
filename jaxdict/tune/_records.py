"""Records of trials, one JSON line each, so that a search that was broken off goes on, and parts come together."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

Record = dict[str, Any]


class Trial(NamedTuple):
    """One run of a search, by numbers from 0: of the candidate, the fold and the seed."""

    candidate: int
    fold: int
    seed: int


def trial_of(record: Record) -> Trial:
    """The trial that a record is of."""
    return Trial(record["candidate"], record["fold"], record["seed"])


class Records:
    """A file of records, or none where ``path`` is None: what is in it, and what is added line by line."""

    def __init__(self, path: str | os.PathLike | None, identity: Record):
        self.path = None if path is None else Path(path)
        self.held: list[Record] = []
        self._first: Record | None = identity  # what is to be written yet, before the first record
        if self.path is not None and self.path.exists() and self.path.stat().st_size:
            found, self.held = _read(self.path)
            for name in identity:
                if found.get(name) != identity[name]:
                    was, now = found.get(name), identity[name]
                    raise ValueError(f"{self.path} holds another search: {name} was {was!r} and is {now!r} now")
            _cut_torn(self.path)
            self._first = None

    def add(self, record: Record) -> None:
        """Keep a record; in the file before this returns, whatever happens next."""
        self.held.append(record)
        if self.path is None:
            return
        if self._first is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._append(self._first)
            self._first = None
        self._append(record)

    def _append(self, record: Record) -> None:
        assert self.path is not None
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())


def merged(paths: Iterable[str | os.PathLike]) -> tuple[Record, list[Record]]:
    """The identity and the records of the parts of one search; ValueError where they are of different ones."""
    identity: Record = {}
    records: list[Record] = []
    for path in paths:
        found, more = _read(Path(path))
        for name in identity or found:
            if identity and found.get(name) != identity[name]:
                raise ValueError(f"{path} holds another search: {name} is {found.get(name)!r}, not {identity[name]!r}")
        identity = found
        records += more
    if not identity:
        raise ValueError("give at least one file of records")
    return identity, records


def _read(path: Path) -> tuple[Record, list[Record]]:
    lines = list(_whole(path))
    if not lines or lines[0].get("kind") != "search":
        raise ValueError(f"{path} holds no records of a search")
    return lines[0], lines[1:]


def _whole(path: Path) -> Iterator[Record]:
    """The lines that were written to their end; a last one may be torn where a process was killed."""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            return
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            raise ValueError(f"{path} holds no records of a search") from None


def _cut_torn(path: Path) -> None:
    """Take a torn last line away, so that the next does not continue it."""
    text = path.read_bytes()
    end = text.rfind(b"\n") + 1
    if end < len(text):
        os.truncate(path, end)
