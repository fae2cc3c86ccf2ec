"""Leaves by their paths, and globs that choose among them."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax

from jaxdict import _check

Patterns = str | Sequence[str]


def path_of(path: Any) -> str:
    """``dense_1/kernel``, from JAX's own form of a path."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def by_path(tree: Any) -> dict[str, Any]:
    """Path -> leaf, in JAX's order."""
    return {path_of(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def rebuilt(tree: Any, leaves: Mapping[str, Any]) -> Any:
    """``tree`` with the leaves of ``leaves`` in their places, its own elsewhere."""
    return jax.tree_util.tree_map_with_path(lambda path, leaf: leaves.get(path_of(path), leaf), tree)


def several(patterns: Patterns) -> tuple[str, ...]:
    """One or several patterns as a tuple; a TypeError for anything but strings."""
    found = tuple(patterns) if isinstance(patterns, Iterable) and not isinstance(patterns, str) else (patterns,)
    for pattern in found:
        if not isinstance(pattern, str):
            raise TypeError(f"a pattern must be a string, such as 'dense_1/*'; got {pattern!r}")
    return found


def matched(pattern: str, paths: Iterable[str]) -> list[str]:
    """Those of ``paths`` that ``pattern`` matches; a ValueError with the closest when there is none."""
    paths = list(paths)
    found = [path for path in paths if fnmatch.fnmatchcase(path, pattern)]
    if not found:
        folders = {path[:at] + "/*" for path in paths for at, letter in enumerate(path) if letter == "/"}
        inside = f"{pattern.rstrip('/')}/*"  # a layer's name alone
        hint = f"did you mean {inside!r}?" if inside in folders else _check.did_you_mean(pattern, [*paths, *folders])
        raise ValueError(f"pattern {pattern!r} matches no leaf; {hint}")
    return found
