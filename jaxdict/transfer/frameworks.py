"""Weights of PyTorch and Keras stacks in serial models, layer by layer, without importing either.

The model is walked as its author stacked it, so that layers of all kinds may alternate. What differs is layout: torch's
kernels are (out, in, *space), here and in Keras (*space, in, out), but for transposed and depthwise ones; torch
flattens images channels first, here and in Keras channels last. A layer's own numbers, such as the eps of a batch norm
(1e-5 here and in torch, 1e-3 in Keras), are not in the weights: give them to the model.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict.compat.torch._params import to_numpy
from jaxdict.layers import Model
from jaxdict.models import as_model
from jaxdict.models._parts import Composite, abstract_init

_TORCH = {
    "kernel": "weight", "bias": "bias", "scale": "weight", "offset": "bias", "mean": "running_mean",
    "variance": "running_var",
}  # fmt: skip
_KERAS = {
    "kernel": "kernel", "bias": "bias", "scale": "gamma", "offset": "beta", "mean": "moving_mean",
    "variance": "moving_variance",
}  # fmt: skip


class _Layer(NamedTuple):
    """A layer of the stack that has numbers: where it is, what it is, and its leaves in the frameworks' order."""

    path: tuple[str, ...]
    kind: str | None
    leaves: dict[str, tuple[int, ...]]  # name -> shape
    flattened: tuple[int, ...] | None  # the images, channels last, that its features were before they were flattened


def from_torch(state_dict: Mapping[str, Any], model: Any, input_shape: Sequence[int]) -> tuple[Any, Any]:
    """Parameters and state of a serial model from those of a PyTorch module of the same layers.

    Args:
      state_dict: ``module.state_dict()``, or arrays by such names. Modules are taken in its order, which is that in
        which the module made them.
      model: dense, embedding, convolution and normalization layers in the same order, with what has no weights between
        them.
      input_shape: of one example here, so images are channels last.

    Returns:
      ``(params, state)``, float32.

    Raises:
      ValueError: another number of layers, a layer with other weights, other shapes; both sides are named. A model that
        is no stack. TypeError: a state_dict that is no mapping.
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"state_dict must be module.state_dict(), arrays by name; got {type(state_dict).__name__}")
    modules: dict[str, dict[str, np.ndarray]] = {}
    for name, value in state_dict.items():
        module, _, leaf = name.rpartition(".")
        if leaf != "num_batches_tracked":
            modules.setdefault(module, {})[leaf] = to_numpy(value)
    layers = list(_stack(model, input_shape))
    if len(layers) != len(modules):
        raise ValueError(
            f"torch has {len(modules)} layers with weights ({', '.join(modules)}), the model {len(layers)} "
            f"({', '.join('/'.join(layer.path) for layer in layers)})"
        )
    values: dict[tuple[str, ...], np.ndarray] = {}
    for layer, (module, weights) in zip(layers, modules.items(), strict=True):
        wanted = {_TORCH[leaf]: leaf for leaf in layer.leaves}
        if wanted.keys() != weights.keys():
            raise ValueError(
                f"torch's {module!r} has {', '.join(weights)}; {'/'.join(layer.path)} takes {', '.join(wanted)}"
            )
        for theirs, leaf in wanted.items():
            array = _from_torch(weights[theirs], leaf, layer)
            values[*layer.path, leaf] = _checked(array, leaf, layer, f"{module}.{theirs}")
    return _trees(model, input_shape, values)


def from_keras(weights: Sequence[Any], model: Any, input_shape: Sequence[int]) -> tuple[Any, Any]:
    """Parameters and state of a serial model from the weights of a Keras model of the same layers.

    Args:
      weights: ``model.get_weights()``, or ``model.weights``, whose names are then held against the layers.
      model: dense, embedding, convolution and normalization layers in the same order, with what has no weights between
        them.
      input_shape: of one example, images channels last.

    Returns:
      ``(params, state)``, float32.

    Raises:
      ValueError: another number of weights, other names or shapes; both sides are named. A model that is no stack.
      TypeError: weights that are no sequence.
    """
    if not isinstance(weights, Sequence):
        raise TypeError(f"weights must be model.get_weights() or model.weights; got {type(weights).__name__}")
    wanted = [(layer, leaf) for layer in _stack(model, input_shape) for leaf in layer.leaves]
    if len(wanted) != len(weights):
        raise ValueError(
            f"Keras has {len(weights)} weights, the model {len(wanted)}: "
            f"{', '.join('/'.join((*layer.path, leaf)) for layer, leaf in wanted)}"
        )
    values: dict[tuple[str, ...], np.ndarray] = {}
    for number, ((layer, leaf), weight) in enumerate(zip(wanted, weights, strict=True)):
        name = getattr(weight, "path", None) or f"weight {number}"
        theirs = "embeddings" if layer.kind == "embedding" else _KERAS[leaf]
        if hasattr(weight, "path") and name.rpartition("/")[2] != theirs:
            raise ValueError(f"Keras's {name} stands where {'/'.join(layer.path)} takes its {theirs}")
        array = np.asarray(weight.numpy() if hasattr(weight, "numpy") else weight)
        values[*layer.path, leaf] = _checked(_from_keras(array, leaf, layer), leaf, layer, name)
    return _trees(model, input_shape, values)


def _stack(model: Any, input_shape: Sequence[int]) -> Iterator[_Layer]:
    """The layers of a serial model that have numbers, in order."""
    flattened: tuple[int, ...] | None = None
    spatial = False

    def walk(part: Model, shape: tuple[int, ...], path: tuple[str, ...]) -> Iterator[Any]:
        nonlocal flattened, spatial
        kind = None if part.spec is None else part.spec.constructor
        if part.parts and not isinstance(part, Composite):  # one after another
            for name, inner in part.parts:
                shape = yield from walk(inner, shape, (*path, name))
            return shape
        params, state, after = abstract_init(part, shape)
        leaves = {name: like.shape for name, like in {**params, **state}.items() if hasattr(like, "shape")}
        if len(leaves) < len(jax.tree.leaves((params, state))) or part.parts or not leaves.keys() <= _TORCH.keys():
            where = "/".join(path) or "the model"
            raise ValueError(f"{where} is no stack of dense, embedding, convolution and normalization layers")
        if leaves:
            ordered = {leaf: leaves[leaf] for leaf in _TORCH if leaf in leaves}
            yield _Layer(path, kind, ordered, flattened)
            flattened = None if "kernel" in leaves else flattened
            spatial |= len(leaves.get("kernel", ())) > 2
        elif kind == "flatten" and (len(shape) > 2 or (spatial and len(shape) > 1)):
            flattened = shape
        return after

    yield from walk(as_model(model), tuple(input_shape), ())


def _from_torch(array: np.ndarray, leaf: str, layer: _Layer) -> np.ndarray:
    """A torch array in the layout that it has here."""
    if layer.kind == "embedding":
        return array
    if leaf == "kernel" and layer.kind == "conv_transpose":  # (in, out/groups, *space)
        inner = layer.leaves["kernel"][-2]
        groups = array.reshape(-1, inner, *array.shape[1:]) if len(array) % inner == 0 else array[None]
        array = np.moveaxis(groups, (0, 1, 2), (-2, -3, -1)).reshape(*array.shape[2:], groups.shape[1], -1)
    elif leaf == "kernel":
        array = array.transpose(*range(2, array.ndim), 1, 0)
    images = layer.flattened
    if images is None or leaf == "bias" or array.shape[0] != np.prod(images):  # a bias is of what comes out
        return array
    first = array.reshape(images[-1], *images[:-1], *array.shape[1:])  # channels first, as torch flattens
    return np.moveaxis(first, 0, len(images) - 1).reshape(array.shape)


def _from_keras(array: np.ndarray, leaf: str, layer: _Layer) -> np.ndarray:
    """A Keras array in the layout that it has here."""
    if leaf == "kernel" and layer.kind == "conv_transpose":
        return array.swapaxes(-1, -2)
    if leaf == "kernel" and layer.kind == "depthwise_conv":
        return array.reshape(*array.shape[:-2], 1, -1)
    return array


def _checked(array: np.ndarray, leaf: str, layer: _Layer, name: str) -> np.ndarray:
    """``array``; a ValueError when it has another shape than the layer's leaf."""
    if array.shape != layer.leaves[leaf]:
        raise ValueError(
            f"{name} has the shape {array.shape} in the layout of {'/'.join((*layer.path, leaf))}, "
            f"which is {layer.leaves[leaf]}"
        )
    return array


def _trees(model: Any, input_shape: Sequence[int], values: Mapping[tuple[str, ...], np.ndarray]) -> tuple[Any, Any]:
    """The model's trees with these numbers in them, by path."""
    params, state, _ = abstract_init(as_model(model), tuple(input_shape))
    return jax.tree_util.tree_map_with_path(
        lambda path, like: jnp.asarray(values[tuple(part.key for part in path[1:])], like.dtype), (params, state)
    )
