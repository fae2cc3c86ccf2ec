"""Keras 3's optimizers, schedules, losses, initializers, activations and regularizers, and its state both ways.

Names, arguments and defaults are Keras's, and so are the values, to rounding. Where Keras changes variables in place,
these are pure functions: an optimizer is an optax transformation, an initializer takes a key. A run moves between the
frameworks by its numbers: ``import_params`` and ``export_params`` for ``model.weights``, ``import_optimizer_state`` and
``export_optimizer_state`` for ``optimizer.variables``. Nothing here imports keras.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxdict.compat.keras import activations, callbacks, initializers, layers, losses, optimizers, regularizers
    from jaxdict.compat.keras._state import (
        export_optimizer_state,
        export_params,
        import_optimizer_state,
        import_params,
    )

__all__ = [
    "activations", "callbacks", "export_optimizer_state", "export_params", "import_optimizer_state", "import_params",
    "initializers", "layers", "losses", "optimizers", "regularizers",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in ("import_params", "export_params", "import_optimizer_state", "export_optimizer_state"):
        return getattr(importlib.import_module("jaxdict.compat.keras._state"), name)
    if name in __all__:
        return importlib.import_module(f"jaxdict.compat.keras.{name}")
    raise AttributeError(f"module 'jaxdict.compat.keras' has no attribute {name!r}")
