"""What Keras's optimizers share: the arguments, and a step's order: unscale, clip, decay, rule, average."""

import inspect
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ParamSpec, TypedDict, TypeVar

import jax
import jax.numpy as jnp
import optax

from jaxdict import _cache, _check
from jaxdict.optimizers._rule import cast, elementwise, scalar_or_schedule, value_at

P = ParamSpec("P")
R = TypeVar("R")


class Rest(TypedDict, total=False):
    """`Shared` without the weight decay, which AdamW has among its own."""

    clipnorm: Any
    clipvalue: Any
    global_clipnorm: Any
    use_ema: bool
    ema_momentum: Any
    ema_overwrite_frequency: int | None
    loss_scale_factor: Any
    gradient_accumulation_steps: None
    name: str | None
    exclude_from_weight_decay: Any


class Shared(Rest, total=False):
    """The arguments that every optimizer takes by keyword; the package's docstring says what they mean."""

    weight_decay: Any


DEFAULTS: dict[str, Any] = {
    "weight_decay": None, "clipnorm": None, "clipvalue": None, "global_clipnorm": None, "use_ema": False,
    "ema_momentum": 0.99, "ema_overwrite_frequency": None, "loss_scale_factor": None,
    "gradient_accumulation_steps": None, "name": None, "exclude_from_weight_decay": None,
}  # fmt: skip


def optimizer(function: Callable[P, R]) -> Callable[P, R]:
    """Equal arguments give the same object, and ``help()`` shows the shared arguments with their defaults."""
    own = inspect.signature(function)
    *parameters, _ = own.parameters.values()  # the last is **shared
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in DEFAULTS.items()
        if name not in own.parameters
    ]
    built = _cache.constructor(function)
    built.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # what inspect looks for
    return built


def present(value: Any) -> bool:
    """Whether a coefficient needs a slot: it is above 0, or traced, when that is not known."""
    return _check.is_traced(value) or value > 0


def assemble(
    step: Callable[..., Callable[..., tuple]],
    memory: type,
    slots: tuple[str, ...],
    learning_rate: Any,
    shared: Mapping[str, Any],
    *,
    scalars: Mapping[str, Any] = MappingProxyType({}),
    start: Mapping[str, Any] = MappingProxyType({}),
    with_params: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """The transformation of a rule: ``step``, ``scalars``, ``start`` and ``with_params`` as `elementwise` takes them.

    ``memory`` is the state's class, and ``slots`` are those of its trees that are in use.
    """
    options = _checked(shared)
    decay, scale, momentum = options["weight_decay"], options["loss_scale_factor"], options["ema_momentum"]
    frequency, excluded = options["ema_overwrite_frequency"], options["exclude_from_weight_decay"]
    use_ema, clip = options["use_ema"], _clipping(options)
    learning_rate = scalar_or_schedule("learning_rate", learning_rate, low=0)
    fields = ("count", "learning_rate", *scalars, *slots)
    without = tuple(name for name in memory._fields if name not in fields)  # type: ignore[attr-defined]
    rule: Any = elementwise(
        step, memory, learning_rate, scalars=scalars, start=start, without=without, with_params=with_params
    )

    def rate_at(count):
        # Not float32, as `elementwise` keeps it: Keras's own is of the type of the parameters, and may go back there.
        return jnp.asarray(value_at(learning_rate, count, None), jax.dtypes.canonicalize_dtype(float))

    def init(params):
        first = rule.init(params)
        average = jax.tree.map(lambda p: jnp.zeros_like(p, _wide(p)), params) if use_ema else None
        return first._replace(learning_rate=rate_at(first.count), average=average)

    def update(updates, state, params=None, **extra_args):
        del extra_args
        if params is None and (decay is not None or use_ema or with_params):
            raise ValueError("this optimizer needs the parameters: call update(updates, state, params)")
        rate, updates = rate_at(state.count), jax.tree.map(jnp.asarray, updates)
        if scale is not None:
            updates = jax.tree.map(lambda g: g / cast(scale, g.dtype), updates)
        kept, average = params, None
        if decay is not None:
            decays = _decaying(excluded, params)
            kept = jax.tree.map(lambda p, on: _decayed(p, decay, rate) if on else p, params, decays)
        changes, new = rule.update(clip(updates), state, kept)
        if decay is not None:
            # Where neither differs much from the other, p + ((kept + change) - p) is kept + change to the bit.
            changes = _on(changes, lambda c, k, p: ((k + _widened(c)) - _widened(p)).astype(c.dtype), kept, params)
        if use_ema:
            weight = jnp.where(state.count == 0, 0.0, momentum)
            after = jax.tree.map(lambda p, c: p if c is None else p + c, params, changes, is_leaf=_is_none)
            average = jax.tree.map(
                lambda a, p: cast(weight, a.dtype) * a + (1 - cast(weight, a.dtype)) * p, state.average, after
            )
            if frequency is not None:
                due = new.count % frequency == 0
                changes = _on(changes, lambda c, a, p: jnp.where(due, a - p, c).astype(c.dtype), average, params)
        return changes, new._replace(learning_rate=rate, average=average)

    return optax.GradientTransformationExtraArgs(init, update)


def _checked(shared: Mapping[str, Any]) -> dict[str, Any]:
    for name in shared:
        if name not in DEFAULTS:
            raise TypeError(f"unknown argument {name!r}; {_check.did_you_mean(name, DEFAULTS)}")
    options = {**DEFAULTS, **shared}
    if options["gradient_accumulation_steps"]:
        steps = options["gradient_accumulation_steps"]
        raise ValueError(f"gradient_accumulation_steps={steps}: use optax.MultiSteps(optimizer, {steps})")
    given = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if options[name] is not None]
    if len(given) > 1:
        raise ValueError(f"only one of clipnorm, clipvalue and global_clipnorm may be set; got {' and '.join(given)}")
    bounds = {"weight_decay": {"low": 0}, "ema_momentum": {"low": 0, "high": 1}}
    for name in (*given, "weight_decay", "loss_scale_factor", "ema_momentum"):
        if options[name] is not None:
            options[name] = _check.scalar(name, options[name], **bounds.get(name, {"above": 0}))
    if options["ema_overwrite_frequency"] is not None:
        _check.integer("ema_overwrite_frequency", options["ema_overwrite_frequency"], low=1)
    _check.one_of("use_ema", options["use_ema"], (True, False))
    return options


def _clipping(options: Mapping[str, Any]) -> Callable[[Any], Any]:
    """The clipping that is set; without memory, and as Keras computes it."""
    norm, value, total = options["clipnorm"], options["clipvalue"], options["global_clipnorm"]

    def by_norm(g):
        g = _widened(g)
        c, squares = cast(norm, g.dtype), jnp.sum(g * g)
        length = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), squares)
        return g * c / jnp.maximum(length, c)

    def by_value(g):
        c = cast(value, g.dtype)
        return jnp.clip(g, -c, c)

    def by_global_norm(tree):
        squares = [jnp.sum(jnp.square(_widened(g))) for g in jax.tree.leaves(tree)]
        if not squares:
            return tree
        length = jnp.sqrt(jnp.sum(jnp.stack(jnp.broadcast_arrays(*squares))))
        c = cast(total, length.dtype)
        factor = c * jnp.minimum(1 / length, 1 / c) + (length - length)  # NaN where the norm is not finite
        return jax.tree.map(lambda g: _widened(g) * factor.astype(_wide(g)), tree)

    def narrow(clip):
        return lambda tree: jax.tree.map(lambda new, g: new.astype(g.dtype), clip(tree), tree)

    if total is not None:
        return narrow(by_global_norm)
    if norm is not None:
        return narrow(lambda tree: jax.tree.map(by_norm, tree))
    if value is not None:
        return lambda tree: jax.tree.map(by_value, tree)
    return lambda tree: tree


def _decaying(excluded: Any, params: Any) -> Any:
    """A tree of bools like the parameters: what decays."""
    if excluded is None:
        return jax.tree.map(lambda p: True, params)
    if callable(excluded):
        excluded = excluded(params)
    names = (excluded,) if isinstance(excluded, str) else excluded
    if isinstance(names, (list, tuple)) and names and all(isinstance(name, str) for name in names):
        pattern = re.compile("|".join(names))

        def decays(path, leaf):
            return not (path and pattern.search(jax.tree_util.keystr(path[-1:], simple=True)))

        return jax.tree_util.tree_map_with_path(decays, params)
    return jax.tree.map(lambda out: not out, jax.tree.broadcast(excluded, params))


def _decayed(p: Any, decay: Any, rate: Any) -> jax.Array:
    p = _widened(p)
    return p - p * cast(decay, p.dtype) * cast(rate, p.dtype)


def _on(changes: Any, function: Callable[..., jax.Array], *trees: Any) -> Any:
    """``function`` of every change that there is, and of the leaves beside it."""
    return jax.tree.map(lambda c, *rest: None if c is None else function(c, *rest), changes, *trees, is_leaf=_is_none)


def _is_none(leaf: Any) -> bool:
    return leaf is None


def _wide(x: Any) -> Any:
    return _check.compute_dtype(jnp.result_type(x))


def _widened(x: Any) -> jax.Array:
    return jnp.asarray(x, _wide(x))
