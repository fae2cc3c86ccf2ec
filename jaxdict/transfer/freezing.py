"""Freezing: an optimizer that trains all but some leaves, and what it remembers when some of these thaw.

The optimizer sees the leaves that train and nothing else: in its state, its norms and its decay the frozen ones are
absent, and no gradient of theirs is used, so that XLA computes none where the step is compiled.
"""

import dataclasses
from collections.abc import Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdict import _cache
from jaxdict.train.step import resolve_optimizer
from jaxdict.transfer._paths import Patterns, by_path, matched, path_of, several


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Cohort:
    """Leaves that began to train at the same time, and what the optimizer remembers of them.

    Attributes:
      memory: the optimizer's own state over these leaves.
      paths: which they are.
    """

    memory: Any
    paths: tuple[str, ...] = dataclasses.field(metadata={"static": True})


class FreezeState(NamedTuple):
    """Memory of ``freeze``: a cohort, and one more for each time that leaves thawed and the state was carried over."""

    cohorts: Any  # tuple[Cohort, ...]


def freeze(
    optimizer: optax.GradientTransformation | str, params: Any, patterns: Patterns, *, state: FreezeState | None = None
) -> optax.GradientTransformationExtraArgs:
    """``optimizer`` over all leaves but the frozen ones, which keep every bit.

    Frozen leaves have no update, no decay, no state and no part in a norm that ``optimizer`` takes, and a compiled step
    computes no gradients of theirs. To unfreeze is to freeze with fewer patterns. Only parameters freeze: the running
    averages of a batch norm are state and go on.

    Args:
      optimizer: an optax transformation, or the name of an optimizer with its defaults.
      params: the parameters, or their shapes and types, for their paths.
      patterns: globs over paths, one or several: ``"dense_1/*"``, ``("encoder/*", "*/bias")``; ``()`` freezes nothing.
      state: that of a ``freeze`` of the same kind of optimizer with more patterns. Its leaves go on with their memory;
        those that thaw form a cohort of their own, whose memory, schedule and norms begin anew, for moments that
        were corrected for a thousand steps make the first step of a new leaf several times too long. A fresh start for
        all when None.

    Returns:
      The transformation, for parameters of these paths alone; its state is a ``FreezeState``. Its updates of frozen
      leaves are -0, which changes no bit.

    Raises:
      ValueError: a pattern that matches no leaf, with the closest path; nothing left to train; a state of another
        optimizer, or of leaves that are frozen now or not there. TypeError: a pattern that is no string, an optimizer
        that is none, a state that is not one of ``freeze``. KeyError: an unknown name, with the closest.
    """
    made, paths = resolve_optimizer(optimizer), by_path(params)
    frozen = {path for pattern in several(patterns) for path in matched(pattern, paths)}
    live = tuple(path for path in paths if path not in frozen)
    if not live:
        raise ValueError(f"nothing is left to train: {patterns!r} freezes all of {', '.join(paths)}")
    if state is None:
        return _frozen(made, tuple(paths), live)
    if not isinstance(state, FreezeState):
        raise TypeError(f"state must be the FreezeState of an optimizer by freeze; got {type(state).__name__}")
    for cohort in state.cohorts:
        for path in cohort.paths:
            if path not in live:
                what = "is frozen now" if path in frozen else f"is no leaf of params: {', '.join(paths)}"
                raise ValueError(f"the state remembers {path!r}, which {what}")
        wanted = jax.eval_shape(lambda p, c=cohort: made.init(_only(p, c.paths)), params)
        if _described(wanted) != _described(cohort.memory):
            raise ValueError(
                f"the state is of another optimizer: {jax.tree.structure(wanted)} is wanted for "
                f"{', '.join(cohort.paths)}; got {jax.tree.structure(cohort.memory)}"
            )
    return _frozen(made, tuple(paths), live, tuple(state.cohorts))


@_cache.constructor
def _frozen(
    optimizer: optax.GradientTransformation, paths: tuple[str, ...], live: tuple[str, ...],
    carried: tuple[Cohort, ...] = (),
) -> optax.GradientTransformationExtraArgs:  # fmt: skip
    inner = optax.with_extra_args_support(optimizer)
    remembered = {path for cohort in carried for path in cohort.paths}
    new, known = tuple(path for path in live if path not in remembered), frozenset(paths)

    def init(params):
        for path in by_path(params):
            if path not in known:
                raise ValueError(f"freeze was made for other parameters, without {path!r}: {', '.join(paths)}")
        thawed = (Cohort(inner.init(_only(params, new)), new),) if new else ()
        return FreezeState((*carried, *thawed))

    def update(updates, state, params=None, **extra):
        changes = jax.tree.map(lambda g: jnp.full_like(g, -0.0), updates)
        cohorts = []
        for cohort in state.cohorts:
            own = {name: _extra(value, updates, params, cohort.paths) for name, value in extra.items()}
            part = None if params is None else _only(params, cohort.paths)
            change, memory = inner.update(_only(updates, cohort.paths), cohort.memory, part, **own)
            changes = _over(changes, change)
            cohorts.append(Cohort(memory, cohort.paths))
        return changes, FreezeState(tuple(cohorts))

    return optax.GradientTransformationExtraArgs(init, update)


def _only(tree: Any, paths: Collection[str]) -> Any:
    """``tree`` with nothing where another leaf was."""
    kept = frozenset(paths)
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf if path_of(path) in kept else optax.MaskedNode(), tree
    )


def _over(tree: Any, part: Any) -> Any:
    """``tree`` with the leaves of ``part`` where that has any."""
    return jax.tree.map(lambda new, old: old if _is_nothing(new) else new, part, tree, is_leaf=_is_nothing)


def _is_nothing(node: Any) -> bool:
    return isinstance(node, optax.MaskedNode)


def _extra(value: Any, updates: Any, params: Any, paths: Collection[str]) -> Any:
    """What else an update is given, as the optimizer of a part is: functions of it alone, trees without the rest."""
    if callable(value) and params is not None:
        return lambda part, *args, **options: value(_over(params, part), *args, **options)
    return _only(value, paths) if jax.tree.structure(value) == jax.tree.structure(updates) else value


def _described(memory: Any) -> Any:
    return jax.tree.structure(memory), [(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in jax.tree.leaves(memory)]
