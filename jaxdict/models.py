"""Models: compositions of layers. A model is a layer and composes again."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxdict import _check, _registry, layers
from jaxdict._entry import entry
from jaxdict._foreign import from_equinox, from_flax
from jaxdict.layers import CONSTRUCTORS, Model, buildable, child

__all__ = [
    "Model",
    "as_model",
    "from_equinox",
    "from_flax",
    "mlp",
    "serial",
    "spec_from_json",
    "spec_to_json",
    "summary",
]


@entry(
    "model",
    equation="g(f(x))",
    aliases=("sequential", "composition", "chain of layers"),
    sources=("S0 'Layers'", "S2 10.2.1"),
    conventions={"torch": "nn.Sequential: parts by position", "keras": "Sequential: parts by unique names"},
)
@buildable
def serial(*parts: Model, name: str | None = None) -> Model:
    """Layers one after another.

    Parameters and state are dicts by layer name: ``dense_1``, ``dense_2``, … in the order of each kind, or the name
    a layer was given. Keys are derived from these names, so that a layer without parameters may come or go without
    changing what the others start from. Layers without parameters or state have no place in the dicts.

    Args:
      *parts: layers or models, at least one.
      name: the name of the whole where it is itself a part.

    Returns:
      The composed model.

    Raises:
      ValueError: no parts, or the same name twice. TypeError: a part that is no ``(init, apply)`` pair.
    """
    if not parts:
        raise ValueError("serial needs at least one layer")
    named = _name([as_model(part) for part in parts])

    def init(key, input_shape):
        params, state, shape = {}, {}, tuple(input_shape)
        for part, layer in named:
            try:
                own, kept, shape = layer.init(child(key, part), shape)
            except (TypeError, ValueError) as error:
                raise type(error)(f"layer {part!r}: {error}") from error
            if jax.tree.leaves(own):
                params[part] = own
            if jax.tree.leaves(kept):
                state[part] = kept
        return params, state, shape

    def apply(params, state, inputs, *, key=None, train=False):
        outputs, new = inputs, {}
        for part, layer in named:
            own = None if key is None else child(key, part)
            outputs, kept = layer.apply(params.get(part, {}), state.get(part, {}), outputs, key=own, train=train)
            if jax.tree.leaves(kept):
                new[part] = kept
        return outputs, new

    return Model(
        init, apply, name=name or "serial", named=name is not None, parts=named,
        mixes_examples=any(layer.mixes_examples for _, layer in named),
    )  # fmt: skip


def _name(parts: Sequence[Model]) -> tuple[tuple[str, Model], ...]:
    named: dict[str, Model] = {}
    counts: dict[str, int] = {}
    for layer in parts:
        label = layer.name
        if not layer.named:
            counts[label] = counts.get(label, 0) + 1
            label = f"{label}_{counts[label]}"
        if label in named:
            raise ValueError(f"two layers are called {label!r}; give one another name")
        named[label] = layer
    return tuple(named.items())


# What the activation's signal needs; xavier for the others.
_KERNELS = {
    **dict.fromkeys(
        ("relu", "leaky_relu", "prelu", "rrelu", "relu6", "elu", "celu", "softplus", "squareplus", "swish",
         "hard_swish", "mish", "gelu"),
        "he_normal",
    ),
    "selu": "lecun_normal",
}  # fmt: skip


@entry(
    "model",
    equation="u = f(x @ W1 + b1); u @ W2 + b2",
    aliases=("multilayer perceptron", "feedforward network", "fully connected network"),
    sources=("S2 10.1.5", "S2 10.1.6", "S3"),
    see_also=("dense", "serial"),
)
@buildable
def mlp(
    widths: Sequence[int],
    *,
    activation: str | Callable = "relu",
    initializer: str | Callable | None = None,
    bias_initializer: str | Callable | None = None,
    dropout: Any = 0.0,
    batch_norm: str | None = None,
    output: str | Callable | None = None,
    name: str | None = None,
) -> Model:
    """Multilayer perceptron: dense layers with an activation after each hidden one.

    Args:
      widths: input, hidden …, output widths; at least input and output.
      activation: of the hidden layers, a name or function.
      initializer: of the kernels; when None he_normal for the relu family, lecun_normal for selu, else xavier_uniform
        (the output layer too).
      bias_initializer: of the biases; zeros when None. A dense layer has no bias where batch norm follows at once.
      dropout: probability of dropping each hidden unit, in [0, 1); may be traced.
      batch_norm: None, "before" or "after" the activation.
      output: an output unit for regression (a name such as "softplus"); None: logits or means as they are.
      name: the name where the model is a part of another.

    Returns:
      A model from ``(batch, widths[0])`` to ``(batch, widths[-1])``, float32 parameters ``dense_1``, ``dense_2``, ….

    Raises:
      ValueError: fewer than two widths, a width below 1, an input of another width. KeyError: an unknown name.
    """
    widths = [_check.integer("a width", w, low=1) for w in widths]
    if len(widths) < 2:
        raise ValueError(f"widths must hold the input and the output width at least; got {widths}")
    if batch_norm is not None:
        _check.one_of("batch_norm", batch_norm, ["before", "after"])
    function = _registry.function(activation, "activation")
    kernel = initializer or _KERNELS.get(getattr(function, "__name__", ""), "xavier_uniform")
    start = {"initializer": kernel, "bias_initializer": bias_initializer}
    parts = []
    for width in widths[1:-1]:
        parts.append(layers.dense(width, bias=batch_norm != "before", **start))
        if batch_norm == "before":
            parts.append(layers.batch_norm())
        parts.append(layers.activation(activation))
        if batch_norm == "after":
            parts.append(layers.batch_norm())
        if _check.is_traced(dropout) or dropout != 0.0:
            parts.append(layers.dropout(dropout))
    parts.append(layers.dense(widths[-1], **start))
    if output is not None:
        parts.append(layers.activation(output))
    whole = serial(*parts, name=name)

    def init(key, input_shape):
        if tuple(input_shape) != (widths[0],):
            hint = "; flatten the inputs first" if np.prod(input_shape, dtype=int) == widths[0] else ""
            raise ValueError(f"mlp({widths}) takes examples of shape ({widths[0]},); got {tuple(input_shape)}{hint}")
        return whole.init(key, input_shape)

    return dataclasses.replace(whole, init=init, name=name or "mlp")


def as_model(model: Any) -> Model:
    """``model`` as a Model: one already, or any ``(init, apply)`` pair; TypeError for anything else."""
    if isinstance(model, Model):
        return model
    if isinstance(model, tuple) and len(model) == 2 and all(callable(part) for part in model):
        return Model(*model)
    hint = "; a Flax module becomes one by jaxdict.models.from_flax(module)" if hasattr(model, "apply") else ""
    raise TypeError(f"a model must be a jaxdict Model or an (init, apply) pair; got {type(model).__name__}{hint}")


def summary(model: Model, input_shape: Sequence[int]) -> str:
    """A table of the layers: name, output shape, number of parameters.

    Args:
      model: any model; foreign ones are one row.
      input_shape: of one example, without the batch axis.

    Returns:
      The table as text; nothing is allocated for it.

    Raises:
      ValueError: an input shape that the model does not take.
    """
    model = as_model(model)
    key = jax.random.key(0)
    rows: list[tuple[str, str, int]] = []

    def walk(label, layer, shape, depth):
        holder = {}

        def shapes(key):
            params, state, holder["shape"] = layer.init(key, shape)
            return params, state

        params, _ = jax.eval_shape(shapes, key)
        count = sum(int(np.prod(leaf.shape, dtype=np.int64)) for leaf in jax.tree.leaves(params))
        if layer.parts:
            inner = shape
            for part, child_layer in layer.parts:
                inner = walk(f"{'  ' * depth}{part}", child_layer, inner, depth + 1)
        else:
            rows.append((label, str(holder["shape"]), count))
        return holder["shape"]

    output = walk(model.name, model, tuple(input_shape), 0)
    total = sum(count for _, _, count in rows)
    table = [("layer", "output shape", "parameters"), *((n, s, f"{c:,}") for n, s, c in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(3)]
    lines = [f"{n:<{widths[0]}}  {s:<{widths[1]}}  {c:>{widths[2]}}" for n, s, c in table]
    rule = "-" * len(lines[0])
    shapes = f"input {tuple(input_shape)}, output {output}"
    return "\n".join([lines[0], rule, *lines[1:], rule, f"{total:,} parameters; {shapes}"])


# ------------------------------------------------------------------------------- rebuilding from a checkpoint


def spec_to_json(model: Model) -> str | None:
    """How the model was made, as JSON text; None when an argument has no dictionary name."""
    try:
        return json.dumps(_encode(model))
    except TypeError:
        return None


def _encode(value: Any) -> Any:
    if isinstance(value, Model):
        if value.spec is None:
            raise TypeError("a foreign model")
        spec = value.spec
        return {
            "model": spec.constructor,
            "args": [_encode(a) for a in spec.args],
            "options": {k: _encode(v) for k, v in spec.options},
        }
    if isinstance(value, (tuple, list)):
        return [_encode(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    for kind in ("activation", "initializer"):
        name = getattr(value, "__name__", "")
        if name in {e.name for e in _registry.iterate(kind)} and _registry.find(name, kind).function is value:
            return {"entry": name, "kind": kind}
    raise TypeError(f"{value!r} has no dictionary name")


def spec_from_json(text: str) -> Model:
    """The model that ``spec_to_json`` wrote; ValueError when a constructor is not known."""

    def decode(value: Any) -> Any:
        if isinstance(value, list):
            return [decode(v) for v in value]
        if isinstance(value, dict) and "entry" in value:
            return _registry.find(value["entry"], value["kind"]).function
        if isinstance(value, dict):
            name = value["model"]
            if name not in CONSTRUCTORS:
                raise ValueError(f"no model is made by {name!r}; {_check.did_you_mean(name, CONSTRUCTORS)}")
            return CONSTRUCTORS[name](
                *map(decode, value["args"]), **{k: decode(v) for k, v in value["options"].items()}
            )
        return value

    return decode(json.loads(text))
