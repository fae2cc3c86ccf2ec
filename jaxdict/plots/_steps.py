"""Pictures of what goes on in steps: schedules, and the way of an optimizer down a bowl."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdict._entry import Entry
from jaxdict.plots._canvas import BLUE, ORANGE, plain
from jaxdict.plots._functions import required, said, signature

# What is given to parameters that have no default.
_GIVEN: dict[str, Any] = {
    "value": 0.1, "init_value": 0.1, "peak_value": 0.1, "end_value": 0.01, "final_value": 0.01, "max_value": 0.5,
    "min_value": 0.01, "base_value": 0.01, "decay_steps": 100, "decay_rate": 0.5, "transition_steps": 100,
    "warmup_steps": 30, "total_steps": 200, "cycle_steps": 60, "step_size": 50, "half_cycle": 50, "period": 60,
    "boundaries": (60, 120, 180), "values": (0.1, 0.05, 0.02, 0.01), "power": 2.0, "max_norm": 0.8, "max_delta": 0.5,
    "strength": 0.5, "weight_decay": 0.5,
}  # fmt: skip
_START, _STEPS = (-2.4, 1.1), 60
_RATES = tuple(np.geomspace(1e-3, 10, 25).tolist())


def schedule(figure: Any, entry: Entry) -> None:
    """The value at each of 240 steps."""
    options = required(entry, 0, _GIVEN)
    steps = np.arange(241)
    values = np.asarray(jax.vmap(entry.function(**options))(jnp.asarray(steps)), np.float64)
    axis = figure.subplots()
    axis.plot(steps, values, color=BLUE, linewidth=2.2)
    axis.set_xlim(0, 240)
    axis.set_ylim(min(0.0, 1.1 * values.min()), 1.1 * values.max() or 1)
    axis.set_xlabel(f"step   ({said(options)})" if options else "step")
    axis.set_ylabel("value")
    plain(axis)


def bowl(theta: Any) -> Any:
    """A quadratic bowl, eight times as steep in one direction as in the other."""
    return (theta[0] ** 2 + 8 * theta[1] ** 2) / 2


def optimizer(figure: Any, entry: Entry) -> None:
    """Sixty steps down the bowl at the rate, of 25, that gets lowest; without a rate, what becomes of a gradient."""
    if "learning_rate" not in signature(entry):
        _arrows(figure, entry)
        return
    walked = np.asarray(jax.vmap(lambda rate: _walk(entry, rate))(jnp.asarray(_RATES, jnp.float32)), np.float64)
    paths = {rate: path for rate, path in zip(_RATES, walked, strict=True) if np.isfinite(path).all()}
    if not paths:
        raise ValueError(f"the optimizer {entry.name} comes to no finite place on the bowl: nothing to draw")
    rate = min(paths, key=lambda r: bowl(paths[r][-1]))
    path = paths[rate]
    left, right = figure.subplots(1, 2, width_ratios=[1.4, 1])
    reach = np.maximum(1.15 * np.abs(path).max(0), (2.8, 1.4))
    x, y = np.meshgrid(*(np.linspace(-r, r, 161) for r in reach))
    heights = bowl(np.stack([x, y]))
    left.contour(x, y, heights, levels=np.geomspace(0.05, heights.max(), 12), colors="#c4c8ce", linewidths=0.8)
    _arrow(left, path[:-1], np.diff(path, axis=0), BLUE)
    left.plot(*path.T, ".", color=BLUE, markersize=4, zorder=5)
    left.plot(*path[0], "o", color=ORANGE, markersize=7, zorder=6, label="start")
    left.plot(0, 0, "*", color=ORANGE, markersize=12, zorder=6, label="minimum")
    left.legend(loc="upper right", framealpha=0.9, edgecolor="none")
    left.set_xlabel("θ₁")
    left.set_ylabel("θ₂")
    right.semilogy(np.maximum([bowl(p) for p in path], 1e-12), color=BLUE, linewidth=2.2)
    right.set_xlabel(f"step   (learning_rate = {rate:.2g}, the best of {len(_RATES)})")
    right.set_ylabel("height, (θ₁² + 8θ₂²)/2")
    for axis in (left, right):
        plain(axis)


def _walk(entry: Entry, rate: Any) -> jax.Array:
    """All places, ``(steps + 1, 2)``."""
    options = required(entry, 0, {**_GIVEN, "learning_rate": rate}) | {"learning_rate": rate}
    transformation: Any = optax.with_extra_args_support(entry.function(**options))
    start: Any = jnp.asarray(_START, jnp.float32)

    def step(carry, _):
        theta, state = carry
        value, gradient = jax.value_and_grad(bowl)(theta)
        updates, state = transformation.update(gradient, state, theta, value=value, grad=gradient, value_fn=bowl)
        theta = optax.apply_updates(theta, updates)
        return (theta, state), theta

    visited: Any = jax.lax.scan(step, (start, transformation.init(start)), length=_STEPS)[1]
    return jnp.concatenate([start[None], visited])


def _arrows(figure: Any, entry: Entry) -> None:
    """A link of a chain: the gradient at some places, and what it makes of it. The two components are two tensors."""
    options = required(entry, 0, _GIVEN)
    transformation: Any = optax.with_extra_args_support(entry.function(**options))
    angles = np.linspace(0, 2 * np.pi, 13)[:-1] + 0.2
    places = 2 * np.stack([np.cos(angles), 0.6 * np.sin(angles)], -1)
    gradients = places * np.array([0.6, 1.1])

    def changed(place, gradient):
        params, updates = {"a": place[0], "b": place[1]}, {"a": gradient[0], "b": gradient[1]}
        result, _ = transformation.update(updates, transformation.init(params), params)
        return jnp.stack([result["a"], result["b"]])

    results = jax.vmap(changed)(jnp.asarray(places, jnp.float32), jnp.asarray(gradients, jnp.float32))
    axis = figure.subplots()
    _arrow(axis, places, gradients, "#c4c8ce", "gradient", 0.006)
    _arrow(axis, places, np.asarray(results, np.float64), BLUE, "what becomes of it", 0.003)
    axis.plot(*places.T, "o", color=ORANGE, markersize=4, zorder=5, label="parameters")
    axis.set_xlim(-4.4, 4.4)
    axis.set_ylim(-3.2, 3.2)
    axis.set_xlabel("a, one tensor" + (f"   ({said(options)})" if options else ""))
    axis.set_ylabel("b, another tensor")
    axis.legend(frameon=False, loc="upper left")
    plain(axis)


def _arrow(axis: Any, places: Any, moves: Any, color: str, label: str = "", width: float = 0.0035) -> None:
    axis.quiver(
        *places.T, *moves.T, angles="xy", scale_units="xy", scale=1, color=color, width=width, zorder=4, label=label
    )
