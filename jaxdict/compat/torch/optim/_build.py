"""What torch's optimizers share: the order of sign and weight decay, and arguments that are remembered."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ParamSpec, TypeAlias

import jax
import jax.numpy as jnp
import optax

from jaxdict import _cache, _check
from jaxdict.optimizers import _rule
from jaxdict.optimizers._rule import Scalar, ScalarOrSchedule, scalar_or_schedule

P = ParamSpec("P")
Betas: TypeAlias = tuple[ScalarOrSchedule, Scalar]


class Optimizer(optax.GradientTransformationExtraArgs):
    """An optax transformation that remembers what it is in torch.

    Attributes:
      name: torch's name, ``"AdamW"``.
      defaults: argument -> value, as torch's ``optimizer.defaults``; what ``export_optimizer_state`` writes.
    """

    name: str
    defaults: Mapping[str, Any]


def optimizer(function: Callable[P, optax.GradientTransformationExtraArgs]) -> Callable[P, Optimizer]:
    """Make a constructor give an ``Optimizer``, the same one for the same arguments."""
    signature = inspect.signature(function)

    @_cache.constructor
    @functools.wraps(function)
    def build(*args: P.args, **options: P.kwargs) -> Optimizer:
        made = Optimizer(*function(*args, **options))
        bound = signature.bind(*args, **options)
        bound.apply_defaults()
        made.name, made.defaults = function.__name__, MappingProxyType(dict(bound.arguments))
        return made

    return build


def transformation(
    direction: Callable[..., Callable[..., tuple]],
    memory: type,
    lr: ScalarOrSchedule,
    *,
    without: Sequence[str] = (),
    weight_decay: Scalar = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
    scalars: Mapping[str, tuple[float, Callable[[jax.Array, jax.Array], Any]]] = MappingProxyType({}),
    start: Mapping[str, Any] = MappingProxyType({}),
) -> optax.GradientTransformationExtraArgs:
    """A transformation in torch's order: the sign of the gradient, L2 decay in it, the direction, decoupled decay.

    ``direction(t, eta, dtype, **scalars)`` gives the rule ``(g, *buffers) -> (update, *buffers)``; buffers that it
    does ``without`` are None in the state. Without decay parameters are not needed.
    """
    eta = scalar_or_schedule("lr", lr, low=0)
    weight_decay = _check.scalar("weight_decay", weight_decay, low=0)
    _check.one_of("maximize", maximize, (True, False))
    decays = in_use(weight_decay)

    def step(t, eta, dtype, **values):
        follow = direction(t, eta, dtype, **values)
        wd = _rule.cast(weight_decay, dtype)

        def rule(g, *memories):
            g = -g if maximize else g
            if not decays:
                return follow(g, *memories)
            p, *memories = memories
            if not decoupled:
                return follow(g + wd * p, *memories)
            update, *memories = follow(g, *memories)
            # As torch rounds it in float32: the parameter shrinks first, by a factor that may be 1. The choice keeps
            # compilers from fusing product and sum into one rounding. The last difference is exact, so that p comes
            # out as it was computed here when it is added again.
            shrunk = p * (1 - eta * wd)
            return (jnp.where(jnp.isnan(shrunk), p, shrunk) + update) - p, *memories

        return rule

    return _rule.elementwise(
        step, memory, eta, scalars=scalars, start=start, without=tuple(without), with_params=decays
    )


def in_use(value: Any) -> bool:
    """Whether a checked number may be other than 0: traced ones and schedules may."""
    return not isinstance(value, float) or value != 0


def betas_of(betas: Any) -> Betas:
    """The pair β₁, β₂, each in [0, 1); the first may be a schedule, as ``OneCycleLR`` moves it."""
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise ValueError(f"betas must be a pair of numbers; got {betas!r}")
    first = scalar_or_schedule("betas[0]", betas[0], low=0, below=1)
    return first, _check.scalar("betas[1]", betas[1], low=0, below=1)


def bias_correction(beta: Scalar, t: jax.Array, dtype: Any) -> Any:
    """1 - βᵗ: in float64 with torch's digits, in float32 without the cancellation."""
    if dtype == jnp.float64:
        return 1 - beta ** t.astype(dtype)
    half = jnp.tanh(_rule.half_decays((beta,), t, dtype)[0])
    return 2 * half / (1 + half)
