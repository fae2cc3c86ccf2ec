"""Schedules that rise again: cosines with restarts, triangles, one cycle."""

import jax
import jax.numpy as jnp

from jaxdict import _cache, _check
from jaxdict._entry import entry
from jaxdict.schedules._steps import Scalar, Schedule, between, cycle, elapsed, half_cosine, is_whole, left, power


@entry(
    "schedule",
    equation="n = floor(log(1 + (m - 1)*t/T)/log(m)); s = T*(m**n - 1)/(m - 1);"
    " eta1 + q**n*(eta0 - eta1)*(1 + cos(pi*(t - s)/(T*m**n)))/2",
    aliases=("sgdr", "cosine annealing with warm restarts", "cosine decay restarts", "warm restarts"),
    sources=("S3", "S4", "Loshchilov and Hutter 2017, arXiv:1608.03983"),
    conventions={
        "torch": "CosineAnnealingWarmRestarts(T_0, T_mult=1, eta_min=0): growth is T_mult, a whole number, 1 by"
        " default; eta_min is absolute, as here",
        "keras": "CosineDecayRestarts(t_mul=2.0, m_mul=1.0, alpha=0.0): growth 2 by default; m_mul is peak_decay;"
        " alpha is a fraction of the initial value",
        "optax": "sgdr_schedule: a list of cycles, each with a warm-up of its own",
    },
    see_also=("cosine_annealing", "cyclic_cosine", "term warm_restart"),
    symbols={
        "init_value": "eta0", "final_value": "eta1", "cycle_steps": "T", "growth": "m", "peak_decay": "q",
    },
)  # fmt: skip
@_cache.constructor
def cosine_restarts(
    init_value: Scalar,
    cycle_steps: Scalar,
    *,
    growth: Scalar = 2.0,
    final_value: Scalar = 0.0,
    peak_decay: Scalar = 1.0,
) -> Schedule:
    """Cosine descents one after the other, each longer than the last; the first step of a cycle has its peak.

    Args:
      init_value: η₀, the value at step 0.
      cycle_steps: T > 0, the length of the first cycle.
      growth: m ≥ 1, the length of a cycle by that of the one before; 1 keeps it.
      final_value: η₁, what each descent goes to and does not reach: its end is the start of the next.
      peak_decay: q > 0, what the height of the peak over ``final_value`` is multiplied by at each restart.

    Returns:
      ``step -> value``, of the step's shape; restarts fall on the right step for lengths that are whole numbers.

    Raises:
      ValueError: a number out of its range, or not a scalar.
      TypeError: something that is not a number.
    """
    init_value = _check.scalar("init_value", init_value)
    cycle_steps = _check.scalar("cycle_steps", cycle_steps, above=0)
    growth = _check.scalar("growth", growth, low=1)
    final_value = _check.scalar("final_value", final_value)
    peak_decay = _check.scalar("peak_decay", peak_decay, above=0)

    def schedule(step):
        number, share = _growing_cycle(step, cycle_steps, growth)
        return final_value + (init_value - final_value) * power(peak_decay, number) * half_cosine(share)

    return schedule


def _growing_cycle(step, first: Scalar, growth: Scalar) -> tuple[jax.Array, jax.Array]:
    """The number of a cycle and the share of it that is left."""
    if isinstance(growth, float) and growth == 1:
        number, position = cycle(step, first)
        return number, (first - position) / first
    t = elapsed(step)
    equal = jnp.asarray(growth) == 1  # a traced growth may be
    m = growth if isinstance(growth, float) else jnp.where(equal, 2, growth).astype(t.dtype)
    whole = isinstance(growth, float) and is_whole(growth) and is_whole(first)

    def start(n):
        steps = first * (power(m, n) - 1) / (m - 1)
        return jnp.where(equal, n * first, jnp.round(steps) if whole else steps)

    number = jnp.where(equal, jnp.floor(t / first), jnp.floor(jnp.log1p((m - 1) * t / first) / jnp.log(m)))
    number = jax.lax.stop_gradient(number)
    number = number + (t >= start(number + 1)) - (t < start(number))  # the logarithm is rounded
    length = jnp.where(equal, first, first * power(m, number))
    return number, jnp.clip((start(number + 1) - t) / length, 0, 1)


@entry(
    "schedule",
    equation="s = t % (T/M); eta0/2*(1 + cos(pi*s/(T/M)))",
    aliases=("cyclic cosine annealing", "snapshot schedule"),
    sources=("S3", "S4", "Huang et al. 2017, arXiv:1704.00109"),
    conventions={
        "paper": "counts steps from 1 and rounds T/M up",
        "torch": "CosineAnnealingWarmRestarts(T_0=T/M)",
        "keras": "CosineDecayRestarts(T/M, t_mul=1.0)",
        "optax": "sgdr_schedule of equal cycles",
    },
    see_also=("cosine_restarts", "term snapshot_ensemble"),
    symbols={"init_value": "eta0", "total_steps": "T", "cycles": "M"},
)
@_cache.constructor
def cyclic_cosine(init_value: Scalar, total_steps: Scalar, *, cycles: Scalar = 5) -> Schedule:
    """The schedule of snapshot ensembles: a run cut into equal cosine descents to 0; snapshots are taken at their ends.

    Args:
      init_value: η₀, the value at the start of each cycle.
      total_steps: T > 0, the steps of the run; the cycles go on after it.
      cycles: M ≥ 1, a whole number, how many the run is cut into. T/M need not be whole.

    Returns:
      ``step -> value``, of the step's shape; 0 is not reached: it is at the step where the next cycle starts.

    Raises:
      ValueError: a number out of its range, or not a scalar.
      TypeError: something that is not a number.
    """
    init_value = _check.scalar("init_value", init_value)
    total_steps = _check.scalar("total_steps", total_steps, above=0)
    cycles = cycles if _check.is_traced(cycles) else _check.integer("cycles", cycles, low=1)

    def schedule(step):
        step = jnp.asarray(step)
        if jnp.issubdtype(step.dtype, jnp.integer) and _exact(total_steps, cycles):
            # (t mod T/M)/(T/M) is (M·t mod T)/T, which whole numbers say exactly.
            step = jnp.mod(step.astype(jnp.int32), int(total_steps)) * cycles
            length = total_steps
        else:
            length = total_steps / cycles
        return init_value * half_cosine((length - cycle(step, length)[1]) / length)

    return schedule


def _exact(total_steps: Scalar, cycles: Scalar) -> bool:
    if not isinstance(total_steps, float) or not isinstance(cycles, int):
        return False
    return is_whole(total_steps) and total_steps * cycles < 2**31


_CYCLIC = {
    "torch": "CyclicLR(base_lr, max_lr, step_size_up, step_size_down, mode={!r}): the same; by default it also cycles"
    " the momentum the other way, from 0.9 to 0.8 (cycle_momentum), which optimizers without one refuse",
    "keras": "none",
    "optax": "none",
}
_CYCLIC_SYMBOLS = {"min_value": "eta0", "max_value": "eta1", "step_size": "s", "down_steps": "d", "decay_rate": "r"}
_TRIANGLE = "max(0, 1 - abs(t/s - 2*floor(1 + t/(2*s)) + 1))"
_SMITH = "Smith 2017, arXiv:1506.01186"


def _cyclic(mode: str) -> dict[str, str]:
    return {name: text.format(mode) for name, text in _CYCLIC.items()}


@entry(
    "schedule",
    equation=f"eta0 + (eta1 - eta0)*{_TRIANGLE}",
    aliases=("cyclic", "cyclical learning rate", "clr", "cyclic lr"),
    sources=("S3", _SMITH),
    conventions=_cyclic("triangular"),
    see_also=("triangular2", "exp_range", "one_cycle"),
    symbols=_CYCLIC_SYMBOLS,
)
@_cache.constructor
def triangular(
    min_value: Scalar, max_value: Scalar, step_size: Scalar, *, down_steps: Scalar | None = None
) -> Schedule:
    """Up a line and down a line, over and over.

    Args:
      min_value: η₀, the value at step 0 and at each start of a cycle.
      max_value: η₁, the value at step s of each cycle.
      step_size: s > 0, the steps up, half a cycle.
      down_steps: > 0, the steps down, where they are not as many.

    Returns:
      ``step -> value``, of the step's shape.

    Raises:
      ValueError: a number out of its range, or not a scalar.
      TypeError: something that is not a number.
    """
    return _triangles(min_value, max_value, step_size, down_steps, lambda t, number: jnp.ones_like(t))


@entry(
    "schedule",
    equation=f"eta0 + (eta1 - eta0)*{_TRIANGLE}/2**floor(t/(2*s))",
    aliases=("cyclic halving",),
    sources=(_SMITH,),
    conventions=_cyclic("triangular2"),
    see_also=("triangular", "exp_range"),
    symbols=_CYCLIC_SYMBOLS,
)
@_cache.constructor
def triangular2(
    min_value: Scalar, max_value: Scalar, step_size: Scalar, *, down_steps: Scalar | None = None
) -> Schedule:
    """``triangular`` with half the height in each cycle of that in the one before.

    Args:
      min_value: η₀, the value at step 0 and at each start of a cycle.
      max_value: η₁, the value at step s of the first cycle.
      step_size: s > 0, the steps up, half a cycle.
      down_steps: > 0, the steps down, where they are not as many.

    Returns:
      ``step -> value``, of the step's shape.

    Raises:
      ValueError: a number out of its range, or not a scalar.
      TypeError: something that is not a number.
    """
    return _triangles(min_value, max_value, step_size, down_steps, lambda t, number: power(0.5, number))


@entry(
    "schedule",
    equation=f"eta0 + (eta1 - eta0)*{_TRIANGLE}*r**t",
    aliases=("cyclic exponential",),
    sources=(_SMITH,),
    conventions=_cyclic("exp_range"),
    see_also=("triangular", "triangular2", "exponential"),
    symbols=_CYCLIC_SYMBOLS,
)
@_cache.constructor
def exp_range(
    min_value: Scalar, max_value: Scalar, step_size: Scalar, decay_rate: Scalar, *, down_steps: Scalar | None = None
) -> Schedule:
    """``triangular`` with a height that decays by a factor at each step, not each cycle.

    Args:
      min_value: η₀, the value at step 0 and at each start of a cycle.
      max_value: η₁, the value that the peaks decay from.
      step_size: s > 0, the steps up, half a cycle.
      decay_rate: r > 0, the factor of a step, a little below 1.
      down_steps: > 0, the steps down, where they are not as many.

    Returns:
      ``step -> value``, of the step's shape.

    Raises:
      ValueError: a number out of its range, or not a scalar.
      TypeError: something that is not a number.
    """
    decay_rate = _check.scalar("decay_rate", decay_rate, above=0)
    return _triangles(min_value, max_value, step_size, down_steps, lambda t, number: power(decay_rate, t))


def _triangles(min_value, max_value, step_size, down_steps, height) -> Schedule:
    low, high = _check.scalar("min_value", min_value), _check.scalar("max_value", max_value)
    up = _check.scalar("step_size", step_size, above=0)
    down = up if down_steps is None else _check.scalar("down_steps", down_steps, above=0)

    def schedule(step):
        number, position = cycle(step, up + down)
        share = jnp.where(position < up, position / up, (up + down - position) / down)
        return between(low, high, share * height(elapsed(step), number))

    return schedule


@entry(
    "schedule",
    equation="cases((eta/d + (eta - eta/d)*(1 - cos(pi*t/(p*T)))/2, t < p*T),"
    " (eta/(d*e) + (eta - eta/(d*e))*(1 + cos(pi*(min(t, T) - p*T)/(T - p*T)))/2, True))",
    aliases=("one cycle policy", "1cycle", "super convergence"),
    sources=("Smith and Topin 2019, arXiv:1708.07120",),
    conventions={
        "torch": "OneCycleLR(max_lr, total_steps): its peak is at pct_start*total_steps - 1 and its end at"
        " total_steps - 1, the last step that is taken: one_cycle(max_lr, n - 1, peak_fraction=(pct_start*n - 1)/(n -"
        " 1)); three_phase is back at 2*pct_start*n - 2; it overwrites momentum or b1, 0.95 down to 0.85 and up again,"
        " from the moment that it is made",
        "keras": "none",
        "optax": "cosine_onecycle_schedule: the end is at total_steps, as here, the peak at pct_start*total_steps"
        " rounded down; linear_onecycle_schedule: back at pct_final=0.85; no momentum",
        "paper": "lines, back at the start before the last part falls below it",
    },
    see_also=("triangular", "warmup", "cosine_annealing"),
    symbols={
        "peak_value": "eta", "total_steps": "T", "peak_fraction": "p", "div_factor": "d", "final_div_factor": "e",
    },
)  # fmt: skip
@_cache.constructor
def one_cycle(
    peak_value: Scalar,
    total_steps: Scalar,
    *,
    peak_fraction: Scalar = 0.3,
    return_fraction: Scalar | None = None,
    shape: str = "cosine",
    div_factor: Scalar = 25.0,
    final_div_factor: Scalar = 1e4,
) -> Schedule:
    """Up from a small value to the peak, down to one that is far smaller, which then stays.

    Momentum that goes the other way is ``one_cycle(0.85, T, div_factor=0.85 / 0.95, final_div_factor=1.0)``.

    Args:
      peak_value: η, the value at step ``peak_fraction``·T.
      total_steps: T > 0, the step from which on the last value holds.
      peak_fraction: 0 < p < 1, the share of the steps that go up.
      return_fraction: p < share < 1 after which it is back at the initial value, from where a third part falls to the
        end; None goes down to the end at once.
      shape: "cosine" or "linear", of each part.
      div_factor: d > 0, the peak by the initial value.
      final_div_factor: e > 0, the initial value by the last.

    Returns:
      ``step -> value``, of the step's shape.

    Raises:
      ValueError: a number out of its range, or not a scalar; an unknown shape.
      TypeError: something that is not a number.
    """
    peak = _check.scalar("peak_value", peak_value)
    total = _check.scalar("total_steps", total_steps, above=0)
    top = _check.scalar("peak_fraction", peak_fraction, above=0, below=1)
    low = top if isinstance(top, float) else 0
    back = None if return_fraction is None else _check.scalar("return_fraction", return_fraction, above=low, below=1)
    ease = {"cosine": half_cosine, "linear": lambda share: share}[_check.one_of("shape", shape, ("cosine", "linear"))]
    first = peak / _check.scalar("div_factor", div_factor, above=0)
    last = first / _check.scalar("final_div_factor", final_div_factor, above=0)

    def schedule(step):
        t = elapsed(step)

        def fall(start, end, high, low):
            return between(low, high, ease(left(jnp.maximum(t - start, 0), end - start)))

        up = between(first, peak, ease(jnp.minimum(t / (top * total), 1)))
        if back is None:
            down = fall(top * total, total, peak, last)
        else:
            down = fall(top * total, back * total, peak, first)
            down = jnp.where(t < back * total, down, fall(back * total, total, first, last))
        return jnp.where(t < top * total, up, down)

    return schedule


__all__ = ["cosine_restarts", "cyclic_cosine", "exp_range", "one_cycle", "triangular", "triangular2"]
