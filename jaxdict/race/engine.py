"""The race itself: every optimizer at every rate from every start, in one compiled program.

A lane is one optimizer at one rate from one start. Lanes lie along the last axis, so that the two coordinates are two
long rows. What happens to a lane is kept in codes and counts, and its way at some steps only: nothing is raised, and a
lane that diverges harms no other.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdict.optimizers.accelerated import lookahead_params, resting_params
from jaxdict.race.contestants import Contestant

_DENSE = 300  # the first steps, each of which is kept
_SPARSE = 240  # of the later ones so many, ever further apart
_DESCENT = 600  # steps of the careful descent that tells where a place leads to
_REACH = 0.05  # of the distance to the origin plus 1: the longest of them
FAR = 2.0  # times the diagonal of the window: what descent leaves out there has gone off


class Lanes(NamedTuple):
    """What became of the lanes of one optimizer; axes: rate, start."""

    path: Any  # (kept steps, 2, rates, starts), float32
    end: Any  # (2, rates, starts), after the last step
    touched: Any  # the first step after which it was within the tolerance of a minimum, −1 for never
    settled: Any  # the first step from which on it always was; one more than there are steps for never
    foot: Any  # (2, rates, starts), where a careful descent leads from the end
    value: Any  # of the function at the end


def kept_steps(steps: int) -> np.ndarray:
    """The steps at which paths are kept: 0, each of the first ones, then ever fewer, the last."""
    dense = np.arange(min(steps, _DENSE) + 1)
    sparse = np.geomspace(_DENSE, steps, _SPARSE).round().astype(int) if steps > _DENSE else dense[-1:]
    return np.unique(np.concatenate([dense, sparse]))


def run(
    field: tuple[Contestant, ...],
    function: Callable[[Any], Any],
    *,
    rates: np.ndarray,
    starts: np.ndarray,
    minima: np.ndarray,
    steps: int,
    tolerance: float,
) -> list[Lanes]:
    """Run the race in float64; ``rates`` (r,), ``starts`` (s, 2), ``minima`` (m, 2). One Lanes for each contestant."""
    with jax.enable_x64(True):
        gaps = jnp.asarray(np.diff(kept_steps(steps)), jnp.int32)
        arrays = (jnp.asarray(a, jnp.float64) for a in (rates, starts, minima, tolerance))
        result = _program(field, function)(*arrays, gaps)
        return [Lanes(*map(np.asarray, lanes)) for lanes in result]


@functools.lru_cache(maxsize=16)
def _program(field: tuple[Contestant, ...], function: Callable[[Any], Any]) -> Callable[..., Any]:
    """The compiled race; rates, starts, minima, tolerance and the steps to keep are data."""

    @jax.jit
    def race(rates, starts, minima, tolerance, gaps):
        grid = (len(rates), len(starts))
        rate = jnp.repeat(rates, grid[1])
        start = jnp.tile(starts.T, grid[0])
        rows = [_walk(one, function, rate, start, minima, tolerance, gaps) for one in field]
        ends = jnp.concatenate([end for _, end, _, _ in rows], axis=-1)
        feet = jnp.split(descend(function, ends), len(field), axis=-1)
        values = jnp.split(jax.vmap(function, in_axes=-1)(ends), len(field))
        results = [(*row, foot, value) for row, foot, value in zip(rows, feet, values, strict=True)]
        return [Lanes(*(x.reshape(*x.shape[:-1], *grid) for x in result)) for result in results]

    return race


def _walk(contestant, function, rate, start, minima, tolerance, gaps):
    """What one contestant's lanes do: path, end, touched, settled; ``rate`` (lanes,), ``start`` (2, lanes)."""

    # To the optimizers the two numbers are a column, so that Muon, which is for matrices, is itself.
    def first(rate, theta):
        return contestant(rate).init(theta[:, None])

    def step(rate, theta, state):
        params: Any = theta[:, None]
        gradient = jax.grad(function)(lookahead_params(params, state, strict=False)[:, 0])[:, None]
        updates, state = contestant(rate).update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        return params[:, 0], state, resting_params(params, state, strict=False)[:, 0]

    step = jax.vmap(step, in_axes=-1, out_axes=-1)

    def advance(_, carry):
        theta, state, _, t, touched, outside = carry
        theta, state, place = step(rate, theta, state)
        t = t + 1
        apart = place[:, :, None] - minima.T[:, None, :]
        inside = (apart[0] ** 2 + apart[1] ** 2).min(-1) <= tolerance**2  # False for NaN
        touched = jnp.where(inside & (touched < 0), t, touched)
        return theta, state, place, t, touched, jnp.where(inside, outside, t)

    def stretch(carry, gap):
        carry = jax.lax.fori_loop(0, gap, advance, carry)
        return carry, carry[2].astype(jnp.float32)

    never = jnp.full(rate.shape, -1, jnp.int32)
    state = jax.vmap(first, in_axes=-1, out_axes=-1)(rate, start)
    carry = (start, state, start, jnp.zeros((), jnp.int32), never, jnp.zeros_like(never))
    (_, _, end, _, touched, outside), path = jax.lax.scan(stretch, carry, gaps)
    path = jnp.concatenate([start.astype(jnp.float32)[None], path])
    return path, end, touched, outside + 1


def descend(function: Callable[[Any], Any], places: Any) -> Any:
    """Where a careful descent leads from ``places`` (2, lanes): Newton steps, damped, short, never uphill.

    It ends at a minimum, far away in a valley without an end, or where it began if the function is not finite there.
    """

    def step(theta, height, damping):
        g, h = jax.grad(function)(theta), jax.hessian(function)(theta)
        a, b, d = h[0, 0], h[0, 1], h[1, 1]
        lowest = (a + d) / 2 - jnp.hypot((a - d) / 2, b)
        shift = jnp.maximum(-2 * lowest, 0) + damping * (jnp.abs(a) + jnp.abs(b) + jnp.abs(d))
        a, d = a + shift, d + shift
        move = -jnp.stack([d * g[0] - b * g[1], a * g[1] - b * g[0]]) / (a * d - b * b)
        move = move * jnp.minimum(1, _REACH * (1 + jnp.hypot(*theta)) / jnp.hypot(*move))
        there = function(theta + move)
        down = there < height
        damping = jnp.clip(jnp.where(down, damping / 4, damping * 4), 1e-14, 1e14)
        return jnp.where(down, theta + move, theta), jnp.where(down, there, height), damping

    steps = jax.vmap(step, in_axes=-1, out_axes=-1)
    start = (places, jax.vmap(function, in_axes=-1)(places), jnp.full(places.shape[1:], 0.1, places.dtype))
    return jax.lax.fori_loop(0, _DESCENT, lambda _, carry: steps(*carry), start)[0]


def find_minima(function: Callable[[Any], Any], window: tuple[float, float, float, float]) -> np.ndarray:
    """The lowest points (m, 2) that careful descents from 21 × 21 places of the window lead to; empty for none."""
    left, right, bottom, top = window
    x, y = np.meshgrid(np.linspace(left, right, 21), np.linspace(bottom, top, 21))
    with jax.enable_x64(True):
        places = jnp.asarray(np.stack([x.ravel(), y.ravel()]))
        feet = jax.jit(functools.partial(descend, function))(places)
        values = jax.jit(jax.vmap(function, in_axes=-1))(feet)
        slopes = jax.jit(jax.vmap(jax.grad(function), in_axes=-1, out_axes=-1))(feet)
    feet, values, slopes = (np.asarray(a) for a in (feet, values, slopes))
    reach = np.hypot(right - left, top - bottom)
    flat = np.hypot(*slopes) < 1e-6 * max(1.0, float(np.nanmax(np.abs(values), initial=0.0, where=np.isfinite(values))))
    kept = np.isfinite(values) & flat & (np.hypot(*feet) < FAR * reach)
    found: list[np.ndarray] = []
    if kept.any():
        lowest = values[kept].min()
        near = kept & (values <= lowest + 1e-9 * max(1.0, abs(lowest)))
        for foot in feet.T[near]:
            if all(np.hypot(*(foot - other)) > 1e-4 * reach for other in found):
                found.append(foot)
    return np.array(found).reshape(-1, 2)
