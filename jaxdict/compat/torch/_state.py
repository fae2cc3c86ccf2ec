"""What an optimizer remembers, between torch's ``state_dict`` and the state of ``compat.torch.optim``."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdict import _check
from jaxdict.compat.torch import optim
from jaxdict.compat.torch._params import Order, Slot, by_path, rebuilt, slots, to_numpy

__all__ = ["export_optimizer_state", "import_optimizer_state"]

_STATES: dict[str, Any] = {
    "SGD": optim.SGDState, "Adagrad": optim.AdagradState, "RMSprop": optim.RMSpropState,
    "Adadelta": optim.AdadeltaState, "Adam": optim.AdamState, "AdamW": optim.AdamState, "RAdam": optim.AdamState,
    "Adamax": optim.AdamaxState, "NAdam": optim.NAdamState, "Rprop": optim.RpropState,
}  # fmt: skip
_SCALARS = ("mu_product",)  # one for all parameters here, one each in torch, all equal


def import_optimizer_state(
    state_dict: Mapping[str, Any],
    params: Any,
    *,
    optimizer: Any = None,
    order: Order = None,
    count: int | None = None,
) -> Any:
    """What a torch optimizer remembers, as the state of the optimizer of that name in ``compat.torch.optim``.

    Give the jaxdict optimizer the same arguments, and it goes on where torch stopped. Parameters that torch has not
    stepped yet begin from 0. Groups are joined in their order; the rate is the optimizer's own.

    Args:
      state_dict: ``optimizer.state_dict()``, of tensors, arrays or numbers.
      params: the parameters, for structure, shapes and types.
      optimizer: the jaxdict optimizer that goes on, or its name; told by the keys of the state when None.
      order: the leaves in torch's order, as in ``import_params``.
      count: updates done, which a schedule is asked with. When None torch's ``step``; SGD has none: 1 with a
        buffer, else 0. Give it where the rate changes.

    Returns:
      The state.

    Raises:
      ValueError: keys of no optimizer here, or not of this one; shapes that do not fit, the first one named; parameters
        with different steps. TypeError: not a state_dict.
    """
    if not isinstance(state_dict, Mapping) or "state" not in state_dict:
        raise TypeError(f"state_dict must be what optimizer.state_dict() gives; got {type(state_dict).__name__}")
    found, groups = slots(params, order), state_dict.get("param_groups", [])
    entries = {i: {k: v for k, v in one.items() if v is not None} for i, one in state_dict["state"].items()}
    ids = [i for group in groups for i in group["params"]] if groups else list(range(len(found)))
    _check_ids(ids, entries, found)
    keys = {key for one in entries.values() for key in one}
    memory = _memory(keys, optimizer)
    begun: Any = optimizer.init(params) if isinstance(optimizer, optim.Optimizer) else None
    if begun is not None and keys:
        _check_buffers(begun, keys, optimizer)
    fields: dict[str, Any] = dict.fromkeys(memory._fields)
    for name in _buffers(memory):
        if name in keys and name in _SCALARS:
            fields[name] = jnp.asarray(_common(name, entries), jnp.result_type(float))
        elif name in keys:
            fields[name] = _tree(name, found, [entries.get(i, {}) for i in ids], params)
        elif begun is not None:
            fields[name] = getattr(begun, name)
    fields["count"] = jnp.asarray(_count(entries, keys, count), jnp.int32)
    rate = groups[0]["lr"] if groups and "lr" in groups[0] else 0.0 if begun is None else begun.learning_rate
    fields["learning_rate"] = jnp.asarray(to_numpy(rate), jnp.float32)
    return memory(**fields)


def export_optimizer_state(
    state: Any,
    params: Any,
    *,
    optimizer: optim.Optimizer | None = None,
    param_groups: Sequence[Mapping[str, Any]] | None = None,
    order: Order = None,
) -> dict[str, Any]:
    """A state of ``compat.torch.optim`` as a torch optimizer's ``state_dict``.

    ``load_state_dict`` takes it once its arrays went through ``torch.as_tensor``. The numbers among them, ``step`` and
    NAdam's ``mu_product``, better stay numbers: torch makes tensors of its own type of them, where it would give a
    tensor the parameter's.

    Args:
      state: the state; of a chain, the part that is the optimizer's.
      params: the parameters.
      optimizer: the optimizer that made it: its arguments become those of the groups, schedules their value now.
      param_groups: torch's, as they were imported, where there are several or more stands in them.
      order: the leaves in torch's order, as in ``import_params``.

    Returns:
      ``{"state": {index: {name: array or number}}, "param_groups": [...]}``.

    Raises:
      ValueError: neither optimizer nor groups, groups of another number of parameters. TypeError: another state.
    """
    if type(state) not in _STATES.values():
        known = sorted({one.__name__ for one in _STATES.values()})
        raise TypeError(f"state must be one of {', '.join(known)}; got {type(state).__name__}")
    if optimizer is None and param_groups is None:
        raise ValueError(
            "torch needs the arguments too: give the optimizer that made the state, or torch's param_groups"
        )
    found = slots(params, order)
    groups = [dict(group) for group in param_groups] if param_groups else [{"params": list(range(len(found)))}]
    ids = [i for group in groups for i in group["params"]]
    _check_ids(ids, {}, found)
    if optimizer is not None:
        if _STATES[optimizer.name] is not type(state):
            raise TypeError(f"{type(state).__name__} is not the state of {optimizer.name}")
        for group in groups:
            group.update(_arguments(optimizer, state.count))
    kept = {name: getattr(state, name) for name in _buffers(type(state)) if getattr(state, name) is not None}
    leaves = {name: None if name in _SCALARS else by_path(tree) for name, tree in kept.items()}
    content = {}
    for i, slot in zip(ids, found, strict=True):
        step = {} if isinstance(state, optim.SGDState) else {"step": float(state.count)}
        arrays = {n: float(kept[n]) if of is None else slot.write(of[slot.path]) for n, of in leaves.items()}
        content[i] = step | arrays
    return {"state": content if int(state.count) else {}, "param_groups": groups}


def _buffers(memory: Any) -> list[str]:
    return [name for name in memory._fields if name not in ("count", "learning_rate")]


def _keys(name: str) -> tuple[set[str], set[str]]:
    """The keys that torch's state of this optimizer must hold, and those that it may."""
    memory = _STATES[name]
    optional = set(memory._field_defaults)
    step = set() if name == "SGD" else {"step"}
    return step | (set(_buffers(memory)) - optional), optional


def _memory(keys: set[str], optimizer: Any) -> Any:
    """The class of state: the one asked for where the keys fit it, else the one that they tell."""
    name = getattr(optimizer, "name", optimizer)
    if name is not None:
        _check.one_of("optimizer", name, _STATES)
    names = _STATES if name is None else [name]
    for known in names:
        needed, optional = _keys(known)
        if needed <= keys <= needed | optional or (not keys and name is not None):
            return _STATES[known]

    def likeness(known):
        every = set.union(*_keys(known))
        return len(every & keys) / len(every | keys)

    closest = max(names, key=likeness)
    needed, optional = _keys(closest)
    may = f", and may have {', '.join(sorted(optional))}" if optional else ""
    who = "are not those of" if name else "belong to no optimizer here; the closest is"
    raise ValueError(f"the state's keys {', '.join(sorted(keys))} {who} {closest}: {', '.join(sorted(needed))}{may}")


def _check_ids(ids: Sequence[Any], entries: Mapping[Any, Any], found: Sequence[Slot]) -> None:
    if len(ids) != len(found):
        listed = ", ".join(f"{s.path} {tuple(s.like.shape)}" for s in found)
        raise ValueError(f"torch's groups hold {len(ids)} parameters, here are {len(found)}: {listed}")
    for i in entries:
        if i not in ids:
            raise ValueError(f"the state has an entry for parameter {i}, which is in no group; parameters: {list(ids)}")


def _check_buffers(begun: Any, keys: set[str], optimizer: optim.Optimizer) -> None:
    for name in _buffers(type(begun)):
        if (getattr(begun, name) is not None) != (name in keys):
            has, lacks = ("torch's state", optimizer.name) if name in keys else (optimizer.name, "torch's state")
            raise ValueError(f"{has} has a {name}, {lacks} has none: were both made with the same arguments?")


def _tree(name: str, found: Sequence[Slot], entries: Sequence[Mapping[str, Any]], params: Any) -> Any:
    leaves = {}
    for i, (slot, entry) in enumerate(zip(found, entries, strict=True)):
        dtype = _check.compute_dtype(slot.like.dtype)
        value = slot.read(f"{name} of parameter {i}", entry[name]) if name in entry else jnp.zeros(slot.like.shape)
        leaves[slot.path] = value.astype(dtype)
    return rebuilt(params, leaves)


def _common(name: str, entries: Mapping[Any, Mapping[str, Any]]) -> float:
    values = {float(to_numpy(one[name])) for one in entries.values() if name in one}
    if len(values) > 1:
        raise ValueError(f"all parameters must have the same {name}; got {sorted(values)}")
    return values.pop()


def _count(entries: Mapping[Any, Mapping[str, Any]], keys: set[str], count: int | None) -> int:
    if count is not None:
        return _check.integer("count", count, low=0)
    if "step" in keys:
        return int(_common("step", entries))
    return 1 if keys else 0


def _arguments(optimizer: optim.Optimizer, count: Any) -> dict[str, Any]:
    """The arguments as torch's groups hold them: schedules as their value for the next update."""

    def number(value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return tuple(map(number, value))
        value = value(count) if callable(value) else value
        return value if value is None or isinstance(value, (bool, int, float)) else float(np.asarray(value))

    decoupled = {"AdamW": {"decoupled_weight_decay": True}}.get(optimizer.name, {})
    return {name: number(value) for name, value in optimizer.defaults.items()} | decoupled
