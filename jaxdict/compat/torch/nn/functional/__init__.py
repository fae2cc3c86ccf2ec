"""PyTorch's ``torch.nn.functional``: activations, losses, dropout, with its arguments in its order and its defaults.

Values and gradients are torch's to rounding, also where torch's convention is its own: class axis 1, weights that
divide by their sum, logarithms cut off at -100, the derivative at a kink. Different from torch:

- no loss broadcasts: ``input`` and ``target`` of different shapes are an error, where torch warns;
- losses of float16 and bfloat16 come back in float32; activations keep the type;
- what draws takes a ``key``;
- nothing is changed in place: ``inplace`` is taken, so that calls port as they stand, and has no effect.
"""

from jaxdict.compat.torch.nn.functional.activations import (
    celu,
    elu,
    gelu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    rrelu,
    selu,
    sigmoid,
    silu,
    softmax,
    softmin,
    softplus,
    softshrink,
    softsign,
    tanh,
    tanhshrink,
    threshold,
)
from jaxdict.compat.torch.nn.functional.classes import cross_entropy, kl_div, multi_margin_loss, nll_loss
from jaxdict.compat.torch.nn.functional.embeddings import cosine_embedding_loss, cosine_similarity, hinge_embedding_loss
from jaxdict.compat.torch.nn.functional.noise import alpha_dropout, dropout
from jaxdict.compat.torch.nn.functional.probabilities import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    gaussian_nll_loss,
    poisson_nll_loss,
)
from jaxdict.compat.torch.nn.functional.regression import huber_loss, l1_loss, mse_loss, smooth_l1_loss

__all__ = [
    "alpha_dropout", "binary_cross_entropy", "binary_cross_entropy_with_logits", "celu", "cosine_embedding_loss",
    "cosine_similarity", "cross_entropy", "dropout", "elu", "gaussian_nll_loss", "gelu", "glu", "hardshrink",
    "hardsigmoid", "hardswish", "hardtanh", "hinge_embedding_loss", "huber_loss", "kl_div", "l1_loss", "leaky_relu",
    "log_softmax", "logsigmoid", "mish", "mse_loss", "multi_margin_loss", "nll_loss", "poisson_nll_loss", "prelu",
    "relu", "relu6", "rrelu", "selu", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softmin", "softplus",
    "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
]  # fmt: skip
