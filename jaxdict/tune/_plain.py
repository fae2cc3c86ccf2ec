"""Choices as JSON data: what is written down of a candidate, and by which a search is known again."""

import functools
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxdict import _registry
from jaxdict import data as data_room
from jaxdict.layers import Model
from jaxdict.models import spec_to_json


def plain(value: Any) -> Any:
    """``value`` as JSON data: numbers and strings as they are, functions and models by their names."""
    if isinstance(value, Model) and (spec := spec_to_json(value)) is not None:
        return json.loads(spec) if isinstance(spec, str) else spec
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, functools.partial):
        return [plain(value.func), *map(plain, value.args), plain(value.keywords)]
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"array {data_room.fingerprint((np.asarray(value),))}"
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple, range)) and not hasattr(value, "_fields"):
        return [plain(one) for one in value]
    return _name(value)


def _name(value: Any) -> str:
    if callable(value):
        found = next((entry.name for entry in _registry.iterate() if entry.function is value), None)
        return found or getattr(value, "__qualname__", type(value).__qualname__)
    name = getattr(value, "name", None)
    return name if isinstance(name, str) else type(value).__qualname__
