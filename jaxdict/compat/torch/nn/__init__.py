"""PyTorch's ``torch.nn``: ``functional``, ``init``, ``utils``, and the layers whose defaults are its own."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxdict.compat.torch.nn import functional, init, utils
    from jaxdict.compat.torch.nn.modules import BatchNorm1d, Linear

_LAYERS = ("BatchNorm1d", "Linear")

__all__ = ["BatchNorm1d", "Linear", "functional", "init", "utils"]


def __getattr__(name: str) -> Any:
    if name in _LAYERS:
        return getattr(importlib.import_module("jaxdict.compat.torch.nn.modules"), name)
    if name in __all__:
        return importlib.import_module(f"jaxdict.compat.torch.nn.{name}")
    raise AttributeError(f"module 'jaxdict.compat.torch.nn' has no attribute {name!r}")
