"""Which of torch's parameters is which leaf, and a model's parameters both ways.

torch counts parameters in the order in which a module made them: layer by layer, weight before bias. Without ``order``
the leaves of jaxdict's own parameters come so too: ``dense_1``, ``dense_2``, … by their numbers, ``kernel`` before
``bias``, ``scale`` before ``offset``; lists, tuples and modules keep the order that they have. Layers of several kinds
side by side, ``batch_norm_1`` and ``dense_1``, do not tell who was first: give the model as ``order``, or the paths.

A leaf called ``kernel`` is (…, in, out) here and (out, in, …) in torch, and is turned on the way; so are its moments.
All others are as in torch. A dense layer that reads flattened images sees their pixels in another order there,
channels first: no turning of a kernel can know that.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict.layers import Model

Order: TypeAlias = Model | Sequence[str | tuple[str, Sequence[int]]] | None

_FIRST = ("kernel", "weight", "w", "W", "scale", "gamma", "embedding", "alpha")
_THEN = ("bias", "b", "offset", "beta")
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


class Slot(NamedTuple):
    """A leaf: its path, its shape and type, and the axes that turn torch's array into it."""

    path: str
    like: Any
    axes: tuple[int, ...]

    def read(self, name: str, value: Any) -> jax.Array:
        """torch's array as the leaf; a ValueError where the shapes do not fit."""
        array = to_numpy(value)
        wanted = tuple(self.like.shape[axis] for axis in np.argsort(self.axes))
        if array.shape != wanted:
            turned = "" if wanted == tuple(self.like.shape) else f", in torch {wanted}"
            raise ValueError(f"{name} has shape {array.shape}; {self.path} is {tuple(self.like.shape)}{turned}")
        return jnp.asarray(array.transpose(self.axes))

    def write(self, leaf: Any) -> np.ndarray:
        """The leaf as torch's array, a copy that torch may write to."""
        return np.array(np.asarray(leaf).transpose(np.argsort(self.axes)), order="C")


def import_params(state_dict: Mapping[str, Any] | Iterable[Any], params: Any, *, order: Order = None) -> Any:
    """The parameters of a torch module in the tree of a jaxdict model.

    Args:
      state_dict: ``module.state_dict()``, or tensors or arrays in that order. Running averages are passed over.
      params: parameters of the same architecture, for their structure, shapes and types.
      order: the leaves in torch's order: their paths, ``"dense_1/kernel"``, a pair ``(path, axes)`` where torch's array
        must be transposed otherwise; or the jaxdict model. See the head of this module for what it is without.

    Returns:
      The parameters.

    Raises:
      ValueError: another number of parameters, other shapes, an order that is not known or not of these leaves.
    """
    found, given = slots(params, order), _named(state_dict)
    _check_number(found, [name for name, _ in given])
    leaves = {s.path: s.read(name, v).astype(s.like.dtype) for s, (name, v) in zip(found, given, strict=True)}
    return rebuilt(params, leaves)


def export_params(
    params: Any, state_dict: Mapping[str, Any] | Iterable[str], *, order: Order = None
) -> dict[str, np.ndarray]:
    """A jaxdict model's parameters as a torch module's: what ``load_state_dict`` takes after ``torch.as_tensor``.

    Args:
      params: the parameters.
      state_dict: that of the torch module, or its names alone; running averages are left out of the result.
      order: as in ``import_params``.

    Returns:
      name -> array.

    Raises:
      ValueError: as in ``import_params``.
    """
    found = slots(params, order)
    named = _named(state_dict) if isinstance(state_dict, Mapping) else [(name, None) for name in state_dict]
    _check_number(found, [name for name, _ in named])
    leaves = by_path(params)
    for slot, (name, value) in zip(found, named, strict=True):
        if value is not None:
            slot.read(name, value)
    return {name: slot.write(leaves[slot.path]) for slot, (name, _) in zip(found, named, strict=True)}


def slots(params: Any, order: Order) -> list[Slot]:
    """The leaves of ``params`` in torch's order."""
    leaves = by_path(params)
    if order is None:
        listed: list[Any] = _known_order([(path, _name(path)) for path, _ in _flat(params)])
    elif isinstance(order, Model):
        layers = {layer: i for i, layer in enumerate(_layers(order))}
        unknown = [path for path in leaves if path.rpartition("/")[0] not in layers]
        if unknown:
            raise ValueError(f"{unknown[0]} is in no layer of the model; its layers: {', '.join(layers)}")
        listed = sorted(leaves, key=lambda path: (layers[path.rpartition("/")[0]], _rank(path.rpartition("/")[2])))
    else:
        listed = list(order)
    pairs = [(item, None) if isinstance(item, str) else item for item in listed]
    paths = [path for path, _ in pairs]
    if sorted(paths) != sorted(leaves):
        odd = sorted(set(paths) ^ set(leaves)) or sorted(p for p in set(paths) if paths.count(p) > 1)
        raise ValueError(f"order must name every leaf once; {odd[0]!r} is not so; leaves: {', '.join(leaves)}")
    return [
        Slot(path, leaves[path], tuple(_axes(path, len(leaves[path].shape)) if axes is None else axes))
        for path, axes in pairs
    ]


def by_path(tree: Any) -> dict[str, Any]:
    """Path -> leaf, in JAX's order."""
    return {_name(path): leaf for path, leaf in _flat(tree)}


def rebuilt(tree: Any, leaves: Mapping[str, Any]) -> Any:
    """The tree with new leaves."""
    return jax.tree.unflatten(jax.tree.structure(tree), [leaves[path] for path in by_path(tree)])


def to_numpy(value: Any) -> np.ndarray:
    """An array or tensor as NumPy's, without importing torch."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # which NumPy does not have
            value = value.float()
    return np.asarray(value)


def _flat(tree: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_flatten_with_path(tree)[0]


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/") or "params"


def _known_order(items: list[tuple[Any, str]]) -> list[str]:
    groups: dict[Any, list[tuple[Any, str]]] = {}
    for path, name in items:
        if not path:
            return [name]
        groups.setdefault(path[0], []).append((path[1:], name))
    keys = list(groups)
    if len(keys) > 1 and isinstance(keys[0], jax.tree_util.DictKey):
        names = [key.key for key in keys]
        keys = sorted(keys, key=lambda key: _rank_among(key.key, names))
    return [name for key in keys for name in _known_order(groups[key])]


def _rank_among(name: Any, names: list[Any]) -> Any:
    """Where a dict's key stands among its siblings: by its number where they share a stem, weights before biases."""
    parts = [re.fullmatch(r"(.*?)(\d+)", str(n)) for n in names]
    if all(parts) and len({part[1] for part in parts if part}) == 1:
        return int(re.findall(r"\d+$", str(name))[0])
    if all(str(n) in _FIRST + _THEN for n in names) and len({_rank(str(n)) for n in names}) == len(names):
        return _rank(str(name))
    raise ValueError(f"which of {', '.join(map(str, names))} comes first in torch is not known; give order=")


def _rank(leaf: str) -> int:
    return 0 if leaf in _FIRST else 1


def _layers(model: Model, prefix: str = "") -> Iterable[str]:
    for name, part in model.parts:
        yield from _layers(part, f"{prefix}{name}/") if part.parts else [prefix + name]


def _axes(path: str, ndim: int) -> tuple[int, ...]:
    if ndim >= 2 and path.rpartition("/")[2] == "kernel":
        return (*range(2, ndim), 1, 0)
    return tuple(range(ndim))


def _named(state_dict: Mapping[str, Any] | Iterable[Any]) -> list[tuple[str, Any]]:
    if isinstance(state_dict, Mapping):
        return [(n, v) for n, v in state_dict.items() if n.rpartition(".")[2] not in _BUFFERS]
    return [(f"parameter {i}", value) for i, value in enumerate(state_dict)]


def _check_number(found: Sequence[Slot], names: Sequence[str]) -> None:
    if len(found) != len(names):
        listed = [f"{s.path} {tuple(s.like.shape)}" for s in found]
        raise ValueError(f"torch has {len(names)} parameters ({', '.join(names)}), here are {len(found)}: {listed}")


__all__ = ["export_params", "import_params"]
