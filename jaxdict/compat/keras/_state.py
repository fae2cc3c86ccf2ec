"""A run's numbers between Keras and jaxdict: parameters and running averages, and what an optimizer remembers.

Keras keeps lists of variables, jaxdict trees. Without ``order`` they are matched by name: a ``kernel`` or ``bias`` of
Keras's i-th layer that has one belongs to jaxdict's i-th such layer, by the numbers in their names (``dense_2``); so do
``gamma``, ``beta``, ``moving_mean`` and ``moving_variance`` of normalizations to ``scale``, ``offset``, ``mean`` and
``variance``. Kernels are (in, out) in both. For other trees, ``order`` names the leaves in the order of Keras's
variables, as ``("dense_1/kernel", "dense_1/bias", …)``.
"""

import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check
from jaxdict.compat.keras.optimizers import (
    AdadeltaState,
    AdagradState,
    AdamaxState,
    AdamState,
    FtrlState,
    MomentumState,
    NadamState,
    RMSpropState,
)

__all__ = ["export_optimizer_state", "export_params", "import_optimizer_state", "import_params"]

# Keras's slots in the order of its variables: those of a group stand side by side, parameter by parameter.
_GROUPS = {
    MomentumState: (("average",), ("momentum",)),
    AdagradState: (("average",), ("accumulator",)),
    RMSpropState: (("average",), ("velocity",), ("momentum",), ("average_gradient",)),
    AdadeltaState: (("average",), ("accumulated_grad", "accumulated_delta_var")),
    AdamState: (("average",), ("momentum", "velocity"), ("velocity_hat",)),
    AdamaxState: (("average",), ("momentum", "norm")),
    NadamState: (("average",), ("momentum", "velocity")),
    FtrlState: (("average",), ("accumulator", "linear")),
}
_SCALARS = {"count": "iteration", "learning_rate": "learning_rate"}
_OURS = {
    "kernel": "kernel", "bias": "bias",
    "gamma": "scale", "beta": "offset", "moving_mean": "mean", "moving_variance": "variance",
}  # fmt: skip
_NORM = ("scale", "offset", "mean", "variance")


def import_params(
    weights: Sequence[Any], params: Any, state: Any = None, *, order: Sequence[str] | None = None
) -> tuple[Any, Any]:
    """A Keras model's numbers in the trees of a jaxdict model.

    Args:
      weights: ``model.weights``, or the ``(path, array)`` of each; bare arrays where ``order`` is given.
      params: parameters of the same architecture, for their structure, shapes and types.
      state: the model's state, where it has running averages.
      order: leaves of ``params`` and ``state`` in the order of ``weights``.

    Returns:
      ``(params, state)``.

    Raises:
      ValueError: variables and leaves that do not belong together: the first difference is named.
    """
    leaves, given = _leaves(params, {} if state is None else state), _variables(weights)
    paths = _matched([name for name, _ in given], leaves, order)
    values = dict(zip(paths, (array for _, array in given), strict=True))
    new = {path: _fitting(path, values[path], like) for path, like in leaves.items()}
    return _rebuilt(params, new), _rebuilt({} if state is None else state, new)


def export_params(
    params: Any, weights: Sequence[Any], state: Any = None, *, order: Sequence[str] | None = None
) -> list[np.ndarray]:
    """A jaxdict model's numbers in the order of a Keras model's: ``for w, a in zip(weights, …): w.assign(a)``.

    Args:
      params: the parameters.
      weights: ``model.weights`` of the same architecture, for their order, names and shapes.
      state: the model's state, where it has running averages.
      order: as in `import_params`.

    Returns:
      An array for every variable, of its shape.

    Raises:
      ValueError: variables and leaves that do not belong together: the first difference is named.
    """
    leaves = _leaves(params, {} if state is None else state)
    variables = _variables(weights)
    paths = _matched([name for name, _ in variables], leaves, order)
    return [_fitting(name or path, leaves[path], like) for path, (name, like) in zip(paths, variables, strict=True)]


def import_optimizer_state(
    variables: Sequence[Any], params: Any, *, optimizer: Any = None, order: Sequence[str] | None = None
) -> Any:
    """What a Keras optimizer remembers, as the state of the optimizer of that name in `jaxdict.compat.keras`.

    Give the jaxdict optimizer the same arguments, and it goes on where Keras stopped. The rate is the optimizer's own:
    the state's ``learning_rate`` is what Keras used last.

    Args:
      variables: ``optimizer.variables`` of a built Keras optimizer, or the ``(path, array)`` of each; bare arrays, as
        in a saved file, where ``optimizer`` and ``order`` are given.
      params: the parameters, for structure, shapes and types.
      optimizer: the jaxdict optimizer that goes on; without it the kind of state is told by the variables' names
        (Adam's for Lamb, SGD's for Lion, the same slots).
      order: leaves of ``params`` in the order of Keras's trainable variables.

    Returns:
      The state.

    Raises:
      ValueError: variables that are not those of such an optimizer with such parameters: the first difference is named.
    """
    given = _variables(variables)
    names = [name for name, _ in given]
    state = _empty(names, params) if optimizer is None else optimizer.init(params)
    values = dict(zip(_places(names, state, _leaves(params), order), (array for _, array in given), strict=True))
    fields = state._asdict()
    for name, like in fields.items():
        if (name, None) in values:
            fields[name] = jnp.asarray(_fitting(name, values[name, None], like))
    for slot in (slot for group in _slots(state) for slot in group):
        like = fields[slot]
        new = {path: _fitting(f"{slot} of {path}", values[slot, path], leaf) for path, leaf in _leaves(like).items()}
        fields[slot] = _rebuilt(like, new)
    return type(state)(**fields)


def export_optimizer_state(
    state: Any, variables: Sequence[Any], *, order: Sequence[str] | None = None
) -> list[np.ndarray]:
    """The state of a `jaxdict.compat.keras` optimizer in the order of a Keras optimizer's variables.

    ``for v, a in zip(optimizer.variables, export_optimizer_state(state, optimizer.variables)): v.assign(a)`` and Keras
    goes on where jaxdict stopped.

    Args:
      state: the state.
      variables: ``optimizer.variables`` of the Keras optimizer, built on the model's trainable variables.
      order: as in `import_optimizer_state`.

    Returns:
      An array for every variable, of its shape.

    Raises:
      ValueError: variables that are not those of such an optimizer with such parameters: the first difference is named.
    """
    trees = {slot: _leaves(getattr(state, slot)) for group in _slots(state) for slot in group}
    given = _variables(variables)
    places = _places([name for name, _ in given], state, next(iter(trees.values()), {}), order)
    return [
        _fitting(name or field, getattr(state, field) if path is None else trees[field][path], like)
        for (field, path), (name, like) in zip(places, given, strict=True)
    ]


def _slots(state: Any) -> list[list[str]]:
    """The slots that a state holds, by groups in Keras's order."""
    if type(state) not in _GROUPS:
        raise TypeError(f"the state must be that of an optimizer of jaxdict.compat.keras; got {type(state).__name__}")
    groups = [[slot for slot in group if getattr(state, slot) is not None] for group in _GROUPS[type(state)]]
    return [group for group in groups if group]


def _places(names: list, state: Any, leaves: dict[str, Any], order: Sequence[str] | None) -> list[tuple]:
    """For every variable the field of the state, and the leaf in it, None for a scalar."""
    groups = _slots(state)
    sequence = [(slot, index) for group in groups for index in range(len(leaves)) for slot in group]
    before: list[tuple] = [("count", None), ("learning_rate", None)]
    after: list[tuple] = [("u_product", None)] if isinstance(state, NadamState) else []
    expected = len(before) + len(sequence) + len(after)
    if len(names) == expected - 1:
        before.pop()  # a schedule is no variable
    elif len(names) != expected:
        raise ValueError(
            f"{type(state).__name__} of {len(leaves)} parameters has {expected} variables, one less with a schedule;"
            f" got {len(names)}"
        )
    own = names[len(before) : len(names) - len(after)]
    endings = [_SCALARS[field] for field, _ in before] + [f"_{slot}" for slot, _ in sequence]
    for name, ending in zip(names, endings, strict=False):
        if name is not None and not name.endswith(ending):
            raise ValueError(f"variable {name!r} stands where one that ends with {ending!r} belongs")
    if not sequence:
        return before + after
    # The parameters are read off the first slot, which comes around once for each.
    parameters = [name and name.removesuffix(f"_{groups[0][0]}") for name in own[:: len(groups[0])][: len(leaves)]]
    paths = _matched(parameters, leaves, order)
    return before + [(slot, paths[index]) for slot, index in sequence] + after


def _empty(names: list, params: Any) -> Any:
    """A state of the kind that the variables' names tell, all 0."""
    if None in names:
        raise ValueError("bare arrays do not say what they are: give optimizer and order")
    slots = [slot for kind in _GROUPS for group in _GROUPS[kind] for slot in group]
    rest = [name for name in names if not name.endswith(tuple(_SCALARS.values()))]
    found = [next((slot for slot in slots if name.endswith(f"_{slot}")), None) for name in rest]
    count = len(jax.tree.leaves(params))
    zeros = jax.tree.map(lambda p: jnp.zeros_like(p, _check.compute_dtype(jnp.result_type(p))), params)
    for kind in _GROUPS:
        held = {slot for group in _GROUPS[kind] for slot in group} & set(found)
        fields = dict.fromkeys(kind._fields) | dict.fromkeys(held, zeros)
        fields |= {"count": jnp.zeros((), jnp.int32), "learning_rate": jnp.zeros(())}
        if "u_product" in fields:
            fields["u_product"] = jnp.ones(())
        state = kind(**fields)
        layout = [slot for group in _slots(state) for _ in range(count) for slot in group]
        complete = all(fields[name] is not None for name in kind._fields if name not in kind._field_defaults)
        if complete and found == layout + [None] * ("u_product" in fields):
            return state
    raise ValueError(
        f"no optimizer of jaxdict.compat.keras has these variables of {count} parameters: {', '.join(map(str, names))}"
    )


def _matched(names: list, leaves: dict[str, Any], order: Sequence[str] | None) -> list[str]:
    """The leaf of every variable: as ``order`` has it, or by the names."""
    paths = list(order) if order is not None else _by_name(names, leaves)
    for path in paths:
        if path not in leaves:
            raise ValueError(f"there is no leaf {path!r}; {_check.did_you_mean(path, leaves)}")
    for path in leaves:
        if paths.count(path) != 1:
            raise ValueError(f"leaf {path!r} belongs to {paths.count(path)} variables, where it should to one")
    if len(paths) != len(names):
        raise ValueError(f"there are {len(names)} variables, and {len(paths)} leaves")
    return paths


def _by_name(names: list, leaves: dict[str, Any]) -> list[str]:
    layers: dict[bool, list[str]] = {False: [], True: []}
    for path in sorted(leaves, key=_natural):
        parent, _, leaf = path.rpartition("/")
        if leaf not in _OURS.values():
            raise ValueError(f"leaf {path!r} has no counterpart by name: give order")
        if parent not in layers[leaf in _NORM]:
            layers[leaf in _NORM].append(parent)
    for found in layers.values():
        if len({re.sub(r"\d+", "", parent) for parent in found}) > 1:
            raise ValueError(f"layers {', '.join(found)} do not say by their names which is first: give order")
    theirs: dict[bool, list[str]] = {False: [], True: []}
    paths = []
    for name in names:
        parts = re.fullmatch(rf"(.*?)[/_]?({'|'.join(_OURS)})", name or "")
        if parts is None:
            raise ValueError(f"variable {name!r} has no counterpart by name: give order")
        layer, leaf = parts[1], _OURS[parts[2]]
        seen, known = theirs[leaf in _NORM], layers[leaf in _NORM]
        if layer not in seen:
            seen.append(layer)
        if seen.index(layer) >= len(known):
            raise ValueError(f"variable {name!r} has no counterpart: there are {len(known)} such layers")
        path = "/".join(filter(None, (known[seen.index(layer)], leaf)))
        if path not in leaves:
            raise ValueError(f"variable {name!r} has no counterpart: there is no leaf {path!r}")
        paths.append(path)
    return paths


def _natural(path: str) -> list:
    """For sorting: ``dense_10`` comes after ``dense_2``."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path)]


def _variables(items: Sequence[Any]) -> list[tuple[str | None, np.ndarray]]:
    """``(path, array)`` of variables, of pairs, and of arrays, which have no path."""
    pairs = []
    for item in items:
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
            pairs.append((item[0], np.asarray(item[1])))
        else:
            name = getattr(item, "path", None) or getattr(item, "name", None)
            numpy = getattr(item, "numpy", None)
            pairs.append((name, np.asarray(item if numpy is None else numpy())))
    return pairs


def _leaves(*trees: Any) -> dict[str, Any]:
    """Leaves by path, ``dense_1/kernel``."""
    leaves: dict[str, Any] = {}
    for tree in trees:
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            if name in leaves:
                raise ValueError(f"params and state both have a leaf {name!r}")
            leaves[name] = leaf
    return leaves


def _fitting(name: str, value: Any, like: Any) -> np.ndarray:
    """``value`` in the type of ``like``; a ValueError when the shapes differ."""
    if np.shape(value) != np.shape(like):
        raise ValueError(f"{name}: shape {np.shape(value)} was given where {np.shape(like)} belongs")
    return np.asarray(value).astype(like.dtype)


def _rebuilt(tree: Any, values: dict[str, np.ndarray]) -> Any:
    """``tree`` with the leaves of its paths in ``values``."""
    return jax.tree.unflatten(jax.tree.structure(tree), [jnp.asarray(values[path]) for path in _leaves(tree)])
