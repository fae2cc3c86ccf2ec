"""Who races: every optimizer that a learning rate alone makes, and that a gradient alone moves."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdict import _check, dictionary

MOMENTUM = 0.9
# What may follow a name, as in rmsprop+momentum: options of the optimizer, which must know the last of them.
_VARIANTS: dict[str, dict[str, Any]] = {
    "momentum": {"momentum": MOMENTUM},
    "nesterov": {"momentum": MOMENTUM, "nesterov": True},
}


class Contestant(NamedTuple):
    """An optimizer in a race: ``make(rate, **options)`` gives the transformation."""

    label: str
    make: Callable[..., Any]
    options: tuple[tuple[str, Any], ...] = ()

    def __call__(self, rate: Any) -> optax.GradientTransformationExtraArgs:
        """The transformation at a learning rate, which may be traced."""
        return optax.with_extra_args_support(self.make(rate, **dict(self.options)))


def field() -> tuple[Contestant, ...]:
    """Every optimizer of the dictionary that can race, by name, and again with momentum 0.9 where that is an option.

    An optimizer races when it can be made from a learning rate alone and its update needs nothing but gradient, state
    and parameters: clipping and decay have no rate, second-order rules ask for more.
    """
    found = []
    for entry in dictionary.entries(kind="optimizer"):
        parameters = list(inspect.signature(entry.function).parameters.values())
        if parameters[0].name != "learning_rate" or any(_is_required(p) for p in parameters[1:]):
            continue
        alone = Contestant(entry.name, entry.function)
        if not _moves(alone):
            continue
        found.append(alone)
        if any(p.name == "momentum" and p.default is None for p in parameters):
            found.append(_variant(alone, "momentum"))
    return tuple(sorted(found, key=lambda one: one.label))


def contestants(optimizers: Any = None) -> tuple[Contestant, ...]:
    """The contestants that are meant.

    Args:
      optimizers: names, one or several, each as ``adam``, or ``rmsprop+momentum`` and ``rmsprop+nesterov`` for momentum
        0.9; a mapping of labels to functions of the rate that give an optax transformation; the whole field when None.

    Raises:
      ValueError: no or a repeated name, one that cannot race, or an unknown one; the message names the closest.
      TypeError: something that is not a name or a function.
    """
    if optimizers is None:
        return field()
    if isinstance(optimizers, Mapping):
        chosen = tuple(Contestant(str(label), make) for label, make in optimizers.items())
        for one in chosen:
            if not callable(one.make) or not _moves(one):
                raise TypeError(f"{one.label} must be a function of the rate that gives an optax transformation")
    else:
        names = [optimizers] if isinstance(optimizers, str) else list(optimizers)
        racing = {one.label: one for one in field()}
        chosen = tuple(_named(name, racing) for name in names)
    labels = [one.label for one in chosen]
    if not labels:
        raise ValueError("optimizers must name at least one; none races")
    for label in labels:
        if labels.count(label) > 1:
            raise ValueError(f"optimizers must be different; {label!r} is given twice")
    return chosen


def _named(text: Any, racing: Mapping[str, Contestant]) -> Contestant:
    if not isinstance(text, str):
        raise TypeError(f"optimizers must be names, or a mapping of labels to functions of the rate; got {text!r}")
    name, plus, variant = text.strip().partition("+")
    try:
        entry = dictionary.lookup(name, kind="optimizer")
    except KeyError:
        hint = _check.did_you_mean(name, racing)
        raise ValueError(f"no optimizer is called {name!r}; {hint}") from None
    if entry.name not in racing:
        raise ValueError(f"{entry.name} cannot race: it needs more than a rate and a gradient; {_known(racing)}")
    if not plus:
        return racing[entry.name]
    _check.one_of("what follows +", variant, _VARIANTS)
    if variant not in inspect.signature(entry.function).parameters:
        raise ValueError(f"{entry.name} has no option {variant!r}: {text!r} cannot race; {_known(racing)}")
    return _variant(racing[entry.name], variant)


def _variant(contestant: Contestant, variant: str) -> Contestant:
    return Contestant(f"{contestant.label}+{variant}", contestant.make, tuple(_VARIANTS[variant].items()))


def _known(names: Iterable[str]) -> str:
    return f"who can: {', '.join(sorted(names))}"


def _is_required(parameter: inspect.Parameter) -> bool:
    several = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    return parameter.default is parameter.empty and not several


def _moves(contestant: Contestant) -> bool:
    """Whether a rate makes it, and a gradient alone gives an update; nothing is computed."""

    def step(rate, params):
        optimizer = contestant(rate)
        return optimizer.update(params, optimizer.init(params), params)[0]

    params = jax.ShapeDtypeStruct((2, 1), jnp.float32)
    try:
        update = jax.eval_shape(step, jax.ShapeDtypeStruct((), jnp.float32), params)
    except Exception:  # it asks for more than it was given, in whatever way
        return False
    return getattr(update, "shape", None) == params.shape
