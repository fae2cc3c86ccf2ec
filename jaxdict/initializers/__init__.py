"""Initializers: factories that give ``init(key, shape, dtype) -> array``, the protocol of ``jax.nn.initializers``.

Conventions of the room. Kernels are (…receptive field, in, out), as in ``x @ W``; ``in_axis``, ``out_axis`` and
``batch_axis`` say otherwise. The fans n_in and n_out are the sizes of those axes times the receptive field, exact at
stride 1; a fan of 0 counts as 1. Equations give the standard deviation of the weights, for uniform ones half the length
r of the interval, or the weights themselves. Narrow types are computed in float32 and rounded once. The key may be an
int seed. Every factory gives the same object for the same arguments.
"""

from jaxdict.initializers._kernel import Initializer, fans
from jaxdict.initializers.constants import constant, ones, zeros
from jaxdict.initializers.families import (
    fan_in_uniform,
    he,
    he_average_uniform,
    he_normal,
    he_uniform,
    lecun,
    lecun_normal,
    lecun_uniform,
    xavier,
    xavier_normal,
    xavier_uniform,
)
from jaxdict.initializers.matrices import delta_orthogonal, identity, orthogonal, sparse
from jaxdict.initializers.residual import fixup
from jaxdict.initializers.scaling import random, variance_scaling

__all__ = [
    "Initializer", "constant", "delta_orthogonal", "fan_in_uniform", "fans", "fixup", "he", "he_average_uniform",
    "he_normal", "he_uniform", "identity", "lecun", "lecun_normal", "lecun_uniform", "ones", "orthogonal", "random",
    "sparse", "variance_scaling", "xavier", "xavier_normal", "xavier_uniform", "zeros",
]  # fmt: skip
