"""The scheduler that looks at a loss: ReduceLROnPlateau."""

import jax
import jax.numpy as jnp
import optax

from jaxdict import _cache, _check
from jaxdict.compat.torch.optim.lr_scheduler._base import Scalar, base_rate
from jaxdict.optimizers._rule import check_floating
from jaxdict.optimizers.plateau import plateau_rule


@_cache.constructor
def ReduceLROnPlateau(
    lr: Scalar,
    mode: str = "min",
    factor: Scalar = 0.1,
    patience: int = 10,
    threshold: Scalar = 1e-4,
    threshold_mode: str = "rel",
    cooldown: int = 0,
    min_lr: Scalar = 0,
    eps: Scalar = 1e-8,
) -> optax.GradientTransformationExtraArgs:
    """``ReduceLROnPlateau``: ``optax.chain(SGD(lr), ReduceLROnPlateau(lr))``, and ``update(…, value=loss)``.

    It scales the updates of the optimizer before it, which in torch's are proportional to the rate; AdamW's decay too.
    A value lowers the rate of the next update, as ``scheduler.step(loss)`` after ``optimizer.step()`` does.

    Args:
      lr: the optimizer's rate, > 0, which ``min_lr`` and ``eps`` are measured by.
      mode: "min" or "max", whether smaller or larger is better.
      factor: 0 < factor < 1.
      patience: how many values in a row may be no better; the next lowers the rate.
      threshold: by how much a value must be better, ≥ 0.
      threshold_mode: "rel", times the best, whose sign counts, or "abs".
      cooldown: how many values after a reduction do not count.
      min_lr: the least rate. ``eps``: a reduction by this or less is not made.

    Returns:
      The transformation; its state is a ``PlateauState``.

    Raises:
      ValueError: a number out of its range, an unknown mode; at ``update`` no value. TypeError: no number.
    """
    lr = base_rate(_check.scalar("lr", lr, above=0))
    relative = _check.one_of("threshold_mode", threshold_mode, ["rel", "abs"]) == "rel"
    rule = plateau_rule(
        factor=factor, patience=patience, mode=mode, rtol=threshold if relative else 0.0,
        atol=0.0 if relative else threshold, relative_to="value", reduce_when="exceeded", cooldown=cooldown,
        min_scale=_check.scalar("min_lr", min_lr, low=0) / lr, min_reduction=_check.scalar("eps", eps, low=0) / lr,
    )  # fmt: skip

    def init(params):
        check_floating(params)
        return rule.init()

    def update(updates, state, params=None, *, value=None, **extra_args):
        del params, extra_args
        if value is None:
            raise ValueError("ReduceLROnPlateau needs a value: call update(updates, state, params, value=loss)")
        scaled = jax.tree.map(lambda u: (u * state.scale).astype(jnp.result_type(u)), updates)
        return scaled, rule.update(state, value)

    return optax.GradientTransformationExtraArgs(init, update)
