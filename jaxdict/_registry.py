"""Names to entries. Names and aliases are compared without case, spaces, hyphens and underscores."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from jaxdict import _check

if TYPE_CHECKING:
    from jaxdict._entry import Entry

# A name that several kinds hold means the first of them in this order.
KINDS = (
    "activation", "loss", "metric", "distribution", "initializer", "penalty", "noise", "normalization",
    "augmentation", "optimizer", "schedule", "observer", "layer", "model", "term",
)  # fmt: skip

_entries: dict[str, dict[str, "Entry"]] = {kind: {} for kind in KINDS}
_names: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}  # kind -> folded name or alias -> name


def add(entry: "Entry") -> None:
    """Register ``entry``; ValueError when its kind is unknown or a name of it is taken by another of its kind."""
    _check.one_of("kind", entry.kind, KINDS)
    names = _names[entry.kind]
    for name in (entry.name, *entry.aliases):
        holder = names.get(_check.fold(name))
        if holder is not None and holder != entry.name:
            raise ValueError(f"{entry.kind} {entry.name!r}: the name {name!r} is taken by {holder!r}")
    for name in (entry.name, *entry.aliases):
        names[_check.fold(name)] = entry.name
    _entries[entry.kind][entry.name] = entry


def iterate(kind: str | None = None) -> Iterator["Entry"]:
    """All entries in the order of kinds and definition, or those of one kind; ValueError for an unknown kind."""
    if kind is not None:
        _check.one_of("kind", kind, KINDS)
    for each in KINDS:
        if kind in (None, each):
            yield from _entries[each].values()


def known_names(kind: str | None = None) -> list[str]:
    """Every name and alias of one kind, or of all."""
    return [name for e in iterate(kind) for name in (e.name, *e.aliases)]


def find(name: str, kind: str | None = None) -> "Entry":
    """The entry called ``name``; KeyError with the closest names when there is none."""
    if not isinstance(name, str):
        raise TypeError(f"a name must be a string; got {name!r}")
    if kind is not None:
        _check.one_of("kind", kind, KINDS)
    folded = _check.fold(name)
    for each in KINDS:
        if kind in (None, each) and folded in _names[each]:
            return _entries[each][_names[each][folded]]
    for each in KINDS:  # "penalty l1" is the l1 among the penalties
        if kind in (None, each) and folded.startswith(each) and folded[len(each) :] in _names[each]:
            return _entries[each][_names[each][folded[len(each) :]]]
    raise UnknownName(f"no {kind or 'entry'} is called {name!r}; {_check.did_you_mean(name, known_names(kind))}")


def homonyms(entry: "Entry") -> list["Entry"]:
    """Entries of other kinds that ``entry.name`` is a name of."""
    folded = _check.fold(entry.name)
    others = (kind for kind in KINDS if kind != entry.kind and folded in _names[kind])
    return [_entries[kind][_names[kind][folded]] for kind in others]


class UnknownName(KeyError):
    """A name that the dictionary does not hold; the message names the closest ones."""

    def __str__(self) -> str:  # KeyError shows the repr of its message
        return str(self.args[0])


def function(name_or_function: Any, kind: str) -> Any:
    """The function of the entry of ``kind`` called so; anything that is not a string comes back as it is."""
    return find(name_or_function, kind).function if isinstance(name_or_function, str) else name_or_function
