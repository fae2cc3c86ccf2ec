"""What optimizers share: checked scalars, and one rule applied to every leaf of a tree of gradients."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax

from jaxdict import _check

Scalar: TypeAlias = float | jax.Array
ScalarOrSchedule: TypeAlias = Scalar | Callable[[Any], Any]


def scalar_or_schedule(name: str, value: Any, **bounds: float) -> Any:
    """A hyperparameter that a schedule may give."""
    return value if callable(value) else _check.scalar(name, value, **bounds)


def cast(value: Any, dtype: Any) -> Any:
    """A hyperparameter in the type of the leaf that it meets; a Python float has none of its own."""
    return value if isinstance(value, float) else jnp.asarray(value, dtype)


def check_floating(params: Any) -> None:
    """A TypeError for a leaf that is not floating."""
    for leaf in jax.tree.leaves(params):
        dtype = jnp.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(f"parameters must be floating; got {dtype}; leave others out with optax.masked")


def elementwise(
    step: Callable[..., Callable[..., tuple]], memory: type, learning_rate: Any = 1.0
) -> optax.GradientTransformationExtraArgs:
    """A transformation that applies one rule to every leaf.

    ``step(t, rate, dtype)`` gives the rule of step ``t`` for leaves computed in ``dtype``; ``rule(g, *moments)`` gives
    the update and the new moments. ``memory`` is the state's class; its fields after the scalars are the moments.
    """
    scalars = [name for name in memory._fields if name in ("count", "learning_rate")]  # type: ignore[attr-defined]
    moment_names = memory._fields[len(scalars) :]  # type: ignore[attr-defined]
    learning_rate = scalar_or_schedule("learning_rate", learning_rate, low=0)

    def rate_at(count):
        return learning_rate(count) if callable(learning_rate) else learning_rate

    def remember(count, rate, moments):
        known = {"count": count, "learning_rate": jnp.asarray(rate, jnp.float32)}
        return memory(*(known[name] for name in scalars), *moments)

    def init(params):
        check_floating(params)

        def zeros(leaf):
            return jnp.zeros_like(leaf, dtype=_check.compute_dtype(jnp.result_type(leaf)))

        moments = [jax.tree.map(zeros, params) for _ in moment_names]
        count = jnp.zeros((), jnp.int32)
        return remember(count, rate_at(count), moments)

    def update(updates, state, params=None, **extra_args):
        del params, extra_args
        rate, t = rate_at(state.count), optax.safe_increment(state.count)
        gradients, tree = jax.tree.flatten(updates, is_leaf=lambda leaf: leaf is None)
        moments = [tree.flatten_up_to(getattr(state, name)) for name in moment_names]
        rules: dict[Any, Callable[..., tuple]] = {}
        rows = []
        for g, *memories in zip(gradients, *moments, strict=True):
            if g is None:
                rows.append((None, *memories))
                continue
            g = jnp.asarray(g)
            dtype = memories[0].dtype if memories else _check.compute_dtype(g.dtype)
            if dtype not in rules:
                rules[dtype] = step(t, cast(rate, dtype), dtype)
            change, *memories = rules[dtype](g.astype(dtype), *memories)
            rows.append((change.astype(g.dtype), *memories))
        columns = zip(*rows, strict=True) if rows else [()] * (1 + len(moment_names))
        changes, *moments = (jax.tree.unflatten(tree, column) for column in columns)
        return changes, remember(t, rate, moments)

    return optax.GradientTransformationExtraArgs(init, update)
