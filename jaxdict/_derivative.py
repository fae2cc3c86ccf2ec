"""Closed-form derivatives: a formula and its partial derivatives as one rule, under a plain function."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxdict import _check

Function = TypeVar("Function", bound=Callable[..., Any])


Rule = Callable[..., tuple[jax.Array, tuple[Any, ...]]]


def closed_form(rule: Rule) -> Callable[[Function], Function]:
    """Differentiate the decorated elementwise function by the partials that ``rule`` gives.

    ``rule(x, *parameters) -> (value, (d/dx, d/dparameter, …))`` gives the value again, sharing work with the partials.
    A partial that is None is zero. Partials are written in differentiable jax.numpy, so that second order works.

    Body and rule receive arrays of one compute type: float32 for the narrow floats and integers, the type itself
    otherwise; the value comes back in the type of ``x``. Parameters after ``x`` become arrays; they may be traced, and
    their gradient is right as well. They are scalars, or of the rank of ``x`` with axes of its length or 1; anything
    else is a ValueError. Raises TypeError for complex ``x`` and for unknown or repeated arguments.
    """
    both = _differentiable(rule)

    def decorate(function: Function) -> Function:
        first, *rest = inspect.signature(function).parameters.values()
        names = [p.name for p in rest]
        defaults = {p.name: p.default for p in rest}

        # Compiled where it is called alone, so that an eager call is one program and not one an operation.
        @jax.custom_jvp
        @functools.partial(jax.jit, inline=True)
        def core(x, *parameters):
            return function(x, **dict(zip(names, parameters, strict=True)))

        def jvp(primals, tangents):
            value, partials = both(*primals)
            return value, _change(value, partials, tangents)

        core.defjvp(jvp, symbolic_zeros=True)

        @functools.wraps(function)
        def wrapper(x, *args, **options):
            if len(args) > len(names):
                raise TypeError(f"{function.__name__}() takes {1 + len(names)} arguments; got {1 + len(args)}")
            given = dict(zip(names, args, strict=False))
            for name, value in options.items():
                if name not in defaults:
                    hint = _check.did_you_mean(name, names) if names else "it takes none"
                    raise TypeError(f"{function.__name__}() has no argument {name!r}; {hint}")
                if name in given:
                    raise TypeError(f"{function.__name__}() got {name!r} twice")
                given[name] = value
            x = _check.floating(x, name=first.name)
            dtype = _check.compute_dtype(x.dtype)
            parameters = [jnp.asarray(given.get(n, defaults[n]), dtype) for n in names]
            for name, p in zip(names, parameters, strict=True):
                if p.ndim and (p.ndim != x.ndim or any(n not in (1, m) for n, m in zip(p.shape, x.shape, strict=True))):
                    of_x = f"for {first.name} of shape {x.shape}"
                    raise ValueError(f"{name} must be a scalar; got shape {p.shape} {of_x}")
            return core(x.astype(dtype), *parameters).astype(x.dtype)

        return wrapper  # type: ignore[return-value]  # functools.wraps keeps the name, doc and signature

    return decorate


def _differentiable(rule: Rule) -> Rule:
    """``rule`` with a value that differentiates by the rule again.

    In a Hessian the outer derivative goes through the value that the inner rule gave. Traced, that would be the
    derivative of a polynomial, or of ``maximum`` at its kink, instead of the closed form.
    """
    compiled = jax.jit(rule, inline=True)
    both = jax.custom_jvp(compiled)

    def jvp(primals, tangents):
        value, partials = both(*primals)
        dense = tuple(
            jnp.zeros_like(p) if isinstance(t, SymbolicZero) else t for p, t in zip(primals, tangents, strict=True)
        )
        changes = jax.jvp(lambda *p: compiled(*p)[1], primals, dense)[1]
        return (value, partials), (_change(value, partials, tangents), changes)

    both.defjvp(jvp, symbolic_zeros=True)
    return both


def _change(value: jax.Array, partials: tuple[Any, ...], tangents: tuple[Any, ...]) -> jax.Array:
    """The tangent of ``value``; only what is differentiated is computed."""
    total = None
    for partial, tangent in zip(partials, tangents, strict=True):
        if partial is not None and not isinstance(tangent, SymbolicZero):
            term = partial * tangent
            total = term if total is None else total + term
    return jnp.zeros_like(value) if total is None else jnp.broadcast_to(total, value.shape)
