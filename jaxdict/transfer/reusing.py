"""Reusing: leaves of one model's parameters in another's, by name."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxdict import _check
from jaxdict.transfer._paths import Patterns, by_path, matched, rebuilt, several


def clone(params: Any) -> Any:
    """A copy that shares no memory, for steps that donate their arguments; otherwise a tree of values is its own clone.

    Args:
      params: any tree of arrays.

    Returns:
      The same tree, bit for bit.

    Raises:
      TypeError: a leaf that is no array.
    """
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), params)


def reuse(params: Any, source: Any, patterns: Patterns) -> Any:
    """``params`` with the leaves that ``patterns`` choose taken from ``source``, where they have the same path.

    The rest, such as a new head, keeps its own start. The state of a model is reused in the same way.

    Args:
      params: the new model's parameters, or its state.
      source: those of the model that was trained.
      patterns: globs over the paths of ``params``, one or several: ``"encoder/*"``, ``("dense_1/*", "dense_2/*")``.

    Returns:
      A tree like ``params``, in its types.

    Raises:
      ValueError: a pattern that matches no leaf, leaves that ``source`` has not, or has in other shapes: all are named.
      TypeError: a pattern that is no string.
    """
    ours, theirs = by_path(params), by_path(source)
    chosen = dict.fromkeys(path for pattern in several(patterns) for path in matched(pattern, ours))
    wrong = []
    for path in chosen:
        if path not in theirs:
            wrong.append(f"source has no leaf {path!r}; {_check.did_you_mean(path, theirs)}")
        elif jnp.shape(theirs[path]) != jnp.shape(ours[path]):
            wrong.append(f"{path} has the shape {jnp.shape(theirs[path])} in source, {jnp.shape(ours[path])} in params")
    if wrong:
        raise ValueError("\n".join(wrong))
    return rebuilt(params, {path: jnp.asarray(theirs[path], jnp.result_type(ours[path])) for path in chosen})
