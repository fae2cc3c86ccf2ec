"""Units by what they are for: threshold units, which decide and compute logic, and output units, which model targets.

The weights of threshold units that see the same inputs go side by side along the last axis, which makes of three gates
the network that a single layer cannot be, XOR::

    gate = jaxdict.units.threshold_gate
    model = jaxdict.models.serial(jaxdict.layers.perceptron(2), jaxdict.layers.perceptron(1))
    params = {"perceptron_1": jax.tree.map(lambda *w: jnp.concatenate(w, -1), gate("or"), gate("nand")),
              "perceptron_2": gate("and")}
"""

from jaxdict.units.output import OutputUnit, bernoulli, categorical, gaussian, output_unit
from jaxdict.units.threshold import learn_perceptron, threshold_gate

__all__ = [
    "OutputUnit", "bernoulli", "categorical", "gaussian", "learn_perceptron", "output_unit", "threshold_gate",
]  # fmt: skip
