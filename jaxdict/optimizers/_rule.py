"""What optimizers share: checked scalars, and one rule applied to every leaf of a tree of gradients."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdict import _check

Scalar: TypeAlias = float | jax.Array
ScalarOrSchedule: TypeAlias = Scalar | Callable[[Any], Any]


def scalar_or_schedule(name: str, value: Any, **bounds: float) -> Any:
    """A hyperparameter that a schedule may give."""
    return value if callable(value) else _check.scalar(name, value, **bounds)


def value_at(value: Any, count: Any, dtype: Any) -> Any:
    """What a hyperparameter or its schedule gives after ``count`` updates, in the type of the leaf that it meets."""
    return cast(value(count) if callable(value) else value, dtype)


def cast(value: Any, dtype: Any) -> Any:
    """A hyperparameter in the type of the leaf that it meets; a Python float has none of its own."""
    return value if isinstance(value, float) else jnp.asarray(value, dtype)


def corrections(tops: Sequence[Scalar], bases: Sequence[Scalar], t: jax.Array, dtype: Any) -> jax.Array:
    """top/(1 - base**t) of every pair, 0 <= base < 1, as one vector: each scalar would be a kernel, slow to compile.

    It is top (1 + coth(h))/2, h = half_decays: 1 - exp(-2h) would lose its digits, expm1 takes longer to compile.
    """
    half_tops = _vector(tops, dtype) / 2
    return half_tops + half_tops / jnp.tanh(half_decays(bases, t, dtype))


def half_decays(bases: Sequence[Scalar], t: jax.Array, dtype: Any) -> jax.Array:
    """-t ln(base)/2 of every base, as one vector: base**t is exp of minus twice that."""
    if all(isinstance(base, float) for base in bases):
        decays = np.array([-math.log(base) if base > 0 else math.inf for base in bases], dtype)
    else:  # a traced base of 0 has no infinite logarithm, whose derivative would be NaN
        decays = -jnp.log(jnp.maximum(_vector(bases, dtype), jnp.finfo(dtype).tiny))
    return t.astype(dtype) * (decays / 2)


def _vector(numbers: Sequence[Scalar], dtype: Any) -> Any:
    if all(isinstance(number, float) for number in numbers):
        return np.array(numbers, dtype)
    return jnp.stack([jnp.asarray(number, dtype) for number in numbers])


def divide(a: jax.Array, b: jax.Array, *added: Scalar) -> jax.Array:
    """a/b, and 0 where b is 0; it is not where one of the numbers that were ``added`` to it is known to be above 0."""
    if any(isinstance(number, float) and number > 0 for number in added):
        return a / b
    positive = b > 0
    return jax.lax.select(positive, a / jax.lax.select(positive, b, jnp.ones_like(b)), jnp.zeros_like(a))


def _as(array: Any, dtype: Any) -> jax.Array:
    """``array`` in ``dtype``, at no price where it is: a program of a thousand leaves is traced leaf by leaf."""
    return array if isinstance(array, jax.Array) and array.dtype == dtype else jnp.asarray(array, dtype)


def _with_constant(x: jax.Array) -> jax.Array:
    """``x``: a sum of two arrays and nothing else, p + v, is compiled to a loop of a third of the speed on the CPU."""
    zero = jnp.zeros_like(x)
    return jax.lax.select(x != zero, x, zero)


def check_floating(params: Any) -> None:
    """A TypeError for a leaf that is not floating."""
    for leaf in jax.tree.leaves(params):
        dtype = jnp.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(f"parameters must be floating; got {dtype}; leave others out with optax.masked")


def _floating_dtype(dtype: Any) -> Any:
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or not jnp.issubdtype(found, jnp.floating):
        raise ValueError(f"state_dtype must be a floating type, such as 'bfloat16' or 'float32'; got {dtype!r}")
    return found


def elementwise(
    step: Callable[..., Callable[..., tuple]],
    memory: type,
    learning_rate: Any = 1.0,
    *,
    scalars: Mapping[str, tuple[float, Callable[[jax.Array, jax.Array], Any]]] = MappingProxyType({}),
    start: Mapping[str, float | jax.Array] = MappingProxyType({}),
    without: tuple[str, ...] = (),
    state_dtype: Any = None,
    with_params: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """A transformation that applies one rule to every leaf.

    ``step(t, rate, dtype, **scalars)`` gives the rule of step ``t`` for leaves computed in ``dtype``; ``rule(g,
    *moments)`` gives the update and the new moments. ``memory`` is the state's class; its fields are ``count`` and
    ``learning_rate``, where it has them, the ``scalars``, and then the moments, trees like the parameters.

    Args:
      step: gives the rule.
      memory: a NamedTuple class.
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule.
      scalars: name -> (first value, ``advance(t, last value)`` for step t), kept in the default float type.
      start: moment -> what it holds before the first step, where that is not 0.
      without: fields that this rule does without, None in the state.
      state_dtype: what moments are stored in; by default float32, or the parameters' type where that is wider.
      with_params: the rule is ``rule(g, p, *moments)``, and ``update`` needs the parameters.

    Raises:
      ValueError: a negative rate, a ``state_dtype`` that is not floating, at ``update`` missing parameters.
      TypeError: at ``init`` parameters that are not floating.
    """
    known = ("count", "learning_rate", *scalars, *without)
    moment_names = [name for name in memory._fields if name not in known]  # type: ignore[attr-defined]
    learning_rate = scalar_or_schedule("learning_rate", learning_rate, low=0)
    state_dtype = state_dtype if state_dtype is None else _floating_dtype(state_dtype)

    def rate_at(count):
        return learning_rate(count) if callable(learning_rate) else learning_rate

    def remember(count, rate, moments, values):
        fields = {"count": count, "learning_rate": jnp.asarray(rate, jnp.float32), **dict.fromkeys(without)}
        fields |= {name: jnp.asarray(value, jax.dtypes.canonicalize_dtype(float)) for name, value in values.items()}
        fields |= dict(zip(moment_names, moments, strict=True))
        return memory(*(fields[name] for name in memory._fields))  # type: ignore[attr-defined]

    def init(params):
        check_floating(params)

        def first(name):
            def filled(leaf):
                dtype = state_dtype or _check.compute_dtype(jnp.result_type(leaf))
                return jnp.full_like(leaf, start.get(name, 0.0), dtype=dtype)

            return jax.tree.map(filled, params)

        count = jnp.zeros((), jnp.int32)
        values = {name: value for name, (value, _) in scalars.items()}
        return remember(count, rate_at(count), [first(name) for name in moment_names], values)

    def update(updates, state, params=None, **extra_args):
        del extra_args
        if with_params and params is None:
            raise ValueError("this optimizer needs the parameters: call update(updates, state, params)")
        rate = rate_at(state.count)
        t: Any = optax.safe_increment(state.count)
        values = {name: advance(t, getattr(state, name)) for name, (_, advance) in scalars.items()}
        gradients, tree = jax.tree.flatten(updates, is_leaf=lambda leaf: leaf is None)
        moments = [tree.flatten_up_to(getattr(state, name)) for name in moment_names]
        weights = tree.flatten_up_to(params) if with_params else [None] * len(gradients)
        rules: dict[Any, Callable[..., tuple]] = {}
        rows = []
        for g, p, *memories in zip(gradients, weights, *moments, strict=True):
            if g is None:
                rows.append((None, *memories))
                continue
            g = g if isinstance(g, jax.Array) else jnp.asarray(g)
            dtype = _check.compute_dtype(jnp.promote_types(g.dtype, memories[0].dtype) if memories else g.dtype)
            if dtype not in rules:
                rules[dtype] = step(t, cast(rate, dtype), dtype, **{n: cast(v, dtype) for n, v in values.items()})
            given = (g, p, *memories) if with_params else (g, *memories)
            change, *changed = rules[dtype](*(_as(a, dtype) for a in given))
            if any(change is new for new in changed):
                change = _with_constant(change)
            changed = (_as(new, old.dtype) for new, old in zip(changed, memories, strict=True))
            rows.append((_as(change, g.dtype), *changed))
        columns = zip(*rows, strict=True) if rows else [()] * (1 + len(moment_names))
        changes, *moments = (jax.tree.unflatten(tree, column) for column in columns)
        return changes, remember(t, rate, moments, values)

    return optax.GradientTransformationExtraArgs(init, update)
