"""Other frameworks' names, arguments and defaults over jaxdict's formulas: the same values, without the framework.

``compat.torch`` and ``compat.keras`` are laid out as the packages they follow, so that a recipe ports by its import
line. Nothing here imports torch or keras.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxdict.compat import keras, torch

__all__ = ["keras", "torch"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"jaxdict.compat.{name}")
    raise AttributeError(f"module 'jaxdict.compat' has no attribute {name!r}")
