"""Weights from a safetensors file of any program, by name."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from jaxdict import checkpoint
from jaxdict.transfer._paths import by_path, rebuilt

Rename = Mapping[str, str] | Callable[[str], str | None]


def load_safetensors(
    path: str | os.PathLike[str], params: Any, *, rename: Rename | None = None, strict: bool = True
) -> Any:
    """``params`` with the tensors of a safetensors file, each in the place of its name.

    Layouts are taken as they are; `from_torch` turns those of PyTorch.

    Args:
      path: a safetensors file, of jaxdict or any other program.
      params: the parameters of the model, for their paths, shapes and types; and their values where strict is False.
      rename: a tensor's name -> path in ``params``, ``"dense_1/kernel"``: a dict, where names that are not in it stay,
        or a function, which gives None for tensors to pass over. None: names are paths.
      strict: whether every leaf must be in the file and every tensor in ``params``; otherwise leaves that are not keep
        their values, and such tensors are passed over.

    Returns:
      A tree like ``params``, in its types.

    Raises:
      ValueError: leaves that are missing, tensors that are not expected, other shapes, two tensors of one name: all at
        once. CheckpointError: a file that is missing, damaged or no safetensors file.
    """
    ours, found, wrong = by_path(params), {}, []
    for name, tensor in by_path(checkpoint.load(path)).items():
        place = name if rename is None else rename.get(name, name) if isinstance(rename, Mapping) else rename(name)
        if place is None:
            continue
        if place in found:
            wrong.append(f"{place} twice, the second time as {name!r}")
        found[place] = tensor
    missing = [place for place in ours if place not in found]
    unexpected = [place for place in found if place not in ours]
    if strict and missing:
        wrong.append(f"missing in the file: {', '.join(missing)}")
    if strict and unexpected:
        wrong.append(f"not expected: {', '.join(unexpected)}")
    for place in ours.keys() & found.keys():
        have, want = jnp.shape(found[place]), jnp.shape(ours[place])
        if have != want:
            wrong.append(f"{place} has the shape {have} in the file, {want} expected")
    if not ours.keys() & found.keys():
        wrong.append("no tensor has the name of a leaf; give rename=")
    if wrong:
        raise ValueError("\n  ".join([f"{Path(path)} does not fit:", *sorted(wrong)]))
    fitting = {place: jnp.asarray(found[place], jnp.result_type(ours[place])) for place in ours if place in found}
    return rebuilt(params, fitting)
