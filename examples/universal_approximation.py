"""One hidden layer of sigmoids against sin, |x| and a step: for the first two, the wider, the smaller the error.

The theorem is about continuous functions on a compact set: at its jump the step is missed by a half at any width.
"""

import jax
import numpy as np

import jaxdict as jd

WIDTHS = (2, 4, 8, 32)
x = np.linspace(-3, 3, 241, dtype=np.float32)[:, None]
FUNCTIONS = {"sin 2x": np.sin(2 * x), "|x|": np.abs(x), "step": (x >= 0).astype(np.float32)}


def spread(key, shape, dtype):
    """Kernels of the first layer: steep enough that a unit bends somewhere within the inputs."""
    return 4 * jax.random.normal(key, shape, dtype)


def bends(key, shape, dtype):
    return jax.random.uniform(key, shape, dtype, -8, 8)


def approximations(width):
    """For each function the best of three networks of this width, trained as lanes of one program."""
    hidden = jd.layers.dense(width, initializer=spread, bias_initializer=bends)
    model = jd.models.serial(hidden, jd.layers.activation("sigmoid"), jd.layers.dense(1))
    rate = jd.schedules.cosine_annealing(0.03, 8 * 1200)
    for name, y in FUNCTIONS.items():
        runs = jd.fit_lanes(
            model, "mean_squared_error", jd.optimizers.adam(rate), (x, y), keys=range(3), epochs=1200, batch_size=32
        )
        fitted = runs.best(monitor="loss").predict(x)
        yield name, y, np.asarray(fitted), float(np.sqrt(np.mean((fitted - y) ** 2)))


drawn = jd.plots.figure(11, 3.6)
axes = dict(zip(FUNCTIONS, drawn.subplots(1, 3), strict=True))
for width in WIDTHS:
    for name, y, fitted, error in approximations(width):
        print(f"{name:7} {width:3} units: error {error:.4f}", flush=True)
        if width == WIDTHS[0]:
            axes[name].plot(x[:, 0], y[:, 0], color="black", linewidth=3, alpha=0.3)
        axes[name].plot(x[:, 0], fitted[:, 0], linewidth=1, label=f"{width} units, {error:.3f}")
for name, axis in axes.items():
    axis.set_title(name, loc="left")
    axis.legend(fontsize=7)
jd.plots.save(drawn, "universal_approximation.png")
print("drawn in universal_approximation.png")
