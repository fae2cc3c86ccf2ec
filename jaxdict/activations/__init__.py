"""Activations: elementwise ``x -> y`` of the same shape and dtype, and softmax over an axis.

Conventions of the room. One shape parameter may be positional, every other option is keyword-only. Narrow floats are
computed in float32 and rounded once; integers become the default float. At a kink the value and derivative are those
of the branch ``x <= 0``, and the second derivative is of the same branch. NaN gives NaN, in value and gradient; at
infinity stand the limits. Derivatives are closed forms, by every differentiable parameter too; reverse mode keeps one
array of the input's size. What float32 results are wrong by, in units of the last place, is in the tests.
"""

from jaxdict.activations.gates import gelu, swish
from jaxdict.activations.rectifiers import elu, leaky_relu, linear, relu, selu
from jaxdict.activations.sigmoids import sigmoid, softplus, tanh
from jaxdict.activations.softmaxes import log_softmax, softmax

__all__ = [
    "elu", "gelu", "leaky_relu", "linear", "log_softmax", "relu", "selu", "sigmoid", "softmax", "softplus", "swish",
    "tanh",
]  # fmt: skip
