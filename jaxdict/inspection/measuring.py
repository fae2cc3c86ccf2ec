"""Statistics of every layer's outputs, and of the gradients that reach it, by one compiled program."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check, _registry
from jaxdict import losses as _losses  # noqa: F401  (its entries are found by name)
from jaxdict.inspection._listening import Layer, heard
from jaxdict.inspection.records import LayerStatistics, Statistics
from jaxdict.layers import Model
from jaxdict.models import as_model

RANGES = {
    "sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
}  # fmt: skip
RECTIFIERS = ("relu", "relu6")


def statistics(
    model: Any,
    params: Any,
    state: Any,
    inputs: Any,
    *,
    loss: Any = None,
    targets: Any = None,
    key: Any = None,
    train: bool = False,
    limit: float = 100.0,
    margin: float = 0.025,
) -> Statistics:
    """Statistics of every layer over one batch, by one compiled program.

    Args:
      model: any composition (``serial``, ``mlp``, ``graph``, ``residual``, nested at will), or a single layer. A
        foreign model is one layer. A layer that shares parameters shows the gradient of all its uses.
      params: its parameters.
      state: its state.
      inputs: a batch, ``(batch, *input_shape)``, or a tree of such.
      loss: a name, or ``(predictions, targets) -> (batch, …)``; its mean over the examples is differentiated. None:
        the outputs alone.
      targets: what the loss compares the outputs with.
      key: a PRNG key or an int seed, for dropout in training.
      train: whether to look at the model as in training: batch statistics, noise.
      limit: above 1; an error is "vanishing" below 1/limit times, "exploding" above limit times the norm at the last
        layer with parameters.
      margin: an output is saturated within this share of the range from an end: at 0.025 a tanh beyond ±0.95, a
        sigmoid below 0.025 or above 0.975.

    Returns:
      ``Statistics``, with Python floats.

    Raises:
      ValueError: a loss without targets, a limit or margin outside its range, a layer that gives a tree of arrays.
      KeyError: an unknown loss, with the closest names.
    """
    model = as_model(model)
    function = _registry.function(loss, "loss")
    if (function is None) != (targets is None):
        raise ValueError("gradients need both: loss=… and targets=…")
    _check.scalar("limit", limit, above=1)
    _check.scalar("margin", margin, above=0, below=0.5)
    key = None if key is None else _check.prng_key(key)
    found: list[Layer] = []

    def look(params, state, inputs, key):
        return heard(model, params, state, inputs, key=key, train=train, tap=lambda u: found.append(u) or u.outputs)

    jax.eval_shape(look, params, state, inputs, key)
    value, numbers = jax.device_get(
        _program(model, function, train)(params, state, inputs, targets, key, float(margin))
    )
    holding = [own for own, layer in zip(numbers, found, strict=True) if jax.tree.leaves(_of(params, layer.owner))]
    top = float(holding[-1]["error_norm"]) if holding else float("nan")
    rows = [_row(layer, own, top, limit, function is not None) for layer, own in zip(found, numbers, strict=True)]
    return Statistics(tuple(rows), float(value), float(limit), float(margin))


def _row(seen: Layer, own: Any, top: float, limit: float, differentiated: bool) -> LayerStatistics:
    own = {field: float(value) for field, value in own.items()}
    ratio = own["error_norm"] / top if top > 0 else float("nan")
    flag = "vanishing" if ratio < 1 / limit else "exploding" if ratio > limit else ""
    there = [own["std"]]
    there += [own["error_norm"]] if differentiated and _has_gradient(seen) else []
    there += [own["gradient_norm"]] if differentiated and not np.isnan(own["weight_rms"]) else []
    if not np.isfinite(there).all():
        flag = "not finite"
    name, shape = "/".join(seen.path) or seen.layer.name, tuple(seen.outputs.shape[1:])
    return LayerStatistics(name=name, kind=_kind(seen.layer), shape=shape, ratio=ratio, flag=flag, **own)


def _has_gradient(seen: Layer) -> bool:
    return jnp.issubdtype(seen.outputs.dtype, jnp.floating)


def _kind(layer: Model) -> str:
    """The activation's name, or the constructor's."""
    if layer.spec is None:
        return layer.name
    if layer.spec.constructor != "activation":
        return layer.spec.constructor
    given = layer.spec.args[0] if layer.spec.args else dict(layer.spec.options)["function"]
    return (
        _registry.find(given, "activation").name if isinstance(given, str) else getattr(given, "__name__", "function")
    )


# ------------------------------------------------------------------------------------------------------- the program


@functools.lru_cache(maxsize=64)
def _program(model: Model, loss: Callable | None, train: bool) -> Callable[..., Any]:
    """``(params, state, inputs, targets, key, margin) -> (loss, numbers of every layer)``."""

    def forward(params, probes, state, inputs, key):
        """The outputs, and those of every layer, each with its probe added: by it the gradient is taken."""
        kept: list[Layer] = []

        def tap(seen):
            probe = probes[len(kept)] if probes else None
            if probe is not None:
                seen = seen._replace(outputs=seen.outputs + probe)
            kept.append(seen)
            return seen.outputs

        outputs, _ = heard(model, params, state, inputs, key=key, train=train, tap=tap)
        return outputs, kept

    def run(params, state, inputs, targets, key, margin):
        nothing = jnp.full((), jnp.nan)
        if loss is None:
            kept = forward(params, None, state, inputs, key)[1]
            outputs, value, gradients, errors = [seen.outputs for seen in kept], nothing, None, [None] * len(kept)
        else:
            kept: list[Layer] = []
            jax.eval_shape(lambda: kept.extend(forward(params, None, state, inputs, key)[1]))  # for the shapes
            probes = [jnp.zeros_like(seen.outputs) if _has_gradient(seen) else None for seen in kept]

            def objective(params, probes, loss=loss):
                outputs, kept = forward(params, probes, state, inputs, key)
                return jnp.mean(loss(outputs, targets)), [seen.outputs for seen in kept]

            (value, outputs), (gradients, errors) = jax.value_and_grad(objective, (0, 1), has_aux=True)(params, probes)
        numbers = []
        for seen, u, error in zip(kept, outputs, errors, strict=True):
            own = _outputs(_kind(seen.layer), u.astype(jnp.promote_types(u.dtype, jnp.float32)), margin)
            own |= _sizes("weight", _of(params, seen.owner))
            own |= _sizes("gradient", None if gradients is None else _of(gradients, seen.owner))
            own |= _sizes("error", error)
            own.pop("weight_norm")
            numbers.append(own)
        return value, numbers

    return jax.jit(run)


def _outputs(kind: str, u: jax.Array, margin: jax.Array) -> dict[str, jax.Array]:
    dead = saturated = jnp.full((), jnp.nan)
    if kind in RECTIFIERS:
        dead = jnp.mean(jnp.all(u == 0, axis=tuple(range(u.ndim - 1))))
    if kind in RANGES:
        low, high = RANGES[kind]
        edge = margin * (high - low)
        saturated = jnp.mean((u < low + edge) | (u > high - edge))
    return {"mean": jnp.mean(u), "std": jnp.std(u), "dead": dead, "saturated": saturated}


def _sizes(what: str, tree: Any) -> dict[str, jax.Array]:
    """Norm and root mean square over all leaves; NaN where there are none."""
    leaves = [leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32)) for leaf in jax.tree.leaves(tree)]
    if not leaves:
        return dict.fromkeys((f"{what}_norm", f"{what}_rms"), jnp.full((), jnp.nan))
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in leaves]))
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)  # a square of 1e-30 would be 0
    total = sum(jnp.sum(jnp.square(leaf / scale)) for leaf in leaves)
    count = sum(leaf.size for leaf in leaves)
    return {f"{what}_norm": scale * jnp.sqrt(total), f"{what}_rms": scale * jnp.sqrt(total / count)}


def _of(tree: Any, path: tuple[str, ...]) -> Any:
    """The parameters of the layer at ``path``; nothing where it has none."""
    for part in path:
        tree = tree.get(part, {}) if isinstance(tree, dict) else {}
    return tree


__all__ = ["statistics"]
