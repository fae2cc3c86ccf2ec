"""How a model was made, as JSON text: what a checkpoint rebuilds it from."""

import json
from collections.abc import Mapping
from typing import Any

from jaxdict import _check, _registry
from jaxdict.layers import CONSTRUCTORS, Model

__all__ = ["spec_from_json", "spec_to_json"]


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
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _encode(v) for key, v in value.items()}}
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
        if isinstance(value, dict) and "dict" in value:
            return {k: decode(v) for k, v in value["dict"].items()}
        if isinstance(value, dict):
            name = value["model"]
            if name not in CONSTRUCTORS:
                raise ValueError(f"no model is made by {name!r}; {_check.did_you_mean(name, CONSTRUCTORS)}")
            return CONSTRUCTORS[name](
                *map(decode, value["args"]), **{k: decode(v) for k, v in value["options"].items()}
            )
        return value

    return decode(json.loads(text))
