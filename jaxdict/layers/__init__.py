"""Layers: ``(init, apply)`` pairs with explicit parameters and state, made of the formulas.

``init(key, input_shape) -> (params, state, output_shape)``, shapes without the batch axis; ``apply(params, state,
inputs, *, key=None, train=False) -> (outputs, state)``, inputs ``(batch, *input_shape)``. The declared output shape is
the actual one. ``train=True`` trains: noise is drawn and batch statistics are used and averaged; ``train="noise"``
draws noise only, for predictions averaged over masks. A model is a layer, and layers compose to models.

Images are channels-last. Where inputs are several arrays, a tuple, list or dict of them, shapes are one of shapes. What
has parameters makes them in ``param_dtype``, float32 unless told otherwise, and computes in ``dtype``, the type of its
inputs unless told otherwise; integers become the default float.
"""

from jaxdict.layers._model import CONSTRUCTORS, Apply, Model, Params, Shape, Spec, State, Train, buildable, child
from jaxdict.layers.activations import activation, prelu, swish
from jaxdict.layers.combine import add, concatenate
from jaxdict.layers.convolution import conv, conv_transpose, depthwise_conv
from jaxdict.layers.linear import dense, embedding
from jaxdict.layers.noise import alpha_dropout, dropout, gaussian_dropout, gaussian_noise
from jaxdict.layers.normalization import batch_norm, batch_renorm, group_norm, layer_norm, rms_norm
from jaxdict.layers.pooling import average_pool, global_average_pool, global_max_pool, max_pool
from jaxdict.layers.shape import flatten, reshape
from jaxdict.layers.threshold import perceptron

__all__ = [
    "CONSTRUCTORS", "Apply", "Model", "Params", "Shape", "Spec", "State", "Train", "activation", "add",
    "alpha_dropout", "average_pool", "batch_norm", "batch_renorm", "buildable", "child", "concatenate", "conv",
    "conv_transpose", "dense", "depthwise_conv", "dropout", "embedding", "flatten", "gaussian_dropout",
    "gaussian_noise", "global_average_pool", "global_max_pool", "group_norm", "layer_norm", "max_pool", "perceptron",
    "prelu", "reshape", "rms_norm", "swish",
]  # fmt: skip
