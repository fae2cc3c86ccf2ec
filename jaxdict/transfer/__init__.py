"""Transfer: what one model learned as the start of another; some of it frozen, some of it moved by smaller rates.

Parameters are trees of values, so a model is cloned by using them twice; `clone` is for steps that donate their memory.
Leaves are chosen by globs over their paths, as in penalties: ``"encoder/*"``, ``"*/bias"``; a star matches slashes too.
"""

from jaxdict.transfer.files import load_safetensors
from jaxdict.transfer.frameworks import from_keras, from_torch
from jaxdict.transfer.freezing import Cohort, FreezeState, freeze
from jaxdict.transfer.rating import rates
from jaxdict.transfer.reusing import clone, reuse

__all__ = [
    "Cohort", "FreezeState", "clone", "freeze", "from_keras", "from_torch", "load_safetensors", "rates", "reuse",
]  # fmt: skip
