"""A model that is listened to: computed part by part, the outputs of every layer passing by."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxdict.layers import Model, child
from jaxdict.models._parts import taken, wiring_of


class Layer(NamedTuple):
    """A use of a layer: its path within the model, that of its parameters, its outputs."""

    path: tuple[str, ...]
    owner: tuple[str, ...]
    layer: Model
    outputs: jax.Array


def heard(
    model: Model, params: Any, state: Any, inputs: Any, *, key: Any, train: bool, tap: Callable[[Layer], jax.Array],
    path: tuple[str, ...] = (), owner: tuple[str, ...] = (),
) -> tuple[Any, Any]:  # fmt: skip
    """What ``model.apply`` gives, the outputs of each layer going through ``tap`` on their way."""
    wiring = wiring_of(model, jax.tree.map(lambda x: tuple(x.shape[1:]), inputs))
    if wiring is None:
        outputs, new = model.apply(params, state, inputs, key=key, train=train)
        if not hasattr(outputs, "shape"):
            raise ValueError(f"inspection looks at arrays; layer {'/'.join(path) or model.name!r} gives a tree of them")
        return tap(Layer(path, owner, model, outputs)), new
    values, new = wiring.by_name(inputs), {}
    for node in wiring.nodes:
        values[node.name], new[node.owner] = heard(
            node.layer, params.get(node.owner, {}), new.get(node.owner, state.get(node.owner, {})),
            taken(node, values), key=None if key is None else child(key, node.name), train=train, tap=tap,
            path=(*path, node.name), owner=(*owner, node.owner),
        )  # fmt: skip
    return wiring.picked(values), new
