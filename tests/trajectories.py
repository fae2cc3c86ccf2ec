"""A function to descend, trajectories of optimizers on it, and of the expressions of their entries in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdict import _expression, _registry, optimizers

START = np.array([1.0, -2.0, 0.5])


def gradient(x, xp=jnp):
    """Of x0² + 10 x1⁴ - x0 x1 + x2² x0 + Σ log(1 + eˣ): curved, off-origin, asymmetric."""
    parts = (2 * x[0] - x[1] + x[2] ** 2, 40 * x[1] ** 3 - x[0], 2 * x[2] * x[0])
    return xp.stack(parts) + 1 / (1 + xp.exp(-x))


def trajectory(optimizer, start=START, steps=50):
    """Parameters after every step, and the states; the gradient is taken where the optimizer wants it."""

    def step(carry, _):
        params, state = carry
        g = gradient(optimizers.lookahead_params(params, state, strict=False))
        updates, state = optimizer.update(g, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), (params, state)

    start = jnp.asarray(start)
    return jax.lax.scan(step, (start, optimizer.init(start)), None, length=steps)[1]


def points(optimizer, steps=50):
    """The parameters alone in float64, as NumPy; step by step, which is quicker than to compile a few steps."""
    with jax.enable_x64(True):
        params = jnp.asarray(START)
        state, path = optimizer.init(params), []
        for _ in range(steps):
            g = gradient(np.asarray(optimizers.lookahead_params(params, state, strict=False)), np)
            updates, state = optimizer.update(jnp.asarray(g), state, params)
            assert updates.dtype == jnp.float64
            params = optax.apply_updates(params, updates)
            path.append(np.asarray(params))
    return np.stack(path)


def executed(name, values, rates):
    """The same by the entry's expression in NumPy; ``g`` is the gradient, as a function where one is called."""
    expression = _registry.find(name, "optimizer").expression
    held = "y" if "y" in _expression.names(expression) else "theta"
    scope = dict.fromkeys(_expression.names(expression), 0.0) | {"theta": START, "y": START, **values}
    path = []
    for t, rate in enumerate(rates, start=1):
        g = (lambda place: gradient(place, np)) if "g(" in expression else gradient(scope["theta"], np)
        scope |= {"g": g, "eta": rate, "t": t}
        scope |= _expression.evaluate(expression, scope)
        path.append(scope[held])
    return np.stack(path)
