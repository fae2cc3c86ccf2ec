"""optax's own optimizers, listed with their mathematics, not written again: SGD, AdamW, RAdam, Lion, LAMB, Muon, Rprop.

Each runs the function of optax that its entry names, on float32 or wider copies of what is narrower, and remembers the
rate that it used. ``optimizer.init(params).inner_state`` is optax's own state.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdict import _cache, _check
from jaxdict._entry import entry
from jaxdict.optimizers._rule import Scalar, ScalarOrSchedule, check_floating, scalar_or_schedule
from jaxdict.optimizers.gradients import _like, _wide

Mask = Any  # a tree of bools like the parameters, or a function of them that gives one


class AdoptedState(NamedTuple):
    """Memory of an optimizer that optax runs: updates done, the rate of the last one, and optax's own state."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    inner_state: Any


def _adopted(
    make: Callable[[Any], optax.GradientTransformation], learning_rate: Any
) -> optax.GradientTransformationExtraArgs:
    """``make(learning_rate)`` with float32 or wider moments and the rate in its state."""
    learning_rate = scalar_or_schedule("learning_rate", learning_rate, low=0)
    inner = optax.with_extra_args_support(make(learning_rate))

    def rate_at(count):
        return jnp.asarray(learning_rate(count) if callable(learning_rate) else learning_rate, jnp.float32)

    def init(params):
        check_floating(params)
        count = jnp.zeros((), jnp.int32)
        return AdoptedState(count, rate_at(count), inner.init(_wide(params)))

    def update(updates, state, params=None, **extra_args):
        changes, after = inner.update(_wide(updates), state.inner_state, _wide(params), **extra_args)
        count: Any = optax.safe_increment(state.count)
        return _like(changes, updates), AdoptedState(count, rate_at(state.count), after)

    return optax.GradientTransformationExtraArgs(init, update)


@entry(
    "optimizer",
    equation="b = mu*b + g; theta = theta - eta*b",
    aliases=("stochastic gradient descent", "sgdm"),
    sources=("PyTorch, torch.optim.SGD", "optax, sgd", "Robbins and Monro 1951, doi:10.1214/aoms/1177729586"),
    conventions={
        "torch": "SGD: the same; dampening besides, which spares the first step; weight_decay is L2 in the gradient",
        "keras": "SGD: the rate is inside the velocity, as in momentum here: another path once the rate changes;"
        " the velocity is -rate times this buffer; rate 0.01 by default",
        "optax": "sgd, which runs here; there nesterov without momentum is silently plain descent",
    },
    see_also=("momentum", "gradient_descent"),
)
@_cache.constructor
def sgd(
    learning_rate: ScalarOrSchedule, *, momentum: Scalar | None = None, nesterov: bool = False
) -> optax.GradientTransformationExtraArgs:
    """optax's and PyTorch's SGD: the rate is outside the velocity, and a drop of it shortens the next step at once.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      momentum: 0 ≤ μ < 1, or None for plain descent.
      nesterov: step along g + μb.

    Returns:
      The transformation; its state is an ``AdoptedState``.

    Raises:
      ValueError: a number out of its range, one that is not a scalar, or ``nesterov`` without momentum.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    _check.one_of("nesterov", nesterov, (True, False))
    if momentum is not None:
        momentum = _check.scalar("momentum", momentum, low=0, below=1)
    elif nesterov:
        raise ValueError("nesterov=True needs momentum, such as momentum=0.9; got momentum=None")
    return _adopted(lambda rate: optax.sgd(rate, momentum, nesterov), learning_rate)


@entry(
    "optimizer",
    equation="m = beta1*m + (1 - beta1)*g; v = beta2*v + (1 - beta2)*g**2;"
    " mhat = m/(1 - beta1**t); vhat = v/(1 - beta2**t);"
    " theta = theta - eta*(mhat/(sqrt(vhat) + epsilon) + lambda_*theta)",
    aliases=("adam with weight decay", "adam with decoupled weight decay"),
    sources=("Loshchilov and Hutter 2019, arXiv:1711.05101", "optax, adamw"),
    conventions={
        "torch": "AdamW: the same; weight_decay 0.01 by default. Adam(weight_decay) is another: L2 in the gradient",
        "keras": "AdamW: weight_decay 0.004 by default; epsilon 1e-7, added to the root of the uncorrected moment",
        "optax": "adamw, which runs here; weight_decay 1e-4 by default, a hundredth of torch's; adam has none; moments"
        " in the type of the parameters, so that in bfloat16 the second one stands still",
        "paper": "the decay is multiplied by the schedule alone, not by the rate: its λ is rate times weight_decay",
    },
    see_also=("adam", "weight_decay"),
    symbols={"weight_decay": "lambda_"},
)
@_cache.constructor
def adamw(
    learning_rate: ScalarOrSchedule = 1e-3,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Mask = None,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Adam with decoupled weight decay: parameters shrink by η·λ a step, whatever the size of their gradients.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      b1: 0 ≤ β₁ < 1, decay of the mean.
      b2: 0 ≤ β₂ < 1, decay of the mean of squares.
      eps: ≥ 0, added to the root.
      eps_root: ≥ 0, added inside the root.
      weight_decay: λ ≥ 0, a number, a traced scalar or a schedule.
      mask: which parameters decay, such as kernels without biases: a tree of bools like them, or a function that gives
        it of them; all by default.
      nesterov: NAdamW with a constant β₁.

    Returns:
      The transformation; its state is an ``AdoptedState``. ``update`` needs the parameters.

    Raises:
      ValueError: a number out of its range, one that is not a scalar, at ``update`` missing parameters.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    _check.one_of("nesterov", nesterov, (True, False))
    options = _moments(b1, b2, eps, eps_root) | _decay(weight_decay, mask)
    return _adopted(lambda rate: optax.adamw(rate, nesterov=nesterov, **options), learning_rate)


@entry(
    "optimizer",
    equation="m = beta1*m + (1 - beta1)*g; v = beta2*v + (1 - beta2)*g**2;"
    " mhat = m/(1 - beta1**t); vhat = v/(1 - beta2**t);"
    " rho_inf = 2/(1 - beta2) - 1; rho = rho_inf - 2*t*beta2**t/(1 - beta2**t);"
    " r = sqrt(max(0, (rho - 4)*(rho - 2)*rho_inf/((rho_inf - 4)*(rho_inf - 2)*rho)));"
    " theta = theta - eta*cases((r*mhat/(sqrt(vhat) + epsilon), rho >= 5), (mhat, True))",
    aliases=("rectified adam",),
    sources=("Liu et al. 2020, arXiv:1908.03265", "optax, radam"),
    conventions={
        "torch": "RAdam: epsilon is added to the root of the uncorrected second moment; rectified for rho > 5; its"
        " weight_decay is L2 in the gradient unless decoupled_weight_decay",
        "keras": "none",
        "optax": "radam, which runs here: epsilon is added to the root of the corrected moment",
        "paper": "no epsilon; rectified for rho > 4",
    },
    see_also=("adam", "adamw"),
)
@_cache.constructor
def radam(
    learning_rate: ScalarOrSchedule = 1e-3,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    threshold: Scalar = 5.0,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Rectified Adam: until the second moment is known well enough, a step along the mean of the gradients alone.

    Those first steps (5 at β₂ = 0.999) are as long as the gradients: a rate fit for Adam may be far too large for them.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      b1: 0 ≤ β₁ < 1, decay of the mean.
      b2: 0 ≤ β₂ < 1, decay of the mean of squares.
      eps: ≥ 0, added to the root.
      eps_root: ≥ 0, added inside the root.
      threshold: above 4, the length ρ of the average from which the second moment is used.
      nesterov: look ahead in the mean.

    Returns:
      The transformation; its state is an ``AdoptedState``.

    Raises:
      ValueError: a number out of its range, or one that is not a scalar.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    _check.one_of("nesterov", nesterov, (True, False))
    options = _moments(b1, b2, eps, eps_root) | {"threshold": _check.scalar("threshold", threshold, above=4)}
    return _adopted(lambda rate: optax.radam(rate, nesterov=nesterov, **options), learning_rate)


@entry(
    "optimizer",
    equation="theta = theta - eta*(sign(beta1*m + (1 - beta1)*g) + lambda_*theta); m = beta2*m + (1 - beta2)*g",
    aliases=("evolved sign momentum",),
    sources=("Chen et al. 2023, arXiv:2302.06675", "optax, lion"),
    conventions={
        "torch": "none",
        "keras": "Lion: the same; rate 0.001 and no decay by default",
        "optax": "lion, which runs here; weight_decay 0.001 by default",
    },
    see_also=("adamw", "momentum"),
    symbols={"weight_decay": "lambda_"},
)
@_cache.constructor
def lion(
    learning_rate: ScalarOrSchedule = 1e-4,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    weight_decay: ScalarOrSchedule = 1e-3,
    mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    """Lion: a step of one rate in every component, along the sign of an average of the gradient and its mean.

    Its rates are three to ten times smaller than Adam's, and its decay as many times larger, for as strong a pull.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      b1: 0 ≤ β₁ < 1, weight of the mean in the step.
      b2: 0 ≤ β₂ < 1, decay of the mean.
      weight_decay: λ ≥ 0, decoupled, a number, a traced scalar or a schedule.
      mask: which parameters decay: a tree of bools like them, or a function that gives it of them; all by default.

    Returns:
      The transformation; its state is an ``AdoptedState``. ``update`` needs the parameters.

    Raises:
      ValueError: a number out of its range, one that is not a scalar, at ``update`` missing parameters.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    options = _averages(b1, b2) | _decay(weight_decay, mask)
    return _adopted(lambda rate: optax.lion(rate, **options), learning_rate)


@entry(
    "optimizer",
    equation="m = beta1*m + (1 - beta1)*g; v = beta2*v + (1 - beta2)*g**2;"
    " mhat = m/(1 - beta1**t); vhat = v/(1 - beta2**t); u = mhat/(sqrt(vhat) + epsilon) + lambda_*theta;"
    " theta = theta - eta*norm(theta)/norm(u)*u",
    aliases=("layerwise adaptive moments",),
    sources=("You et al. 2020, arXiv:1904.00962", "optax, lamb"),
    conventions={
        "torch": "none",
        "keras": "Lamb: epsilon 1e-7; decay after the step and outside the ratio",
        "optax": "lamb, which runs here; epsilon 1e-6. optax.flatten around it makes one ratio of all tensors, and"
        " narrow parameters beside wide ones come back wide",
        "paper": "the norm of the parameters may pass through a function, the identity here",
    },
    see_also=("adamw", "adam"),
    symbols={"weight_decay": "lambda_"},
)
@_cache.constructor
def lamb(
    learning_rate: ScalarOrSchedule = 1e-3,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-6,
    eps_root: Scalar = 0.0,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    """LAMB: Adam's direction of each tensor, scaled to the tensor's own norm; for large batches.

    Args:
      learning_rate: η ≥ 0, the part of its norm that a tensor moves; a number, a traced scalar or a schedule.
      b1: 0 ≤ β₁ < 1, decay of the mean.
      b2: 0 ≤ β₂ < 1, decay of the mean of squares.
      eps: ≥ 0, added to the root.
      eps_root: ≥ 0, added inside the root.
      weight_decay: λ ≥ 0, a number, a traced scalar or a schedule.
      mask: which parameters decay: a tree of bools like them, or a function that gives it of them; all by default.

    Returns:
      The transformation; its state is an ``AdoptedState``. ``update`` needs the parameters. A tensor of zeros, or one
      with a direction of zeros, has the ratio 1.

    Raises:
      ValueError: a number out of its range, one that is not a scalar, at ``update`` missing parameters.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    options = _moments(b1, b2, eps, eps_root) | _decay(weight_decay, mask)
    return _adopted(lambda rate: optax.lamb(rate, **options), learning_rate)


@entry(
    "optimizer",
    equation="m = mu*m + (1 - mu)*g; mhat = mu*m/(1 - mu**(t + 1)) + (1 - mu)*g/(1 - mu**t);"
    " theta = theta - eta*(sqrt(max(1, n_out/n_in))*h(mhat) + lambda_*theta)",
    aliases=("momentum orthogonalized by newton-schulz",),
    sources=(
        "Jordan et al. 2024, kellerjordan.github.io/posts/muon",
        "Liu et al. 2025, arXiv:2502.16982",
        "optax, contrib.muon",
    ),
    conventions={
        "torch": "Muon: matrices only, in bfloat16; weight_decay 0.1 by default; a weight is (out, in)",
        "keras": "Muon: the step is 0.2·√max(n_in, n_out) long by default, epsilon 1e-7; embeddings are Adam's",
        "optax": "contrib.muon, which runs here: mu is its beta; what is not a matrix, convolution kernels too, goes"
        " through adamw with the same rate and the same nesterov",
    },
    see_also=("adamw", "nesterov_sutskever"),
    symbols={"weight_decay": "lambda_"},
)
@_cache.constructor
def muon(
    learning_rate: ScalarOrSchedule = 0.02,
    *,
    momentum: Scalar = 0.95,
    ns_steps: int = 5,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask = None,
    nesterov: bool = True,
    consistent_rms: Scalar | None = None,
    adam_learning_rate: ScalarOrSchedule | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Muon: the momentum of a matrix with its singular values brought near 1 by Newton-Schulz steps, h.

    h(X) is X over its norm, and then ns_steps times X ← 3.4445 X - 4.775 XXᵀX + 2.0315 (XXᵀ)²X.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      momentum: 0 ≤ μ < 1, decay of the mean of gradients; optax's beta.
      ns_steps: ≥ 1, Newton-Schulz steps.
      eps: ≥ 0, added to the norm; also AdamW's.
      weight_decay: λ ≥ 0 of the matrices, decoupled; a number, a traced scalar or a schedule.
      mask: which matrices decay: a tree of bools like the parameters, or a function that gives it of them.
      nesterov: look ahead in the mean.
      consistent_rms: scale the step by this times √max(n_in, n_out), such as 0.2 for the rates of AdamW.
      adam_learning_rate: rate of what is not a matrix; the same by default.

    Returns:
      The transformation; its state is an ``AdoptedState``. ``update`` needs the parameters.

    Raises:
      ValueError: a number out of its range, one that is not a scalar, at ``update`` missing parameters.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    _check.one_of("nesterov", nesterov, (True, False))
    options: dict[str, Any] = {
        "beta": _check.scalar("momentum", momentum, low=0, below=1),
        "ns_steps": _check.integer("ns_steps", ns_steps, low=1),
        "eps": _check.scalar("eps", eps, low=0),
        "weight_decay": scalar_or_schedule("weight_decay", weight_decay, low=0),
        "weight_decay_mask": mask,
    }
    if consistent_rms is not None:
        options["consistent_rms"] = _check.scalar("consistent_rms", consistent_rms, above=0)
    if adam_learning_rate is not None:
        options["adam_learning_rate"] = scalar_or_schedule("adam_learning_rate", adam_learning_rate, low=0)
    return _adopted(lambda rate: optax.contrib.muon(rate, nesterov=nesterov, **options), learning_rate)


@entry(
    "optimizer",
    equation="d = cases((eta, t == 1), (min(a_plus*d, d_max), g*p > 0), (max(a_minus*d, d_min), g*p < 0), (d, True));"
    " p = cases((0, g*p < 0), (g, True)); theta = theta - d*sign(p)",
    aliases=("resilient backpropagation", "resilient propagation", "rprop-"),
    sources=("Riedmiller and Braun 1993, doi:10.1109/ICNN.1993.298623", "optax, rprop"),
    conventions={
        "torch": "Rprop: the same",
        "keras": "none",
        "optax": "rprop runs here but for its lag: its update is that of the step before, and the first is 0",
        "paper": "a change of sign takes the last step back",
    },
    see_also=("rmsprop", "lion"),
    symbols={
        "eta_plus": "a_plus", "eta_minus": "a_minus", "max_step_size": "d_max", "min_step_size": "d_min",
    },
)  # fmt: skip
@_cache.constructor
def rprop(
    learning_rate: Scalar = 0.01,
    *,
    eta_minus: Scalar = 0.5,
    eta_plus: Scalar = 1.2,
    min_step_size: Scalar = 1e-6,
    max_step_size: Scalar = 50.0,
) -> optax.GradientTransformationExtraArgs:
    """Rprop: every parameter has a step of its own, longer while the gradient keeps its sign, shorter when it turns.

    Only the signs of gradients count, so they must be those of the whole data: minibatches make signs of noise.

    Args:
      learning_rate: η ≥ 0, the first step, a number or a traced scalar.
      eta_minus: between 0 and 1, the factor where the sign turned; that parameter rests for one step.
      eta_plus: > 1, the factor where the sign stayed.
      min_step_size: ≥ 0, no step is shortened below it.
      max_step_size: > 0, no step is lengthened beyond it.

    Returns:
      The transformation; its state is optax's ``ScaleByRpropState``.

    Raises:
      ValueError: a number out of its range, or one that is not a scalar.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    inner = optax.scale_by_rprop(
        _check.scalar("learning_rate", learning_rate, low=0),
        eta_minus=_check.scalar("eta_minus", eta_minus, above=0, below=1),
        eta_plus=_check.scalar("eta_plus", eta_plus, above=1),
        min_step_size=_check.scalar("min_step_size", min_step_size, low=0),
        max_step_size=_check.scalar("max_step_size", max_step_size, above=0),
    )

    def init(params):
        check_floating(params)
        return inner.init(_wide(params))

    def update(updates, state, params=None, **extra_args):
        del params, extra_args
        after: Any = inner.update(_wide(updates), state)[1]
        # What optax keeps for the next call is the step that belongs to this one.
        return _like(jax.tree.map(jnp.negative, after.prev_updates), updates), after

    return optax.GradientTransformationExtraArgs(init, update)


def _averages(b1: Scalar, b2: Scalar) -> dict[str, Any]:
    return {"b1": _check.scalar("b1", b1, low=0, below=1), "b2": _check.scalar("b2", b2, low=0, below=1)}


def _moments(b1: Scalar, b2: Scalar, eps: Scalar, eps_root: Scalar) -> dict[str, Any]:
    epsilons = {"eps": _check.scalar("eps", eps, low=0), "eps_root": _check.scalar("eps_root", eps_root, low=0)}
    return _averages(b1, b2) | epsilons


def _decay(weight_decay: ScalarOrSchedule, mask: Mask) -> dict[str, Any]:
    return {"weight_decay": scalar_or_schedule("weight_decay", weight_decay, low=0), "mask": mask}
