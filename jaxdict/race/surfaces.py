"""Functions of two numbers that optimizers are tried on, each with its minima, and where races on it start."""

import importlib
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdict import _check

Point = tuple[float, float]


class Valley(NamedTuple):
    """A way down without an end: no minimum, but descent goes off along it for ever."""

    name: str
    direction: Point  # in which it goes off
    mark: tuple[Point, Point]  # an arrow along it inside the window


@dataclass(frozen=True)
class Surface:
    """A function to race on.

    ``function`` takes a vector of two and gives a scalar. ``minima`` are its lowest points, looked for where there are
    none; ``window`` is what pictures show, (left, right, bottom, top), chosen around the race where it is None.
    """

    name: str
    function: Callable[[Any], Any]
    minima: tuple[Point, ...] = ()
    starts: tuple[Point, ...] = ((2.0, -2.0), (-3.0, 3.0))
    window: tuple[float, float, float, float] | None = None
    valleys: tuple[Valley, ...] = ()


def beale(p: Any) -> jax.Array:
    """Beale's function: (1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)².

    Its only minimum is (3, ½). Saddles at (0, 1) and (0.1005, −2.6445) lead over to two valleys without an end:
    x → −∞, y → 1⁺, where the value falls to 405/896, and y → −∞, x → 0⁺, where it falls to 7.3125.
    """
    x, y = p
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y * y) ** 2 + (2.625 - x + x * y * y * y) ** 2


def rosenbrock(p: Any) -> jax.Array:
    """Rosenbrock's banana: (1 − x)² + 100 (y − x²)², a bent valley with the minimum (1, 1)."""
    x, y = p
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


def himmelblau(p: Any) -> jax.Array:
    """Himmelblau's function: (x² + y − 11)² + (x + y² − 7)², with four minima of value 0."""
    x, y = p
    return (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2


def rastrigin(p: Any) -> jax.Array:
    """Rastrigin's function: 20 + x² − 10 cos 2πx + y² − 10 cos 2πy, a minimum near every pair of whole numbers."""
    x, y = p
    return 20 + x * x - 10 * jnp.cos(2 * math.pi * x) + y * y - 10 * jnp.cos(2 * math.pi * y)


def bowl(p: Any) -> jax.Array:
    """An ill-conditioned bowl: curvature 1 along one axis and 100 along the other, turned by 30°, minimum (1, −½).

    Turned, because rates by coordinate would see through a bowl along the axes.
    """
    x, y = p[0] - 1.0, p[1] + 0.5
    along, across = x * math.cos(math.pi / 6) + y * 0.5, y * math.cos(math.pi / 6) - x * 0.5
    return (along * along + 100 * across * across) / 2


_HIMMELBLAU = ((3.0, 2.0), (-2.805118086952745, 3.131312518250573), (-3.779310253377747, -3.283185991286170),
               (3.584428340330492, -1.848126526964404))  # fmt: skip
SURFACES = {
    surface.name: surface
    for surface in (
        Surface(
            "beale", beale, ((3.0, 0.5),), window=(-4.5, 4.5, -4.5, 4.5),
            valleys=(
                Valley("valley x → −∞", (-1.0, 0.0), ((-2.6, 1.381), (-4.2, 1.236))),
                Valley("valley y → −∞", (0.0, -1.0), ((0.066, -3.3), (0.035, -4.2))),
            ),
        ),
        Surface("rosenbrock", rosenbrock, ((1.0, 1.0),), ((-1.2, 1.0), (1.5, -0.5)), (-2.0, 2.0, -1.0, 3.0)),
        Surface("himmelblau", himmelblau, _HIMMELBLAU, ((0.0, 0.0), (-0.5, -5.0)), (-6.0, 6.0, -6.0, 6.0)),
        Surface("rastrigin", rastrigin, ((0.0, 0.0),), ((2.2, -1.7), (-3.6, 3.3)), (-5.12, 5.12, -5.12, 5.12)),
        Surface("bowl", bowl, ((1.0, -0.5),), ((-3.5, -2.0), (2.5, 3.0)), (-5.0, 5.0, -4.0, 4.0)),
    )
}  # fmt: skip


def surface(function: Any) -> Surface:
    """What is meant by ``function``.

    Args:
      function: the name of one in ``SURFACES``; ``"package.module:function"``, found as Python finds modules and in
        the folder where we are; a Surface; or any function of a vector of two that JAX can differentiate.

    Returns:
      The Surface.

    Raises:
      ValueError: no such name, module or function, or a value that is not one number; the message names the closest.
      TypeError: not a function.
    """
    if isinstance(function, str):
        if ":" not in function:
            if function.strip().lower() not in SURFACES:
                hint = _check.did_you_mean(function, SURFACES)
                raise ValueError(f"no function is called {function!r}; {hint} Your own: package.module:function")
            return SURFACES[function.strip().lower()]
        function = _imported(function)
    if isinstance(function, Surface):
        found = function
    elif callable(function):
        found = Surface(getattr(function, "__name__", "function"), function)
    else:
        raise TypeError(f"function must be a name, a Surface or a function of a vector of two; got {function!r}")
    try:
        value = jax.eval_shape(found.function, jax.ShapeDtypeStruct((2,), jnp.float32))
    except Exception as error:  # whatever the caller's code raises
        raise ValueError(f"{found.name} cannot be called with a vector of two: {error}") from error
    if getattr(value, "shape", None) != () or not jnp.issubdtype(value.dtype, jnp.floating):
        raise ValueError(f"{found.name} must give one number for a vector of two; got {value}")
    return found


def _imported(path: str) -> Any:
    module_name, _, name = path.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a module of the caller's may fail in any way
        raise ValueError(f"{path}: cannot import {module_name!r}: {error}") from error
    finally:
        sys.path.pop(0)
    if not hasattr(module, name):
        known = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise ValueError(f"{path}: {module_name} has no {name!r}; {_check.did_you_mean(name, known)}")
    return getattr(module, name)
