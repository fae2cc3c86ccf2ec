"""Penalties: ``(params, strength) -> a number`` that is added to the loss, over any tree of parameters.

Conventions of the room. All floating leaves count, biases too, unless ``mask`` chooses; other leaves are left out.
Sums run in float32 at least. Nothing is divided: no half, no mean. A trainer calls ``penalty(params)``, so give it
``functools.partial(l2, strength=1e-4)``.
"""

import fnmatch
import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxdict import _check
from jaxdict._derivative import closed_form
from jaxdict._entry import entry

Mask: TypeAlias = str | bool | Callable[[Any], Any] | Any

_KINK = "S0 {} writes |θ|/θ, undefined at 0; the derivative is 0 there."


@closed_form(lambda x: (jnp.abs(x), (jnp.sign(x),)))
def _absolute(x):
    return jnp.abs(x)  # JAX's own derivative at 0 is 1


def _chosen(params: Any, mask: Mask | None) -> list[jax.Array]:
    """The floating leaves that ``mask`` chooses, in their compute type."""
    paths = [(_path(path), jnp.asarray(leaf)) for path, leaf in jax.tree_util.tree_leaves_with_path(params)]
    for path, leaf in paths:
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            raise TypeError(f"params must be real; got {leaf.dtype} at {path!r}")
    keep = _keep(params, mask, [path for path, _ in paths])
    return [
        leaf.astype(_check.compute_dtype(leaf.dtype))
        for (_, leaf), kept in zip(paths, keep, strict=True)
        if kept and jnp.issubdtype(leaf.dtype, jnp.floating)
    ]


def _path(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _keep(params: Any, mask: Mask | None, paths: list[str]) -> list[bool]:
    """For each leaf whether it counts."""
    if mask is None:
        return [True] * len(paths)
    if isinstance(mask, str):
        keep = [fnmatch.fnmatchcase(path, mask) for path in paths]
        if not any(keep):
            raise ValueError(f"mask {mask!r} matches no leaf; {_check.did_you_mean(mask, paths)}")
        return keep
    tree = mask(params) if callable(mask) else mask
    try:
        full = jax.tree.map(lambda kept, part: jax.tree.map(lambda _: kept, part), tree, params)
    except (ValueError, TypeError) as error:
        raise ValueError(f"mask must be a tree of bools that begins as params does: {error}") from error
    keep = jax.tree.leaves(full)
    for path, kept in zip(paths, keep, strict=True):
        if not isinstance(kept, (bool, np.bool_)):
            raise TypeError(f"mask must hold True or False; got {kept!r} at {path!r}")
    return keep


def _total(leaves: list[jax.Array], strength: Any, term: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """``strength`` times the sum of ``term`` over all leaves."""
    dtype = functools.reduce(jnp.promote_types, (leaf.dtype for leaf in leaves), jnp.dtype("float32"))
    total = sum((jnp.sum(term(leaf)).astype(dtype) for leaf in leaves), jnp.zeros((), dtype))
    return jnp.asarray(strength, dtype) * total


@entry(
    "penalty",
    equation="lambda_*sum(abs(theta))",
    derivative="lambda_*sign(theta)",
    aliases=("lasso", "l1 penalty", "l1 regularization"),
    kinks={0.0: (0.0, 0.0)},
    sources=("S0 5.1", "S3"),
    errata=(_KINK.format("5.1"), "S0 5.1: the underbrace leaves λ out of the penalty; its derivative has it."),
    conventions={
        "keras": "regularizers.L1 is the same, strength 0.01 by default",
        "sklearn": "Lasso(alpha=a) on mean squared error without a half is strength 2a",
    },
    see_also=("l2", "elastic_net", "l1 loss"),
)
def l1(params: Any, strength: ArrayLike, *, mask: Mask | None = None) -> jax.Array:
    """L1 penalty (lasso), ``strength`` times the sum of ``|params|``.

    Args:
      params: any tree of arrays.
      strength: a scalar, at least 0; may be traced.
      mask: which leaves count: a glob over their paths (``"*kernel"`` for ``0/kernel``), a tree of bools or the
        beginning of one, or a function ``params -> such a tree``. None: all.

    Returns:
      A scalar, at least float32. The derivative at 0 is 0.

    Raises:
      ValueError: ``strength`` below 0 or no scalar, a glob without a match, or a mask of another structure.
      TypeError: complex leaves, a mask of other things than bools, or ``strength`` not a number.
    """
    return _total(_chosen(params, mask), _check.scalar("strength", strength, low=0), _absolute)


@entry(
    "penalty",
    equation="lambda_*sum(theta**2)",
    derivative="2*lambda_*theta",
    aliases=("ridge", "tikhonov", "l2 penalty", "l2 regularization"),
    sources=("S0 5.2", "S3"),
    errata=("S3: λ‖θ‖² equals decoupled weight decay only without momentum and without adaptive rates.",),
    conventions={
        "torch": "weight_decay=w adds w·θ to the gradient: strength w/2 here",
        "keras": "regularizers.L2 is the same, strength 0.01 by default; an optimizer's weight_decay is decoupled",
        "optax": "add_decayed_weights(w) before the optimizer is strength w/2 here",
        "sklearn": "Ridge(alpha=a) on mean squared error over n examples is strength a/n",
    },
    see_also=("l1", "elastic_net", "l2 loss"),
)
def l2(params: Any, strength: ArrayLike, *, mask: Mask | None = None) -> jax.Array:
    """L2 penalty (ridge), ``strength`` times the sum of ``params**2``, without a half.

    Args:
      params: any tree of arrays.
      strength: a scalar, at least 0; may be traced.
      mask: which leaves count: a glob over their paths (``"*kernel"`` for ``0/kernel``), a tree of bools or the
        beginning of one, or a function ``params -> such a tree``. None: all.

    Returns:
      A scalar, at least float32.

    Raises:
      ValueError: ``strength`` below 0 or no scalar, a glob without a match, or a mask of another structure.
      TypeError: complex leaves, a mask of other things than bools, or ``strength`` not a number.
    """
    return _total(_chosen(params, mask), _check.scalar("strength", strength, low=0), jnp.square)


@entry(
    "penalty",
    equation="lambda_*((1 - alpha)*sum(theta**2) + alpha*sum(abs(theta)))",
    derivative="lambda_*(2*(1 - alpha)*theta + alpha*sign(theta))",
    aliases=("l1l2",),
    kinks={0.0: (0.0, 0.0)},
    sources=("S0 5.3",),
    errata=(_KINK.format("5.3"),),
    conventions={
        "keras": "regularizers.L1L2(l1, l2): l1 = strength·alpha, l2 = strength·(1 − alpha)",
        "sklearn": "ElasticNet(alpha=a, l1_ratio=r) on mean squared error without a half: l1 = 2ar, l2 = a(1 − r)",
    },
    see_also=("l1", "l2"),
)
def elastic_net(params: Any, strength: ArrayLike, alpha: ArrayLike, *, mask: Mask | None = None) -> jax.Array:
    """Elastic net, L2 at ``alpha = 0`` and L1 at ``alpha = 1``, mixed between.

    Args:
      params: any tree of arrays.
      strength: a scalar, at least 0; may be traced.
      alpha: the share of L1, a scalar in [0, 1]; may be traced.
      mask: which leaves count: a glob over their paths (``"*kernel"`` for ``0/kernel``), a tree of bools or the
        beginning of one, or a function ``params -> such a tree``. None: all.

    Returns:
      A scalar, at least float32. The derivative at 0 is 0.

    Raises:
      ValueError: ``strength`` or ``alpha`` out of range or no scalar, a glob without a match, or a mask of another
        structure.
      TypeError: complex leaves, a mask of other things than bools, or numbers that are not.
    """
    leaves, strength = _chosen(params, mask), _check.scalar("strength", strength, low=0)
    alpha = _check.scalar("alpha", alpha, low=0, high=1)

    def term(leaf):
        a = jnp.asarray(alpha, leaf.dtype)
        return (1 - a) * jnp.square(leaf) + a * _absolute(leaf)

    return _total(leaves, strength, term)


__all__ = ["elastic_net", "l1", "l2"]
