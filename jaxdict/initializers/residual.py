"""Residual stacks without normalization."""

from jaxdict import _cache, _check
from jaxdict._entry import entry
from jaxdict.initializers._kernel import Axes, Initializer, kernel_options
from jaxdict.initializers.constants import zeros
from jaxdict.initializers.scaling import Distribution, Mode, variance_scaling


@entry(
    "initializer",
    equation="std = cases((sqrt(2/n_in)*L**(-1/(2*m - 2)), k < m), (0, True))",
    aliases=("fixup initialization", "fixed-update initialization"),
    sources=("S2 11.1.3", "Zhang, Dauphin and Ma 2019, arXiv:1901.09321"),
    conventions={
        "authors' code": "a plain normal of the fan out: mode='out', distribution='normal'; scalars learn at a tenth of"
        " the rate, as their gradients grow with the number of branches",
        "SkipInit": "De and Smith 2020, arXiv:2002.10444: He everywhere, and multipliers that start at 0",
    },
    see_also=("he", "zeros", "ones"),
    symbols={"branches": "L", "layers": "m", "layer": "k"},
)
@_cache.constructor
@kernel_options
def fixup(
    branches: int,
    *,
    layers: int = 2,
    layer: int = 1,
    mode: Mode = "in",
    distribution: Distribution = "truncated_normal",
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
) -> Initializer:
    """Fixup, for residual stacks without normalization: He, smaller the more branches there are, the last layer 0.

    Then a first step of the weights moves the output by as much at any depth. The output layer starts at 0 too; scalar
    biases 0 go before every layer and activation, and one scalar multiplier 1 into every branch (``zeros``, ``ones``).

    Args:
      branches: L, the number of residual branches in the stack.
      layers: m, of weights in each branch.
      layer: k, which of them it is for, 1 to m.
    """
    branches = _check.integer("branches", branches, low=1)
    layers = _check.integer("layers", layers, low=1)
    if _check.integer("layer", layer, low=1) > layers:
        raise ValueError(f"layer must be 1 to {layers}, the layers of a branch; got {layer}")
    shrink = branches ** (-1 / (layers - 1)) if layer < layers else 0.0
    scaled = variance_scaling(
        2.0 * shrink,
        mode=mode,
        distribution=distribution,
        in_axis=in_axis,
        out_axis=out_axis,
        batch_axis=batch_axis,
    )
    return scaled if layer < layers else zeros()


__all__ = ["fixup"]
