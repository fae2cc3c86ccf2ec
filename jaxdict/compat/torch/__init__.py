"""PyTorch's names, arguments and defaults over JAX: the same values to rounding, without torch.

Laid out as torch is: ``optim``, ``optim.lr_scheduler``, ``nn``. Optimizers are optax transformations, schedulers
functions ``step -> rate``. ``import_optimizer_state`` and ``import_params`` read what ``state_dict()`` gave, the
``export`` functions write what ``load_state_dict`` takes, so that a run changes framework and goes on.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxdict.compat.torch import nn, optim
    from jaxdict.compat.torch._params import export_params, import_params
    from jaxdict.compat.torch._state import export_optimizer_state, import_optimizer_state

_ROOMS = ("nn", "optim")
_HOMES = {
    "export_optimizer_state": "_state",
    "export_params": "_params",
    "import_optimizer_state": "_state",
    "import_params": "_params",
}

__all__ = ["export_optimizer_state", "export_params", "import_optimizer_state", "import_params", "nn", "optim"]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"jaxdict.compat.torch.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"jaxdict.compat.torch.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'jaxdict.compat.torch' has no attribute {name!r}")
