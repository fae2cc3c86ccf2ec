"""The read-only view of the dictionary: look an entry up by any of its names, search, list, export."""

import difflib
import json
from typing import Any

# Importing a room puts its entries into the registry.
from jaxdict import (
    _check,
    _registry,
    activations,
    initializers,
    layers,
    losses,
    metrics,
    models,
    noise,
    normalization,
    optimizers,
    penalties,
    schedules,
)
from jaxdict._entry import Entry
from jaxdict.train import observers

ROOMS = (
    activations, losses, metrics, initializers, penalties, noise, normalization, optimizers, schedules, observers,
    layers, models,
)  # fmt: skip
KINDS = _registry.KINDS


def lookup(name: str, *, kind: str | None = None) -> Entry:
    """The entry called ``name``, by name or alias; case, spaces, hyphens and underscores do not matter.

    Args:
      name: for example ``"GELU"``, ``"Kaiming normal"``.
      kind: one of ``KINDS``; without it a name that several kinds hold means the first in the order of ``KINDS``.

    Raises:
      KeyError: no such entry; the message names the closest ones.
      ValueError: no such kind.
    """
    return _registry.find(name, kind)


def entries(*, kind: str | None = None) -> list[Entry]:
    """All entries, or those of one kind, in the order of kinds and definition; ValueError for an unknown kind."""
    return list(_registry.iterate(kind))


def search(words: str, *, kind: str | None = None) -> list[Entry]:
    """The entries that ``words`` may mean, best first: by name, alias, then by what is said about them.

    Typing errors in names are forgiven. Raises ValueError for an unknown kind.
    """
    wanted = [_check.fold(w) for w in words.split()]
    folded = _check.fold(words)
    scored = []
    for position, each in enumerate(_registry.iterate(kind)):
        score = _score(each, folded, wanted)
        if score > 0:
            scored.append((-score, position, each))
    return [each for _, _, each in sorted(scored, key=lambda row: row[:2])]


def _score(each: Entry, folded: str, words: list[str]) -> float:
    names = [_check.fold(n) for n in (each.name, *each.aliases)]
    if not folded:
        return 0.0
    if folded in names:
        return 10.0
    score = 0.0
    if any(folded in n for n in names):
        score = max(score, 6.0 + max(len(folded) / len(n) for n in names if folded in n))
    likeness = max(difflib.SequenceMatcher(None, folded, n).ratio() for n in names)
    if likeness > 0.7:
        score = max(score, 5.0 * likeness)
    prose = _check.fold(" ".join((each.kind, each.summary, *each.conventions.values(), *each.sources, *each.errata)))
    found = [any(w in n for n in names) * 2.0 or float(w in prose) for w in words]
    return max(score, sum(found) / len(found) * 2 if all(found) else 0.0)


def to_json(*, kind: str | None = None, indent: int | None = 2) -> str:
    """The dictionary as JSON text: a list of entries with their equations in LaTeX."""
    rows: list[dict[str, Any]] = [each.to_dict() for each in _registry.iterate(kind)]
    return json.dumps(rows, indent=indent, ensure_ascii=False)
