"""Backpropagation as the textbooks write it, for stacks of dense layers: every net input z, output u and error δ.

    forward    z_l = u_{l-1} W_l + b_l,  u_l = f(z_l)
    backward   δ_l = (δ_{l+1} W_{l+1}ᵀ) ⊙ f'(z_l)
    gradients  ∂L/∂W_l = u_{l-1}ᵀ δ_l,  ∂L/∂b_l = the sum of δ_l over the examples

Everything is named after the dense layers, an activation belonging to the layer before it; the slopes f' are the
closed forms of the dictionary. It is there to be looked at: training differentiates by ``jax.grad``, which agrees to
rounding.
"""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check, _registry
from jaxdict import losses as _losses  # noqa: F401  (its entries are found by name)
from jaxdict._entry import Entry
from jaxdict.layers import Model
from jaxdict.models import as_model
from jaxdict.models._parts import Composite


class Trace(NamedTuple):
    """What a forward pass kept.

    Attributes:
      inputs: ``(batch, n_in)``, flattened where the model flattens them.
      z: net input by dense layer, ``(batch, width)``.
      u: output by dense layer, after the activations that follow it, ``(batch, width)``.
      outputs: those of the last layer.
    """

    inputs: jax.Array
    z: dict[str, jax.Array]
    u: dict[str, jax.Array]
    outputs: jax.Array


class Gradients(NamedTuple):
    """What a backward pass found.

    Attributes:
      delta: ∂L/∂z by dense layer, ``(batch, width)``.
      params: ∂L/∂params, a tree like the parameters.
      inputs: ∂L/∂inputs, ``(batch, n_in)``.
    """

    delta: dict[str, jax.Array]
    params: Any
    inputs: jax.Array


class _Activation(NamedTuple):
    entry: Entry
    options: dict[str, Any]

    def value(self, z: jax.Array) -> jax.Array:
        return self.entry.function(z, **self.options)

    def slope(self, z: jax.Array) -> jax.Array:
        assert self.entry.derivative is not None
        return self.entry.derivative(z, **self.options)


class _Stage(NamedTuple):
    """A dense layer, where its parameters are, and the activations that follow it."""

    name: str
    path: tuple[str, ...]
    dense: Model
    activations: list[_Activation]

    def weights(self, params: Any) -> Any:
        return functools.reduce(lambda tree, part: tree[part], self.path, params)

    def value(self, z: jax.Array) -> jax.Array:
        for f in self.activations:
            z = f.value(z)
        return z

    def slope(self, z: jax.Array) -> jax.Array:
        slope = jnp.ones_like(z)
        for f in self.activations:  # the chain rule, where there are several
            slope, z = slope * f.slope(z), f.value(z)
        return slope


def forward(model: Any, params: Any, inputs: jax.typing.ArrayLike) -> Trace:
    """The forward pass, keeping the net input and the output of every layer.

    Args:
      model: ``dense``, ``serial``, ``mlp`` or ``autoencoder``, nested too; of dense layers, elementwise activations of
        the dictionary, ``flatten`` before them, and ``dropout``, which does nothing outside training.
      params: its parameters.
      inputs: ``(batch, n_in)``, floating; of any shape where the model begins with ``flatten``.

    Returns:
      A ``Trace``; its outputs are those of ``model.apply`` outside training.

    Raises:
      TypeError: a layer of another kind, or an activation that is not elementwise or not in the dictionary.
      ValueError: inputs that do not fit.
    """
    stages, flat = _stages(model)
    u = _check.floating(inputs, name="inputs")
    u = u.reshape(u.shape[0], -1) if flat and u.ndim > 1 else u
    if u.ndim != 2:
        raise ValueError(f"inputs must be examples, (batch, n_in); got shape {u.shape}")
    trace = Trace(u, {}, {}, u)
    for stage in stages:
        w = stage.weights(params)
        if u.shape[1] != w["kernel"].shape[0]:
            raise ValueError(f"layer {stage.name!r} takes {w['kernel'].shape[0]} features; got shape {u.shape}")
        z, _ = stage.dense.apply(w, {}, u)
        u = stage.value(z)
        trace.z[stage.name], trace.u[stage.name] = z, u
    return trace._replace(outputs=u)


def backward(model: Any, params: Any, trace: Trace, d_output: jax.typing.ArrayLike) -> Gradients:
    """The backward pass: the error of every layer and the gradient by every parameter.

    Args:
      model: that of the forward pass.
      params: those of the forward pass.
      trace: what ``forward`` kept.
      d_output: ``(batch, n_out)``, ∂L/∂outputs, where L is one number for the whole batch.

    Returns:
      The ``Gradients`` of L.

    Raises:
      ValueError: ``d_output`` without the shape of the outputs. TypeError: a model that ``forward`` does not take.
    """
    stages, _ = _stages(model)
    error = jnp.asarray(d_output, trace.outputs.dtype)
    _check.same_shape("d_output", error, "the outputs", trace.outputs)
    delta: dict[str, jax.Array] = {}
    gradients: dict[str, Any] = {}
    below = [trace.inputs, *(trace.u[stage.name] for stage in stages[:-1])]
    for stage, u in zip(reversed(stages), reversed(below), strict=True):
        w, d = stage.weights(params), error * stage.slope(trace.z[stage.name])
        delta[stage.name] = d
        own = {"kernel": u.T @ d} | ({"bias": d.sum(axis=0)} if "bias" in w else {})
        _put(gradients, stage.path, {leaf: g.astype(w[leaf].dtype) for leaf, g in own.items()})
        error = d @ w["kernel"].T
    return Gradients(delta, gradients, error)


def value_and_gradients(
    model: Any, params: Any, inputs: jax.typing.ArrayLike, targets: Any, *, loss: Any
) -> tuple[jax.Array, Trace, Gradients]:
    """Both passes under a loss: its mean over the examples, and all that led to it.

    Args:
      model: as for ``forward``.
      params: its parameters.
      inputs: ``(batch, n_in)``.
      targets: what the loss compares the outputs with.
      loss: a name, or ``(predictions, targets) -> (batch, …)``.

    Returns:
      ``(value, trace, gradients)``: the mean loss, what ``forward`` kept, what ``backward`` found.

    Raises:
      KeyError: an unknown loss, with the closest names. TypeError, ValueError: as ``forward``, or the loss's own.
    """
    function = _registry.function(loss, "loss")
    trace = forward(model, params, inputs)
    value, d_output = jax.value_and_grad(lambda outputs: jnp.mean(function(outputs, targets)))(trace.outputs)
    return value, trace, backward(model, params, trace, d_output)


def table(
    model: Any, params: Any, trace: Trace, *, gradients: Gradients | None = None, example: int = 0, units: int = 8
) -> str:
    """One example's way through the network as it would be written on a board.

    Args:
      model: that of the passes.
      params: those of the passes.
      trace: what ``forward`` kept.
      gradients: what ``backward`` found; None shows the forward pass alone.
      example: which of the batch.
      units: how many units of a layer are shown, and terms of a sum.

    Returns:
      Text of some lines a layer; with gradients, the errors and this example's part of every weight's gradient.

    Raises:
      ValueError: an example that is not in the batch. TypeError: a model that ``forward`` does not take.
    """
    stages, _ = _stages(model)
    batch = trace.inputs.shape[0]
    if not 0 <= _check.integer("example", example) < batch:
        raise ValueError(f"example must be one of the batch, 0 to {batch - 1}; got {example}")
    units = _check.integer("units", units, low=1)
    one = jax.tree.map(lambda array: np.asarray(array[example], np.float64), trace)
    weights = {stage.name: jax.tree.map(lambda w: np.asarray(w, np.float64), stage.weights(params)) for stage in stages}
    lines = _forward_lines(stages, weights, one, units)
    if gradients is not None:
        delta = {name: np.asarray(d[example], np.float64) for name, d in gradients.delta.items()}
        lines += ["", *_backward_lines(stages, weights, one, delta, units)]
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------- what a model is made of


def _stages(model: Any) -> tuple[list[_Stage], bool]:
    """The dense layers with their activations, and whether the inputs are flattened first."""
    stages: list[_Stage] = []
    flat = False
    for path, layer in _layers(as_model(model)):
        name = "/".join(path) or layer.name
        made = layer.spec.constructor if layer.spec else "a foreign layer"
        if made == "dense":
            stages.append(_Stage(name, path, layer, []))
        elif made == "activation" and stages:
            stages[-1].activations.append(_activation(name, layer))
        elif made == "flatten" and not stages:
            flat = True
        elif made != "dropout":
            raise TypeError(
                f"backprop goes through dense layers, each followed by activations, and a flatten before them; "
                f"layer {name!r} is {made}{'' if made != 'activation' else ' before the first dense layer'}"
            )
    if not stages:
        raise TypeError(f"backprop needs at least one dense layer; got {model!r}")
    return stages, flat


def _layers(model: Model, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Model]]:
    """The layers of a chain in their order, chains within chains opened."""
    if not model.parts or isinstance(model, Composite):
        yield path, model
        return
    for name, part in model.parts:
        yield from _layers(part, (*path, name))


def _activation(name: str, layer: Model) -> _Activation:
    """The entry of an activation layer and its options."""
    assert layer.spec is not None
    options = dict(layer.spec.options)
    options.pop("name", None)
    given = layer.spec.args[0] if layer.spec.args else options.pop("function")
    known = {e.function: e for e in _registry.iterate("activation")}
    entry = _registry.find(given, "activation") if isinstance(given, str) else known.get(given)
    if entry is None:
        raise TypeError(f"layer {name!r}: backprop needs an activation of the dictionary, by its name; got {given!r}")
    if entry.vectors or entry.derivative is None:
        raise TypeError(
            f"layer {name!r}: backprop needs an elementwise activation; got {entry.name!r}; leave it out and take a "
            "loss on logits"
        )
    return _Activation(entry, options)


def _put(tree: dict[str, Any], path: tuple[str, ...], leaf: dict[str, Any]) -> None:
    for part in path:
        tree = tree.setdefault(part, {})
    tree.update(leaf)


# ------------------------------------------------------------------------------------------------- written on a board


def _forward_lines(stages: list[_Stage], weights: dict[str, Any], one: Any, units: int) -> list[str]:
    lines = ["forward", "  " + _cut([f"x{i} = {_number(x)}" for i, x in enumerate(one.inputs, 1)], units)]
    below = one.inputs
    for stage in stages:
        w, z, u = weights[stage.name], one.z[stage.name], one.u[stage.name]
        lines.append(" · ".join([stage.name, *(f.entry.name for f in stage.activations)]))
        rows = []
        for j in range(min(units, len(z))):
            terms = [*zip(w["kernel"][:, j], below, strict=True), *([(w["bias"][j], None)] if "bias" in w else [])]
            rows.append([f"z{j + 1} = {_sum(terms, units)} = {_number(z[j])}", f"u{j + 1} = {_number(u[j])}"])
        lines += _aligned(rows, len(z))
        below = u
    return lines


def _backward_lines(
    stages: list[_Stage], weights: dict[str, Any], one: Any, delta: dict[str, np.ndarray], units: int
) -> list[str]:
    lines = ["backward"]
    for index, stage in reversed([*enumerate(stages)]):
        d, slope = delta[stage.name], np.asarray(stage.slope(jnp.asarray(one.z[stage.name])))
        source, below = ("u", one.u[stages[index - 1].name]) if index else ("x", one.inputs)
        lines.append(stage.name)
        rows = []
        for j in range(min(units, len(d))):
            said = f"∂L/∂z{j + 1}"
            if stage is not stages[-1]:
                above = stages[index + 1].name
                terms = [*zip(weights[above]["kernel"][j], delta[above], strict=True)]
                said = f"{_number(slope[j])}·({_sum(terms, units)})"
            by = [f"∂L/∂W({source}{i}→{j + 1}) = {_number(v * d[j])}" for i, v in enumerate(below, 1)]
            by += [f"∂L/∂b{j + 1} = {_number(d[j])}"] if "bias" in weights[stage.name] else []
            rows.append([f"δ{j + 1} = {said} = {_number(d[j])}", _cut(by, units)])
        lines += _aligned(rows, len(d))
    return lines


def _number(value: float) -> str:
    return f"{value + 0.0:.4g}".replace("-", "−")  # no minus before a 0


def _sum(terms: list[tuple[float, float | None]], most: int) -> str:
    """``w·u + w·u + b`` with its signs; so many terms at most."""
    if len(terms) > most:
        return f"a sum of {len(terms)} terms"
    text = ""
    for i, (w, u) in enumerate(terms):
        sign = ("−" if w < 0 else "") if i == 0 else " − " if w < 0 else " + "
        shown = "" if u is None else f"·({_number(u)})" if u < 0 else f"·{_number(u)}"
        text += f"{sign}{_number(abs(w))}{shown}"
    return text


def _cut(parts: list[str], most: int) -> str:
    more = [f"… {len(parts) - most} more"] if len(parts) > most else []
    return "   ".join([*parts[:most], *more])


def _aligned(rows: list[list[str]], units: int) -> list[str]:
    width = max(len(first) for first, _ in rows)
    lines = [f"  {first:<{width}}   {second}" for first, second in rows]
    return lines + ([f"  … {units - len(rows)} more units"] if units > len(rows) else [])


__all__ = ["Gradients", "Trace", "backward", "forward", "table", "value_and_gradients"]
