"""Activations: elementwise ``x -> y`` of the same shape and dtype; softmax and its kin over an axis; glu halves one.

Conventions of the room. One shape parameter may be positional, every other option is keyword-only. Narrow floats are
computed in float32 and rounded once; integers become the default float. At a kink the value and derivative are those
of the branch ``x <= 0``, in hard ones of the middle; the second derivative is of the same branch. NaN gives NaN; at
infinity stand the limits. Derivatives are closed forms, by every differentiable parameter too; reverse mode keeps one
array of the input's size. What float32 results are wrong by, in units of the last place, is in the tests.
"""

from jaxdict.activations.elus import celu, elu, selu
from jaxdict.activations.gates import gelu, glu, mish, swish
from jaxdict.activations.hard import hard_bounded, hard_sigmoid, hard_swish, hard_tanh, hardshrink, relu6, softshrink
from jaxdict.activations.rectifiers import absolute, leaky_relu, linear, prelu, relu, rrelu, step
from jaxdict.activations.sigmoids import log_sigmoid, sigmoid, softplus, softsign, squareplus, tanh, tanhshrink
from jaxdict.activations.softmaxes import log_softmax, softmax, sparsemax

__all__ = [
    "absolute", "celu", "elu", "gelu", "glu", "hard_bounded", "hard_sigmoid", "hard_swish", "hard_tanh", "hardshrink",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "prelu", "relu", "relu6", "rrelu", "selu", "sigmoid",
    "softmax", "softplus", "softshrink", "softsign", "sparsemax", "squareplus", "step", "swish", "tanh", "tanhshrink",
]  # fmt: skip
