"""Layers one after another."""

import jax

from jaxdict._entry import entry
from jaxdict.layers import Model, buildable, child
from jaxdict.models._parts import as_model, name_parts, renamed

__all__ = ["serial"]


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
    named = name_parts([as_model(part) for part in parts])

    def init(key, input_shape):
        params, state = {}, {}
        shape = tuple(input_shape) if isinstance(input_shape, list) else input_shape
        for part, layer in named:
            try:
                own, kept, shape = layer.init(child(key, part), shape)
            except (TypeError, ValueError) as error:
                raise renamed(error, f"layer {part!r}") from error
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
