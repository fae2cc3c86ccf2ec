"""Variance scaling under the names that people know: LeCun, He, Xavier, each truncated normal or uniform, and kin."""

from typing import Any

from jaxdict import _cache
from jaxdict._entry import entry
from jaxdict.initializers._kernel import Axes, Initializer, kernel_options
from jaxdict.initializers.scaling import Distribution, variance_scaling

_LECUN: dict[str, Any] = {
    "sources": (
        "S0 3.4", "S2 11.1.1.3", "LeCun et al. 1998, doi:10.1007/3-540-49430-8_2", "Klambauer et al. 2017,"
        " arXiv:1706.02515",
    ),
    "errata": ("S2 11.1.1.3 has only the normal form; S0 3.4 has the uniform one too, of the same variance.",),
    "conventions": {
        "torch": "no function; kaiming_* with nonlinearity='linear', plain normal",
        "keras": "LecunNormal (truncated, corrected), LecunUniform",
        "jax": "lecun_normal (truncated, corrected), lecun_uniform; flax's default",
        "S0": "truncated without correction, variance 0.7737/n_in: corrected=False",
    },
}  # fmt: skip


@entry(
    "initializer",
    equation="std = sqrt(1/n_in)",
    aliases=("lecun initialization",),
    see_also=("lecun_normal", "lecun_uniform", "variance_scaling", "selu"),
    **_LECUN,
)
@_cache.constructor
@kernel_options
def lecun(
    *,
    distribution: Distribution = "truncated_normal",
    corrected: bool = True,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
) -> Initializer:
    """LeCun: variance 1/n_in, which keeps the variance through linear units; selu's choice."""
    return variance_scaling(
        1.0,
        distribution=distribution,
        corrected=corrected,
        in_axis=in_axis,
        out_axis=out_axis,
        batch_axis=batch_axis,
    )


@entry(
    "initializer",
    equation="std = sqrt(1/n_in)",
    see_also=("lecun", "lecun_uniform", "variance_scaling", "selu"),
    **_LECUN,
)
@_cache.constructor
@kernel_options
def lecun_normal(
    *, corrected: bool = True, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()
) -> Initializer:
    """LeCun: truncated normal of variance 1/n_in, redrawn outside two deviations."""
    return lecun(corrected=corrected, in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)


@entry(
    "initializer",
    equation="r = sqrt(3/n_in)",
    see_also=("lecun", "lecun_normal", "variance_scaling"),
    **_LECUN,
)
@_cache.constructor
@kernel_options
def lecun_uniform(*, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()) -> Initializer:
    """LeCun: uniform on [-r, r), variance 1/n_in."""
    return lecun(distribution="uniform", in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)


@entry(
    "initializer",
    equation="r = sqrt(1/n_in)",
    aliases=("inverse root fan in", "linear default", "commonly used heuristic"),
    sources=("S3", "Glorot and Bengio 2010, PMLR 9:249, equation 1"),
    errata=(
        "S3 calls it Xavier and gives it for tanh. It is the heuristic that Glorot and Bengio argue against: its"
        " variance is 1/(3 n_in), and the signal shrinks by 0.58 a layer even through linear units.",
    ),
    conventions={
        "torch": "Linear and Conv by default, as kaiming_uniform_(a=√5); their biases likewise, by the n_in of the"
        " kernel: random('uniform', scale=n_in**-0.5)",
        "keras": "VarianceScaling(1/3, distribution='uniform')",
        "jax": "variance_scaling(1/3, 'fan_in', 'uniform')",
    },
    see_also=("lecun_uniform", "xavier_uniform", "variance_scaling"),
)
@_cache.constructor
@kernel_options
def fan_in_uniform(*, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()) -> Initializer:
    """Uniform on [-r, r) with r = 1/√n_in, variance 1/(3 n_in): PyTorch's default of linear layers."""
    return variance_scaling(1 / 3, distribution="uniform", in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)


_HE: dict[str, Any] = {
    "sources": ("S0 3.5", "S2 11.1.1.2", "S3", "He et al. 2015, arXiv:1502.01852"),
    "errata": ("S3 writes the normal form N[0, 2/√n]; the variance is 2/n, n the number of inputs.",),
    "conventions": {
        "torch": "kaiming_normal_ is a plain normal; Linear's own default is U[±1/√n_in], a sixth of this variance",
        "keras": "HeNormal (truncated, corrected), HeUniform",
        "jax": "he_normal (truncated, corrected), he_uniform",
        "S0": "truncated without correction, variance 0.7737 · 2/n_in: corrected=False",
    },
}


@entry(
    "initializer",
    equation="std = sqrt(2/n_in)",
    aliases=("kaiming", "he initialization"),
    see_also=("he_normal", "he_uniform", "he_average_uniform", "variance_scaling"),
    **_HE,
)
@_cache.constructor
@kernel_options
def he(
    *,
    distribution: Distribution = "truncated_normal",
    corrected: bool = True,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
) -> Initializer:
    """He, also Kaiming: variance 2/n_in, which keeps the mean square through relu."""
    return variance_scaling(
        2.0,
        distribution=distribution,
        corrected=corrected,
        in_axis=in_axis,
        out_axis=out_axis,
        batch_axis=batch_axis,
    )


@entry(
    "initializer",
    equation="std = sqrt(2/n_in)",
    aliases=("kaiming_normal",),
    see_also=("he", "he_uniform", "variance_scaling"),
    **_HE,
)
@_cache.constructor
@kernel_options
def he_normal(*, corrected: bool = True, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()) -> Initializer:
    """He, also Kaiming: truncated normal of variance 2/n_in, redrawn outside two deviations."""
    return he(corrected=corrected, in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)


@entry(
    "initializer",
    equation="r = sqrt(6/n_in)",
    aliases=("kaiming_uniform",),
    see_also=("he", "he_normal", "variance_scaling"),
    **_HE,
)
@_cache.constructor
@kernel_options
def he_uniform(*, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()) -> Initializer:
    """He, also Kaiming: uniform on [-r, r), variance 2/n_in."""
    return he(distribution="uniform", in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)


@entry(
    "initializer",
    equation="r = sqrt(12/(n_in + n_out))",
    aliases=("he average", "he_avg", "he_avg_init", "kaiming average"),
    sources=("S2 11.1.1.3", "He et al. 2015, arXiv:1502.01852"),
    conventions={
        "keras": "VarianceScaling(scale=2.0, mode='fan_avg', distribution='uniform')",
        "jax": "variance_scaling(2.0, 'fan_avg', 'uniform')",
        "torch": "xavier_uniform_ with gain √2",
    },
    see_also=("he", "xavier_uniform", "variance_scaling"),
)
@_cache.constructor
@kernel_options
def he_average_uniform(
    *, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), groups: int = 1
) -> Initializer:
    """He over the average of both fans: uniform on [-r, r), variance 4/(n_in + n_out)."""
    return variance_scaling(
        2.0,
        mode="average",
        distribution="uniform",
        in_axis=in_axis,
        out_axis=out_axis,
        batch_axis=batch_axis,
        groups=groups,
    )


_XAVIER: dict[str, Any] = {
    "sources": ("S0 3.6", "S2 11.1.1.1", "S3", "Glorot and Bengio 2010, PMLR 9:249"),
    "errata": (
        "S2 11.1.1.1 says it is for the logistic, S3 for tanh; it is derived for slope 1 at 0, the logistic's is 1/4:"
        " through logistic units of width 100 gradients shrink by 0.23 a layer.",
        "S2 11.1 says that under N(0, 1) the variance of the weights grows with depth and that the gradient of logistic"
        " units vanishes: the outputs' grows, and whether it vanishes depends on the width: by 0.5 a layer at 10, while"
        " at 300 it grows by 1.3.",
        "S3 calls U[±1/√n] Xavier, n the number of inputs; that is the heuristic which the paper argues against:"
        " fan_in_uniform.",
    ),
    "conventions": {
        "torch": "xavier_normal_ is a plain normal; both have a gain, 5/3 for tanh",
        "keras": "GlorotNormal (truncated, corrected), GlorotUniform, the default of Dense",
        "jax": "glorot_normal (truncated, corrected), glorot_uniform",
        "S0": "truncated without correction, variance 0.7737 of it: corrected=False",
    },
}


@entry(
    "initializer",
    equation="std = sqrt(2/(n_in + n_out))",
    aliases=("glorot", "xavier initialization"),
    see_also=("xavier_normal", "xavier_uniform", "variance_scaling", "fan_in_uniform"),
    **_XAVIER,
)
@_cache.constructor
@kernel_options
def xavier(
    *,
    distribution: Distribution = "truncated_normal",
    corrected: bool = True,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    groups: int = 1,
) -> Initializer:
    """Xavier, also Glorot: variance 2/(n_in + n_out), a compromise of both ways through units of slope 1 at 0: tanh."""
    return variance_scaling(
        1.0,
        mode="average",
        distribution=distribution,
        corrected=corrected,
        in_axis=in_axis,
        out_axis=out_axis,
        batch_axis=batch_axis,
        groups=groups,
    )


@entry(
    "initializer",
    equation="std = sqrt(2/(n_in + n_out))",
    aliases=("glorot_normal",),
    see_also=("xavier", "xavier_uniform", "variance_scaling"),
    **_XAVIER,
)
@_cache.constructor
@kernel_options
def xavier_normal(
    *, corrected: bool = True, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), groups: int = 1
) -> Initializer:
    """Xavier, also Glorot: truncated normal of variance 2/(n_in + n_out), redrawn outside two deviations."""
    return xavier(corrected=corrected, in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis, groups=groups)


@entry(
    "initializer",
    equation="r = sqrt(6/(n_in + n_out))",
    aliases=("glorot_uniform",),
    see_also=("xavier", "xavier_normal", "variance_scaling", "fan_in_uniform"),
    **_XAVIER,
)
@_cache.constructor
@kernel_options
def xavier_uniform(*, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), groups: int = 1) -> Initializer:
    """Xavier, also Glorot: uniform on [-r, r), variance 2/(n_in + n_out)."""
    return xavier(distribution="uniform", in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis, groups=groups)


__all__ = [
    "fan_in_uniform", "he", "he_average_uniform", "he_normal", "he_uniform", "lecun", "lecun_normal", "lecun_uniform",
    "xavier", "xavier_normal", "xavier_uniform",
]  # fmt: skip
