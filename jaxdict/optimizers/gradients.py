"""What is done to a gradient on its way: clipping by value and by norm, weight decay. Links of a chain, without a rate.

The equations change g alone. Where a link stands in ``optax.chain`` decides what it means: before an optimizer g is
the gradient, between ``scale_by_adam`` and ``scale_by_rate`` the direction, after an optimizer the update.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxdict import _cache, _check
from jaxdict._entry import entry
from jaxdict.optimizers._rule import Scalar, ScalarOrSchedule, check_floating, scalar_or_schedule

_KERAS = "the optimizers' {}; only one kind of clipping may be set, and it comes before weight decay"


@entry(
    "optimizer",
    equation="g = max(-c, min(g, c))",
    aliases=("clip", "clipvalue", "clip_grad_value", "value clipping"),
    sources=("S2 11.1.4",),
    conventions={
        "torch": "clip_grad_value_(clip_value), in place",
        "keras": _KERAS.format("clipvalue"),
        "optax": "clip(max_delta), which runs here",
    },
    see_also=("clip_by_norm", "clip_by_global_norm"),
    symbols={"max_value": "c"},
)
@_cache.constructor
def clip_by_value(max_value: Scalar) -> optax.GradientTransformationExtraArgs:
    """Clip each component of the gradient to ±``max_value``, which may turn it.

    Args:
      max_value: c > 0, a number or a traced scalar.

    Returns:
      The transformation, without memory. ±inf becomes ±c, NaN stays.

    Raises:
      ValueError: a number that is not above 0, or one that is not a scalar.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    clip = optax.clip(_check.scalar("max_value", max_value, above=0))
    return _link(lambda leaves: clip.update(leaves, optax.EmptyState())[0])


@entry(
    "optimizer",
    equation="g = g*min(1, c/norm(g))",
    aliases=("gradient clipping", "global_clipnorm", "clip_grad_norm", "norm clipping"),
    sources=("S2 11.1.4", "Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063"),
    conventions={
        "torch": "clip_grad_norm_(max_norm) multiplies by min(1, c/(norm + 1e-6)): a norm of c shrinks too",
        "keras": _KERAS.format("global_clipnorm"),
        "optax": "clip_by_global_norm, the same; norms are taken in the type of the gradients, so that in float16 one"
        " of 256 is infinite and the update 0, in float32 one of 2e19",
    },
    see_also=("clip_by_norm", "clip_by_value"),
    symbols={"max_norm": "c"},
)
@_cache.constructor
def clip_by_global_norm(max_norm: Scalar) -> optax.GradientTransformationExtraArgs:
    """Shrink the whole gradient, all tensors as one vector, to a norm of at most ``max_norm``; its direction stays.

    Args:
      max_norm: c > 0, a number or a traced scalar.

    Returns:
      The transformation, without memory. A gradient of norm c or less comes back as it is. An infinite component
      leaves NaN in its place and 0 elsewhere, NaN anywhere makes all NaN; see ``optax.apply_if_finite``.

    Raises:
      ValueError: a number that is not above 0, or one that is not a scalar.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    c = _check.scalar("max_norm", max_norm, above=0)
    return _link(lambda leaves: _shrunk(leaves, c))


@entry(
    "optimizer",
    equation="g = g*min(1, c/norm(g))",
    aliases=("clipnorm", "clip_by_tensor_norm"),
    sources=("S2 11.1.4",),
    errata=(
        "S2 11.1.4 says that clipnorm keeps the direction; tensor by tensor it turns the gradient as a whole, only the"
        " global norm keeps it.",
    ),
    conventions={
        "torch": "none; clip_grad_norm_ of one tensor at a time",
        "keras": _KERAS.format("clipnorm"),
        "optax": "none; clip_by_block_rms(c) bounds a tensor's root mean square, its norm over the root of its size",
    },
    see_also=("clip_by_global_norm", "clip_by_value"),
    symbols={"max_norm": "c"},
)
@_cache.constructor
def clip_by_norm(max_norm: Scalar) -> optax.GradientTransformationExtraArgs:
    """Shrink the gradient of each tensor to a norm of at most ``max_norm``; the gradient as a whole may turn.

    Args:
      max_norm: c > 0, a number or a traced scalar, the same for every tensor.

    Returns:
      The transformation, without memory. Infinity and NaN spoil their own tensor, as in ``clip_by_global_norm``.

    Raises:
      ValueError: a number that is not above 0, or one that is not a scalar.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    c = _check.scalar("max_norm", max_norm, above=0)
    return _link(lambda leaves: [one for leaf in leaves for one in _shrunk([leaf], c)])


@entry(
    "optimizer",
    equation="g = g + lambda_*theta",
    aliases=("decoupled weight decay", "add_decayed_weights"),
    sources=("S3", "Loshchilov and Hutter 2019, arXiv:1711.05101"),
    errata=(
        "S3 has weight decay as the penalty λ‖θ‖²: that equals decoupled decay by 2λ only without momentum and without"
        " adaptive rates.",
    ),
    conventions={
        "torch": "AdamW(weight_decay=0.01) is decoupled; the weight_decay of Adam, SGD and most others stands in the"
        " gradient; biases decay too",
        "keras": "every optimizer's weight_decay is decoupled, AdamW's 0.004 by default; biases decay too",
        "optax": "add_decayed_weights(strength), which runs here; adamw(weight_decay=1e-4) is decoupled",
        "paper": "the decoupled decay is multiplied by the schedule but not by the rate: its λ is rate times strength",
    },
    see_also=("penalty l2", "adam"),
    symbols={"strength": "lambda_"},
)
@_cache.constructor
def weight_decay(strength: ScalarOrSchedule, *, mask: Any = None) -> optax.GradientTransformationExtraArgs:
    """Weight decay: the parameters, times ``strength``, are added to what goes through.

    In the gradient, ``optax.chain(weight_decay(λ), adam(η))``, it is the penalty λ/2·‖θ‖². Decoupled,
    ``optax.chain(scale_by_adam(), weight_decay(λ), scale_by_rate(η))``, momentum and adaptive rates do not touch it:
    θ shrinks by η·λ·θ a step, as in AdamW.

    Args:
      strength: λ ≥ 0, a number, a traced scalar or a schedule ``step -> strength``.
      mask: which leaves decay: a tree of bools, the beginning of one, or a function ``params -> such a tree``; all
        by default, biases too.

    Returns:
      The transformation; ``update`` needs the parameters. Its state is optax's, a count where there is a schedule.

    Raises:
      ValueError: a negative strength, one that is not a scalar, and at ``update`` missing parameters.
      TypeError: a strength that is not a number.
    """
    inner = optax.add_decayed_weights(scalar_or_schedule("strength", strength, low=0), mask)

    def update(updates, state, params=None, **extra_args):
        del extra_args
        if params is None:
            raise ValueError("weight_decay needs the parameters: call update(updates, state, params)")
        wide, state = inner.update(_wide(updates), state, _wide(params))
        return _like(wide, updates), state

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _link(change: Callable[[list[jax.Array]], Any]) -> optax.GradientTransformationExtraArgs:
    """A transformation without memory: ``change`` of the leaves in their compute type, rounded once to their own."""

    def init(params):
        check_floating(params)
        return optax.EmptyState()

    def update(updates, state, params=None, **extra_args):
        del params, extra_args
        leaves, tree = jax.tree.flatten(updates)
        return jax.tree.unflatten(tree, _like(change(_wide(leaves)), leaves)), state

    return optax.GradientTransformationExtraArgs(init, update)


def _wide(tree: Any) -> Any:
    """Narrow floats as float32."""
    return jax.tree.map(lambda x: jnp.asarray(x, _check.compute_dtype(jnp.result_type(x))), tree)


def _like(wide: Any, tree: Any) -> Any:
    """The leaves of ``wide`` in the types of those of ``tree``."""
    return jax.tree.map(lambda new, old: new.astype(jnp.result_type(old)), wide, tree)


def _shrunk(leaves: list[jax.Array], max_norm: Scalar) -> list[jax.Array]:
    """The leaves times the one factor that brings their common norm down to ``max_norm``, if it is above.

    optax's own squares as they are: infinite or 0 for numbers that a float holds, and NaN in the derivative at 0.
    """
    if not leaves:
        return []
    dtype = functools.reduce(jnp.promote_types, (g.dtype for g in leaves))
    c = jnp.asarray(max_norm, dtype)
    largest = functools.reduce(jnp.maximum, (jnp.max(jnp.abs(g), initial=0).astype(dtype) for g in leaves))
    # A power of two, so that nothing is rounded, by which large numbers are brought down and small ones up: in float32
    # the squares then lie between 2**-96 and 2**96, and 2**32 of them may be added.
    exponents = jnp.finfo(dtype).maxexp
    unit = jnp.where(largest > 2.0 ** (exponents // 4), 2.0 ** (exponents * 5 // 8), 1.0)
    unit = jnp.where(largest < 2.0 ** -(exponents // 4), 2.0 ** -(exponents * 5 // 8), unit).astype(dtype)
    scaled = [g.astype(dtype) / unit for g in leaves]
    squares = functools.reduce(jnp.add, (jnp.sum(jnp.square(g)) for g in scaled))
    norm = jnp.sqrt(jnp.where(squares == 0, 1, squares))
    fits = (squares == 0) | (norm <= c / unit)
    return [jnp.where(fits, g.astype(dtype), small * (c / norm)) for g, small in zip(leaves, scaled, strict=True)]
