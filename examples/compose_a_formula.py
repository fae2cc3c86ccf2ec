"""Formulas inside a function of one's own: a growth curve through outliers, fitted under four Huber losses at once."""

import jax
import jax.numpy as jnp

import jaxdict as jd

TRUE = {"height": 3.0, "middle": 1.0, "rate": 2.0}


def curve(params, t):
    return params["height"] * jd.activations.sigmoid(params["rate"] * (t - params["middle"]))


def objective(params, t, y, delta):
    residual = jd.losses.huber(curve(params, t), y, delta=delta, axis=None)  # one term a point, delta traced
    return jnp.mean(residual) + jd.penalties.l2(params, 1e-4)


@jax.jit
@jax.vmap  # over delta alone: t and y are the same for all
def fit(delta):
    start = {"height": 1.0, "middle": 0.0, "rate": 1.0}
    descend = lambda _, p: jax.tree.map(lambda x, g: x - 0.3 * g, p, jax.grad(objective)(p, t, y, delta))  # noqa: E731
    return jax.lax.fori_loop(0, 3000, descend, jax.tree.map(jnp.float32, start))


t = jnp.linspace(-2, 4, 60)
y = curve(TRUE, t) + 0.05 * jax.random.normal(jax.random.key(0), t.shape)
y = y.at[::9].add(-2.5)  # seven of the sixty points are wrong

huber = jd.lookup("huber loss")
print(f"{huber.name}: {huber.equation}\nderivative: {huber.derivative_equation}")
pull = jax.grad(jd.losses.huber)(curve(TRUE, t), y, delta=0.5)  # of each point on the curve
print(f"the wrong points pull with {jnp.abs(pull).max():.2f}, the others with {jnp.median(jnp.abs(pull)):.2f}\n")

deltas = jnp.array([10.0, 1.0, 0.3, 0.1])
fitted = fit(deltas)
for i, delta in enumerate(deltas):
    shown = ", ".join(f"{name} {fitted[name][i]:.2f}" for name in TRUE)
    print(f"delta {delta:4.1f}: {shown}")
print("truth:     ", ", ".join(f"{name} {value:.2f}" for name, value in TRUE.items()))
