"""Residual blocks: what layers add to their input."""

from typing import Any

import jax

from jaxdict import layers
from jaxdict._entry import entry
from jaxdict.layers import Model, buildable, child
from jaxdict.models._parts import INPUT, Composite, Node, Wiring, abstract_init, as_model, chain
from jaxdict.models.serial import serial

__all__ = ["residual"]

_PROJECTION, _SUM = "projection", "sum"


@entry(
    "model",
    equation="x + f(x)",
    aliases=("skip connection", "shortcut connection", "residual block", "resnet block", "identity mapping"),
    sources=("He et al. 2015, arXiv:1512.03385",),
    conventions={
        "torch": "torchvision's BasicBlock: relu after the sum; a 1×1 convolution where shapes differ",
        "keras": "layers.Add of two branches; the block is written by hand",
    },
    see_also=("serial", "graph"),
)
@buildable
def residual(*parts: Model, projection: Any = None, name: str | None = None) -> Model:
    """A residual block: ``x + f(x)``, f being the parts one after another.

    Args:
      parts: layers or models, at least one; named as in ``serial``.
      projection: what x goes through where f changes its shape: a layer, or ``"dense"`` for a dense layer without bias
        over the last axis. None: f must keep the shape. Its parameters are called ``projection``.
      name: the name of the whole where it is itself a part.

    Returns:
      The model, from x's shape to that of f(x).

    Raises:
      ValueError: no parts, the same name twice; at init, f's shape is not x's or the projection's, with both.
      TypeError: a part that is no ``(init, apply)`` pair, a projection that is none of these.
    """
    body = serial(*parts)
    for part, _ in body.parts:
        if part in (INPUT, _PROJECTION, _SUM):
            raise ValueError(f"a part of residual may not be called {part!r}; give it another name")
    if projection is not None and projection != "dense":
        projection = as_model(projection)
    label = name or "residual"

    def shortcut(shape, wanted) -> Model | None:
        """What x goes through; None where it stays as it is."""
        if tuple(shape) == tuple(wanted):
            return None
        if projection is None:
            raise ValueError(f"{label} adds x of shape {shape} to f(x) of shape {wanted}; give projection=… for x")
        if projection == "dense":
            return layers.dense(wanted[-1], bias=False) if wanted else layers.flatten()
        return projection

    def init(key, input_shape):
        input_shape = tuple(input_shape)
        params, state, shape = body.init(key, input_shape)
        layer = shortcut(input_shape, shape)
        if layer is not None:
            own, kept, found = layer.init(child(key, _PROJECTION), input_shape)
            if tuple(found) != tuple(shape):
                raise ValueError(
                    f"{label} projects x of shape {input_shape} to {found} by {layer.name}, and adds it to f(x) of "
                    f"shape {shape}"
                )
            params |= {_PROJECTION: own} if jax.tree.leaves(own) else {}
            state |= {_PROJECTION: kept} if jax.tree.leaves(kept) else {}
        return params, state, shape

    def apply(params, state, inputs, *, key=None, train=False):
        outputs, new = body.apply(params, state, inputs, key=key, train=train)
        layer, same = shortcut(inputs.shape[1:], outputs.shape[1:]), inputs
        if layer is not None:
            own = None if key is None else child(key, _PROJECTION)
            held = params.get(_PROJECTION, {}), state.get(_PROJECTION, {})
            same, kept = layer.apply(*held, inputs, key=own, train=train)
            new |= {_PROJECTION: kept} if jax.tree.leaves(kept) else {}
        return same + outputs, new

    def wiring(input_shape):
        nodes, same = chain(body.parts).nodes, INPUT
        last = nodes[-1].name
        layer = shortcut(input_shape, abstract_init(body, input_shape)[2])
        if layer is not None:
            nodes, same = (*nodes, Node(_PROJECTION, layer, (INPUT,), _PROJECTION)), _PROJECTION
        return Wiring(INPUT, (*nodes, Node(_SUM, layers.add(), (same, last), _SUM)), _SUM)

    mixes = body.mixes_examples or (isinstance(projection, Model) and projection.mixes_examples)
    return Composite(
        init, apply, name=label, named=name is not None, parts=body.parts, mixes_examples=mixes, wiring=wiring
    )
