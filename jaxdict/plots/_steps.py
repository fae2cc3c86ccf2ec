"""Pictures of what goes on in steps: schedules, and the way of an optimizer down a bowl."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdict import optimizers, schedules
from jaxdict._entry import Entry
from jaxdict.plots._canvas import BLUE, GREY, ORANGE, plain
from jaxdict.plots._functions import required, said, signature

# What is given to parameters that have no default.
_GIVEN: dict[str, Any] = {
    "value": 0.1, "init_value": 0.1, "peak_value": 0.1, "end_value": 0.01, "final_value": 0.01, "max_value": 0.5,
    "min_value": 0.01, "base_value": 0.01, "decay_steps": 100, "decay_rate": 0.5, "transition_steps": 100,
    "warmup_steps": 30, "total_steps": 200, "cycle_steps": 60, "step_size": 50, "half_cycle": 50, "period": 60,
    "boundaries": (60, 120, 180), "values": (0.1, 0.05, 0.02, 0.01), "power": 2.0, "max_norm": 0.8, "max_delta": 0.5,
    "strength": 0.5, "weight_decay": 0.5, "schedule": schedules.cosine_annealing(0.1, 150),
    "schedules": (
        schedules.warmup(0.1, 30), schedules.exponential(0.1, 30, 0.7), schedules.constant(0.03),
        schedules.cosine_annealing(0.03, 60),
    ),
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
    shown = said({name: value for name, value in options.items() if not name.startswith("schedule")})
    axis.set_xlabel(f"step   ({shown})" if shown else "step")
    axis.set_ylabel("value")
    plain(axis)


def bowl(theta: Any) -> Any:
    """A quadratic bowl, eight times as steep in one direction as in the other."""
    return (theta[0] ** 2 + 8 * theta[1] ** 2) / 2


def residuals(theta: Any) -> Any:
    """Half of whose squares is the bowl."""
    return jnp.stack([theta[0], jnp.sqrt(8.0) * theta[1]])


def optimizer(figure: Any, entry: Entry) -> None:
    """Sixty steps down the bowl at the rate, of 25, that gets lowest; of a link of a chain, what becomes of a gradient.

    What learns from examples and not from gradients is drawn learning.
    """
    if "params" in signature(entry):
        _separation(figure, entry)
        return
    if "learning_rate" in signature(entry):
        walked = jax.vmap(lambda rate: _walk(entry, {"learning_rate": rate}))(jnp.asarray(_RATES, jnp.float32))
        walked = np.asarray(walked, np.float64)
        paths = {rate: path for rate, path in zip(_RATES, walked, strict=True) if np.isfinite(path).all()}
        if not paths:
            raise ValueError(f"the optimizer {entry.name} comes to no finite place on the bowl: nothing to draw")
        rate = min(paths, key=lambda r: bowl(paths[r][-1]))
        path, chosen = paths[rate], f"learning_rate = {rate:.2g}, the best of {len(_RATES)}"
    elif "theta = " in entry.expression:
        path, chosen = np.asarray(_walk(entry, {}), np.float64), "at its defaults"
    else:
        _arrows(figure, entry)
        return
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
    right.set_xlabel(f"step   ({chosen})")
    right.set_ylabel("height, (θ₁² + 8θ₂²)/2")
    for axis in (left, right):
        plain(axis)


def _walk(entry: Entry, given: dict[str, Any]) -> jax.Array:
    """All places, ``(steps + 1, 2)``; the gradient is taken where the optimizer wants it."""
    options = required(entry, 0, {**_GIVEN, **given}) | given
    transformation: Any = optax.with_extra_args_support(entry.function(**options))
    start: Any = jnp.asarray(_START, jnp.float32)

    def step(carry, _):
        theta, state = carry
        value, gradient = jax.value_and_grad(bowl)(optimizers.lookahead_params(theta, state, strict=False))
        told = {"value": value, "grad": gradient, "value_fn": bowl, "residual_fn": residuals}
        updates, state = transformation.update(gradient, state, theta, **told)
        theta = optax.apply_updates(theta, updates)
        return (theta, state), theta

    visited: Any = jax.lax.scan(step, (start, transformation.init(start)), length=_STEPS)[1]
    return jnp.concatenate([start[None], visited])


def _separation(figure: Any, entry: Entry) -> None:
    """Points of two classes, the lines that were tried between them, and how many are wrong after each example."""
    rng = np.random.default_rng(5)
    points = rng.normal(size=(120, 2)) * (1.6, 1.0)
    margin = points @ (1.0, -1.6) - 0.7
    points, labels = points[np.abs(margin) > 0.15], (margin[np.abs(margin) > 0.15] > 0)[:, None]
    start = {"kernel": jnp.asarray([[-0.6], [0.8]]), "bias": jnp.zeros(1)}

    def step(params, example):
        learned = entry.function(params, *example)
        return learned, learned

    path = jax.lax.scan(step, start, (points, labels))[1]
    path = {name: np.concatenate([start[name][None], path[name]]) for name in start}
    wrong = ((points @ path["kernel"] + path["bias"][:, None] >= 0) != labels).sum((1, 2))
    last = int(np.argmin(wrong))
    left, right = figure.subplots(1, 2, width_ratios=[1.4, 1])
    for label, color in ((1, ORANGE), (0, BLUE)):
        left.plot(*points[labels[:, 0] == label].T, "o", color=color, markersize=4, label=f"class {label}")
    changed = np.any(np.diff(path["bias"], axis=0) != 0, 1).nonzero()[0] + 1
    for i in (0, *(k for k in changed if k < last), last):
        (a, b), c = path["kernel"][i, :, 0], path["bias"][i, 0]
        x = np.array([-6.0, 6.0])
        style = {"color": "black", "linewidth": 2.2} if i == last else {"color": GREY, "alpha": 0.3 + 0.7 * i / last}
        left.plot(x, -(a * x + c) / b, label={0: "at first", last: f"after {last} examples"}.get(i), **style)
    left.set_xlim(*(1.1 * np.abs(points[:, 0]).max() * np.array([-1, 1])))
    left.set_ylim(*(1.1 * np.abs(points[:, 1]).max() * np.array([-1, 1])))
    left.set_xlabel("x₁")
    left.set_ylabel("x₂")
    left.legend(framealpha=0.9, edgecolor="none", loc="upper left")
    right.plot(wrong, color=BLUE, linewidth=2.2)
    right.set_xlabel("examples seen")
    right.set_ylabel(f"examples that are wrong, of {len(points)}")
    for axis in (left, right):
        plain(axis)


def _arrows(figure: Any, entry: Entry) -> None:
    """A link of a chain: the gradient at some places, and what it makes of it. The two components are two tensors."""
    options = required(entry, 0, _GIVEN)
    transformation: Any = optax.with_extra_args_support(entry.function(**options))
    angles = np.linspace(0, 2 * np.pi, 13)[:-1] + 0.2
    places = 2 * np.stack([np.cos(angles), 0.6 * np.sin(angles)], -1)
    gradients = places * np.array([0.6, 1.1])

    def changed(place, gradient):
        params, updates = {"a": place[0], "b": place[1]}, {"a": gradient[0], "b": gradient[1]}
        result, _ = transformation.update(updates, transformation.init(params), params, value=1.0)
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
