"""Models: compositions of layers. A model is a layer and composes again."""

from jaxdict._foreign import from_equinox, from_flax
from jaxdict.layers import Model
from jaxdict.models._parts import as_model
from jaxdict.models.autoencoder import autoencoder
from jaxdict.models.graph import graph
from jaxdict.models.mlp import mlp
from jaxdict.models.residual import residual
from jaxdict.models.serial import serial
from jaxdict.models.spec import spec_from_json, spec_to_json
from jaxdict.models.summary import summary

__all__ = [
    "Model",
    "as_model",
    "autoencoder",
    "from_equinox",
    "from_flax",
    "graph",
    "mlp",
    "residual",
    "serial",
    "spec_from_json",
    "spec_to_json",
    "summary",
]
