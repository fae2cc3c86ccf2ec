"""Independent draws: from any distribution, or of a variance that follows the fans."""

import inspect
import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp

from jaxdict import _cache, _check, _registry, distributions
from jaxdict._entry import entry
from jaxdict.initializers._kernel import Axes, Initializer, fans, kernel_options

Distribution: TypeAlias = Literal["truncated_normal", "normal", "uniform"]
Mode: TypeAlias = Literal["in", "out", "average"]


@entry(
    "initializer",
    equation="G(key)",
    aliases=("random initialization", "RandomNormal", "RandomUniform"),
    sources=("S0 3.2",),
    conventions={
        "torch": "normal_, uniform_, trunc_normal_: N(0, 1), U[0, 1), N(0, 1) within ±2",
        "keras": "RandomNormal, RandomUniform, TruncatedNormal: stddev 0.05, ±0.05, 0.05",
        "jax": "normal, uniform, truncated_normal: stddev 0.01, U[0, 0.01), 0.01",
        "S2": "N(0, 1) is random('normal')",
    },
    see_also=("uniform", "normal", "truncated_normal", "variance_scaling"),
    symbols={"distribution": "G"},
)
@_cache.constructor
def random(distribution: str | Callable[..., jax.Array], **options: Any) -> Initializer:
    """Independent draws from a distribution, whatever the fans.

    Args:
      distribution: a name of the dictionary, such as "normal", or a function ``(key, shape, dtype, **options)``.
      **options: of the distribution: ``random("normal", stddev=0.02)``; numbers may be traced.

    Returns:
      The initializer ``(key, shape, dtype) -> array``, for the dtypes of the distribution.

    Raises:
      KeyError: an unknown name, with the closest ones.
      TypeError: neither a name nor a function; an option that the distribution does not have, or not a number.
      ValueError: an option that the distribution does not allow.
    """
    draw: Callable[..., jax.Array] = _registry.function(distribution, "distribution")
    if not callable(draw):
        raise TypeError(f"distribution must be a name or a function (key, shape, dtype); got {distribution!r}")
    known = list(inspect.signature(draw).parameters)[3:]
    for option in options:
        if option not in known:
            hint = _check.did_you_mean(option, known) if known else "it takes none"
            raise TypeError(f"{getattr(draw, '__name__', draw)} has no option {option!r}; {hint}")
    jax.eval_shape(lambda key: draw(key, (), jnp.float32, **options), jax.random.key(0))  # wrong options fail here

    def init(key, shape, dtype=jnp.float32):
        return draw(key, shape, dtype, **options)

    return init


@entry(
    "initializer",
    equation="std = sqrt(f/n_in)",
    aliases=("VarianceScaling", "fan scaling"),
    sources=("S0 3.3", "S2 11.1.1.3"),
    errata=(
        "S0 3.3 redraws outside two deviations without correcting, which leaves 0.7737 f/n: its truncated and uniform"
        " forms have different variances. corrected=False is its form.",
    ),
    conventions={
        "keras": "VarianceScaling: modes fan_in, fan_out, fan_avg; 'normal' means the truncated, corrected one. A"
        " depthwise kernel (3, 3, 8, 2) counts as fans (72, 18); its outputs sum 9 inputs: in_axis=(), batch_axis=-2",
        "jax": "variance_scaling: modes fan_in, fan_out, fan_avg; the same draws to rounding",
        "torch": "none; kaiming_* has a gain, the root of scale. Kernels are (out, in, …): in_axis=1, out_axis=0;"
        " transposed ones (in, out, …), whose fan in and fan out it exchanges",
        "S2": "he_average_uniform is scale 2, mode 'average', uniform",
    },
    see_also=("lecun", "he", "xavier", "fan_in_uniform", "he_average_uniform"),
    symbols={"scale": "f"},
)
@_cache.constructor
@kernel_options
def variance_scaling(
    scale: float | jax.Array,
    *,
    mode: Mode = "in",
    distribution: Distribution = "truncated_normal",
    corrected: bool = True,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    groups: int = 1,
) -> Initializer:
    """Weights of mean 0 and variance scale/n, n the fan in, the fan out or their average.

    Args:
      scale: f ≥ 0, a number or a traced scalar.
    """
    scale = _check.scalar("scale", scale, low=0)
    _check.one_of("mode", mode, ("in", "out", "average"))
    _check.one_of("distribution", distribution, ("truncated_normal", "normal", "uniform"))
    _check.one_of("corrected", corrected, (True, False))
    _check.integer("groups", groups, low=1)

    def init(key, shape, dtype=jnp.float32):
        n_in, n_out = fans(shape, in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis, groups=groups)
        n = {"in": n_in, "out": n_out, "average": (n_in + n_out) / 2}[mode]
        variance = scale / max(n, 1)
        std = math.sqrt(variance) if isinstance(variance, float) else jnp.sqrt(variance)
        if distribution == "uniform":
            return distributions.uniform(key, shape, dtype, scale=math.sqrt(3) * std)
        if distribution == "normal":
            return distributions.normal(key, shape, dtype, stddev=std)
        return distributions.truncated_normal(key, shape, dtype, stddev=std, corrected=corrected)

    return init


__all__ = ["random", "variance_scaling"]
