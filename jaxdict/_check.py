"""Argument checks with one wording: what was given, what is allowed, the closest right name.

Three kinds of argument, three policies. Names, integers and shapes are an error when the thing is built. Numeric
hyperparameters are checked when they are concrete and pass through when they are traced, so that they can be swept.
Array values are never looked at inside compiled code; data is checked once, where it enters.
"""

import difflib
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def is_traced(value: Any) -> bool:
    """Whether ``value`` is a tracer, whose number is not known while a program is being built."""
    return isinstance(value, Tracer)


def closest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The names in ``known`` most like ``name``, best first; ignores case, spaces, hyphens and underscores."""
    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(fold(candidate), candidate)
    wanted = fold(name)
    matches = difflib.get_close_matches(wanted, folded, n=count, cutoff=0.6)
    swapped = [match for match in folded if _two_swapped(match, wanted)]  # the likeliest slip
    return [folded[match] for match in dict.fromkeys([*swapped, *matches])][:count]


def _two_swapped(a: str, b: str) -> bool:
    return sorted(a) == sorted(b) and sum(x != y for x, y in zip(a, b, strict=True)) == 2


def fold(name: str) -> str:
    """``name`` as it is compared: lower case, without spaces, hyphens and underscores."""
    return "".join(c for c in name.casefold() if c not in " -_")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that names the closest known names, or all of them when none is close."""
    known = list(known)
    close = closest(name, known)
    if close:
        return f"did you mean {' or '.join(repr(c) for c in close)}?"
    return f"known: {', '.join(sorted(known))}"


def one_of(name: str, value: Any, allowed: Iterable[Any]) -> Any:
    """``value`` when it is one of ``allowed``; a ValueError otherwise."""
    allowed = list(allowed)
    if value not in allowed:
        hint = did_you_mean(value, [str(a) for a in allowed]) if isinstance(value, str) else ""
        choices = ", ".join(repr(a) for a in allowed)
        raise ValueError(f"{name} must be one of {choices}; got {value!r}" + (f"; {hint}" if hint else ""))
    return value


def number(
    name: str,
    value: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """``value`` when it is a number in the range; ``low``/``high`` include their ends, ``above``/``below`` do not.

    Traced values pass through. Arrays are checked elementwise. Anything but a real number is a TypeError.
    """
    if is_traced(value) or callable(value):
        return value
    if isinstance(value, (str, bytes, bool)) or value is None:
        raise TypeError(f"{name} must be a number; got {value!r}")
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a number; got {value!r}") from error
    parts = []
    inside = ~np.isnan(array)
    for bound, sign, holds in (
        (low, ">=", np.greater_equal),
        (above, ">", np.greater),
        (high, "<=", np.less_equal),
        (below, "<", np.less),
    ):
        if bound is not None:
            parts.append(f"{sign} {bound:g}")
            inside &= holds(array, bound)
    if not inside.all():
        allowed = " and ".join(parts) if parts else "a number, not NaN"
        raise ValueError(f"{name} must be {allowed}; got {value!r}")
    return value


def scalar(name: str, value: Any, **bounds: float) -> Any:
    """One number: a Python float when concrete, so that it takes the type of what it meets and is rounded once.

    A traced scalar passes through. Raises as ``number``, TypeError for a function, ValueError for an array.
    """
    if callable(value):
        raise TypeError(f"{name} must be a number, not a function; got {value!r}")
    number(name, value, **bounds)
    if np.ndim(value):
        raise ValueError(f"{name} must be a scalar; got shape {np.shape(value)}; map over it with jax.vmap")
    return value if is_traced(value) else float(value)


def integer(name: str, value: Any, *, low: int | None = None) -> int:
    """``value`` as a Python int when it is a whole number, at least ``low``; a TypeError or ValueError otherwise."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be a whole number; got {value!r}")
    if low is not None and value < low:
        raise ValueError(f"{name} must be >= {low}; got {value!r}")
    return int(value)


def same_shape(first_name: str, first: Any, second_name: str, second: Any) -> None:
    """A ValueError with both shapes when they differ: predictions and targets never broadcast silently."""
    a, b = jnp.shape(first), jnp.shape(second)
    if a != b:
        hint = ""
        if a == (*b, 1):
            hint = f"; reshape {second_name} to {a}, or squeeze the last axis of {first_name}"
        elif b == (*a, 1):
            hint = f"; reshape {first_name} to {b}, or squeeze the last axis of {second_name}"
        raise ValueError(f"{first_name} and {second_name} must have the same shape; got {a} and {b}{hint}")


def floating(x: Any, *, name: str = "x") -> jax.Array:
    """``x`` as a floating array: integers and booleans become the default float, complex is a TypeError."""
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise TypeError(f"{name} must be real; got {x.dtype}")
    return x.astype(jax.dtypes.canonicalize_dtype(float))


def compute_dtype(dtype: Any) -> Any:
    """The type that formulas compute in: float32 for the narrow floats, the type itself otherwise."""
    return jnp.float64 if dtype == jnp.float64 else jnp.float32


def prng_key(key: Any, *, name: str = "key") -> Any:
    """``key`` as a typed key: a typed key, a raw uint32 key, or an int seed; anything else is a TypeError."""
    if isinstance(key, (int, np.integer)) and not isinstance(key, (bool, np.bool_)):
        return jax.random.key(int(key))
    array: Any = key
    dtype = getattr(key, "dtype", None)
    if is_traced(key) and dtype in (jnp.int32, jnp.uint32, jnp.int64) and np.ndim(key) == 0:
        return jax.random.key(key)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return key
    if dtype == jnp.uint32 and np.ndim(key) >= 1:
        return jax.random.wrap_key_data(array)
    raise TypeError(f"{name} must be a PRNG key (jax.random.key) or an int seed; got {key!r}")
