"""The read-only view of the dictionary: look an entry up by any of its names, search, list, export."""

import difflib
import json
import re
from typing import Any

# Importing a room puts its entries into the registry.
from jaxdict import (
    _registry,
    activations,
    augment,
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
    terms,
)
from jaxdict._entry import Entry
from jaxdict.train import observers

ROOMS = (
    activations, losses, metrics, initializers, penalties, noise, normalization, augment, optimizers, schedules,
    observers, layers, models, terms,
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

    Typing errors are forgiven: a word that is nowhere in the dictionary counts as the closest ones that are. Raises
    ValueError for an unknown kind.
    """
    all_ = list(_registry.iterate(kind))
    typed = _words(words)
    if not typed:
        return []
    pages = [_Page(each) for each in all_]
    known = {word for page in pages for word in page.names | page.prose}
    wanted = [_readings(word, known) for word in typed]
    scores = [page.score("".join(typed), wanted) for page in pages]
    ranked = sorted(range(len(pages)), key=lambda i: (-scores[i], i))
    return [all_[i] for i in ranked if scores[i] > 0]


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())  # an underscore parts words, as a hyphen does


def _readings(word: str, known: set[str]) -> dict[str, float]:
    """What ``word`` may stand for, and how surely: itself, words that it begins or is within, else what is like it."""
    found = {each: 1.0 if each == word else 0.9 for each in known if each.startswith(word)}
    if len(word) > 3:
        found |= {each: 0.6 for each in known - found.keys() if word in each}
    if found:
        return found
    alike = difflib.get_close_matches(word, known, n=4, cutoff=0.72)
    return {each: 0.7 * difflib.SequenceMatcher(None, word, each).ratio() for each in alike}


class _Page:
    """The words of an entry, as they are searched."""

    def __init__(self, each: Entry):
        self.words = [_words(name) for name in (each.name, *each.aliases)]
        self.names = {word for words in self.words for word in words}
        said = (each.kind, each.summary, *each.conventions, *each.conventions.values(), *each.sources, *each.errata)
        self.prose = set(_words(" ".join(said)))

    def score(self, phrase: str, wanted: list[dict[str, float]]) -> float:
        """0 for what does not fit; a name in full counts most, then one that is like it, then words one by one."""
        parts = [self._part(readings) for readings in wanted]
        by_words = sum(parts) / len(parts) if parts and all(parts) else 0.0
        return max(by_words, *(_likeness(phrase, words) - (i > 0) for i, words in enumerate(self.words)))

    def _part(self, readings: dict[str, float]) -> float:
        """How well one word fits: 4 where it is in a name, 1 where it is in the prose."""
        in_names = max((sure for word, sure in readings.items() if word in self.names), default=0.0)
        in_prose = max((sure for word, sure in readings.items() if word in self.prose), default=0.0)
        return max(4.0 * in_names, in_prose)


def _likeness(phrase: str, words: list[str]) -> float:
    """How well a phrase without spaces fits a name: 10 in full, 6 to 7 where some of its words begin so."""
    name = "".join(words)
    if phrase == name:
        return 10.0
    if any("".join(words[i:]).startswith(phrase) for i in range(len(words))):
        return 6.0 + len(phrase) / len(name)
    if len(phrase) > 2 and any(phrase in word for word in words):
        return 5.0 + len(phrase) / len(name)
    alike = difflib.SequenceMatcher(None, phrase, name).ratio()
    return 5.0 * alike if alike > 0.7 else 0.0


def to_json(*, kind: str | None = None, indent: int | None = 2) -> str:
    """The dictionary as JSON text: a list of entries with their equations in LaTeX."""
    rows: list[dict[str, Any]] = [each.to_dict() for each in _registry.iterate(kind)]
    return json.dumps(rows, indent=indent, ensure_ascii=False)
