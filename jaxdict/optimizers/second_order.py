"""Second order, for small models: Newton, conjugate gradients, Gauss-Newton, Levenberg-Marquardt, and optax's L-BFGS.

Their ``update`` takes, besides gradients, state and parameters, the function itself: ``value_fn=loss``, a function of
the parameters alone that gives a scalar, or ``residual_fn=residuals``, one that gives the residuals of which the loss
is half the sum of squares. So they are for whole data, or for steps on one batch at a time.

    optimizer = jd.optimizers.newton()
    updates, state = optimizer.update(jax.grad(loss)(params), state, params, value_fn=loss)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jax.scipy.sparse.linalg import cg

from jaxdict import _cache, _check
from jaxdict._entry import entry
from jaxdict.optimizers._rule import Scalar, ScalarOrSchedule, check_floating
from jaxdict.optimizers.adopted import _adopted
from jaxdict.optimizers.descent import scale_by_rate
from jaxdict.optimizers.gradients import _like, _wide


class DampingState(NamedTuple):
    """Memory of ``levenberg_marquardt``: updates done, the damping of the next one, whether the last one was taken."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    damping: jax.Array
    accepted: jax.Array


@entry(
    "optimizer",
    equation="theta = theta - eta*(H + lambda_*eye(g))**-1 @ g",
    aliases=("newton's method", "newton raphson"),
    sources=("S4", "Nocedal and Wright 2006, doi:10.1007/978-0-387-40065-5"),
    conventions={
        "torch": "none",
        "keras": "none",
        "optax": "none",
        "scipy": "minimize(method='Newton-CG') solves by conjugate gradients, with a line search",
    },
    see_also=("conjugate_gradient", "gauss_newton", "lbfgs"),
    symbols={"damping": "lambda_"},
)
@_cache.constructor
def newton(learning_rate: ScalarOrSchedule = 1.0, *, damping: Scalar = 0.0) -> optax.GradientTransformationExtraArgs:
    """Newton's method: the gradient by the inverse of the Hessian H, in one step to the minimum of a quadratic.

    It goes to where the gradient is 0, which is a saddle or a maximum where H is not positive: damp it there. H is
    dense, n² numbers for n parameters; from some thousands on take ``conjugate_gradient``.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      damping: λ ≥ 0, added to the diagonal of H.

    Returns:
      The transformation; ``update(gradients, state, params, value_fn=…)``, ``value_fn(params) -> scalar``. A singular
      H gives updates that are not finite.

    Raises:
      ValueError: a number out of its range, one that is not a scalar, at ``update`` no ``value_fn`` or parameters.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    damping = _check.scalar("damping", damping, low=0)

    def direction(gradients, params, value_fn):
        flat, unravel = ravel_pytree(params)
        hessian = jax.hessian(lambda x: value_fn(unravel(x)))(flat)
        return unravel(jnp.linalg.solve(_damped(hessian, damping), ravel_pytree(gradients)[0]))

    return optax.chain(_link("newton", "value_fn", direction), scale_by_rate(learning_rate))


@entry(
    "optimizer",
    equation="theta = theta - eta*(H + lambda_*eye(g))**-1 @ g",
    aliases=("newton cg", "truncated newton", "hessian free", "linear conjugate gradient"),
    sources=(
        "S4",
        "Hestenes and Stiefel 1952, doi:10.6028/jres.049.044",
        "Martens 2010, Deep learning via Hessian-free optimization, ICML",
    ),
    conventions={
        "torch": "none",
        "keras": "none",
        "optax": "none",
        "scipy": "minimize(method='Newton-CG') is this with a line search; method='CG' is the nonlinear one, which"
        " needs gradients alone and a line search",
    },
    see_also=("newton", "lbfgs"),
    symbols={"damping": "lambda_"},
)
@_cache.constructor
def conjugate_gradient(
    learning_rate: ScalarOrSchedule = 1.0,
    *,
    damping: Scalar = 0.0,
    tolerance: Scalar = 1e-5,
    max_iterations: int | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Newton's step by conjugate gradients: products of the Hessian with vectors alone, so H is never stored.

    Each iteration costs about two gradients. H + λI must be positive, or the iterations lead nowhere: damp it.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      damping: λ ≥ 0, added to the diagonal of H.
      tolerance: ≥ 0, residual of the linear system relative to the gradient at which the iterations end.
      max_iterations: ≥ 1, their largest number; ten for every parameter by default.

    Returns:
      The transformation; ``update(gradients, state, params, value_fn=…)``, ``value_fn(params) -> scalar``.

    Raises:
      ValueError: a number out of its range, one that is not a scalar, at ``update`` no ``value_fn`` or parameters.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    damping = _check.scalar("damping", damping, low=0)
    relative: Any = _check.scalar("tolerance", tolerance, low=0)
    if max_iterations is not None:
        max_iterations = _check.integer("max_iterations", max_iterations, low=1)

    def direction(gradients, params, value_fn):
        _, curvature = jax.linearize(jax.grad(value_fn), params)

        def product(v):
            return jax.tree.map(lambda hv, x: hv + damping * x, curvature(v), v)

        return cg(product, gradients, tol=relative, maxiter=max_iterations)[0]

    return optax.chain(_link("conjugate_gradient", "value_fn", direction), scale_by_rate(learning_rate))


@entry(
    "optimizer",
    equation="theta = theta - eta*(transpose(J) @ J + lambda_*eye(theta))**-1 @ transpose(J) @ r",
    aliases=("nonlinear least squares",),
    sources=("Nocedal and Wright 2006, doi:10.1007/978-0-387-40065-5",),
    conventions={
        "torch": "none",
        "keras": "none",
        "optax": "none",
        "optimistix": "GaussNewton, by least_squares: a whole solve with its own tests of convergence",
    },
    see_also=("levenberg_marquardt", "newton"),
    symbols={"damping": "lambda_"},
)
@_cache.constructor
def gauss_newton(
    learning_rate: ScalarOrSchedule = 1.0, *, damping: Scalar = 0.0
) -> optax.GradientTransformationExtraArgs:
    """Gauss-Newton for ½Σr²: the least squares solution of the residuals r, made linear by their Jacobian J.

    The step is made of residuals, so the gradients that come in are not read. Without damping, where columns of J
    depend on each other, it is the shortest of the solutions.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      damping: λ ≥ 0, added to the diagonal of JᵀJ.

    Returns:
      The transformation; ``update(gradients, state, params, residual_fn=…)``, ``residual_fn(params)`` an array.

    Raises:
      ValueError: a number out of its range, one that is not a scalar, at ``update`` no ``residual_fn`` or parameters.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    damping = _check.scalar("damping", damping, low=0)

    def direction(gradients, params, residual_fn):
        del gradients
        return _least_squares(residual_fn, params, damping)[0]

    return optax.chain(_link("gauss_newton", "residual_fn", direction), scale_by_rate(learning_rate))


@entry(
    "optimizer",
    equation="r = f(theta); d = -(transpose(J) @ J + lambda_*eye(theta))**-1 @ transpose(J) @ r;"
    " a = indicator(sum(f(theta + d)**2) < sum(r**2)); theta = theta + a*d;"
    " lambda_ = lambda_*cases((1/nu, a > 0), (nu, True))",
    aliases=("levenberg", "marquardt", "damped least squares", "lma"),
    sources=("Levenberg 1944, doi:10.1090/qam/10666", "Marquardt 1963, doi:10.1137/0111030"),
    conventions={
        "torch": "none",
        "keras": "none",
        "optax": "none",
        "scipy": "least_squares(method='lm'), MINPACK's, measures the damping by the columns of J",
        "optimistix": "LevenbergMarquardt, by least_squares: a whole solve with its own tests of convergence",
    },
    see_also=("gauss_newton", "newton"),
    symbols={"damping": "lambda_", "factor": "nu"},
)
@_cache.constructor
def levenberg_marquardt(*, damping: Scalar = 1e-3, factor: Scalar = 10.0) -> optax.GradientTransformationExtraArgs:
    """Levenberg-Marquardt for ½Σr²: Gauss-Newton, damped the more the less it helps; no step makes the sum larger.

    Where the sum of squares would not fall the update is 0 and the damping grows, so that the next try is shorter and
    nearer to the gradient's direction.

    Args:
      damping: λ > 0, the first one, added to the diagonal of JᵀJ.
      factor: ν > 1, what the damping is divided by after a step, and multiplied by where none is taken.

    Returns:
      The transformation; ``update(gradients, state, params, residual_fn=…)``, ``residual_fn(params)`` an array; the
      gradients that come in are not read. Its state is a ``DampingState``.

    Raises:
      ValueError: a number out of its range, one that is not a scalar, at ``update`` no ``residual_fn`` or parameters.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    damping = _check.scalar("damping", damping, above=0)
    factor = _check.scalar("factor", factor, above=1)

    def init(params):
        check_floating(params)
        return DampingState(jnp.zeros((), jnp.int32), jnp.asarray(damping, float), jnp.asarray(True))

    def update(updates, state, params=None, *, residual_fn: Any = None, **extra_args):
        del extra_args
        _needed("levenberg_marquardt", params, "residual_fn", residual_fn)
        wide: Any = _wide(params)
        step, before = _least_squares(residual_fn, wide, state.damping)
        step = jax.tree.map(jnp.negative, step)
        after = jnp.sum(jnp.square(residual_fn(jax.tree.map(jnp.add, wide, step))))
        better = after < before  # False for NaN
        grown = jnp.where(better, state.damping / factor, state.damping * factor)
        limits = jnp.finfo(grown.dtype)
        damping = jnp.clip(grown, limits.tiny, limits.max)  # from 0 it could not grow again
        step = jax.tree.map(lambda d: jnp.where(better, d, 0.0), step)
        count: Any = optax.safe_increment(state.count)
        return _like(step, updates), DampingState(count, damping, better)

    return optax.GradientTransformationExtraArgs(init, update)


@entry(
    "optimizer",
    equation="theta = theta - eta*G(g)",
    aliases=("l-bfgs", "limited memory bfgs", "quasi newton"),
    sources=("Liu and Nocedal 1989, doi:10.1007/BF01589116", "optax, lbfgs"),
    conventions={
        "torch": "LBFGS: no line search by default, a rate of 1; up to 20 iterations in one step, memory 100",
        "keras": "none",
        "optax": "lbfgs, which runs here; a zoom line search by default",
        "scipy": "minimize(method='L-BFGS-B'): bounds besides, another line search",
    },
    see_also=("newton", "conjugate_gradient"),
)
@_cache.constructor
def lbfgs(
    learning_rate: ScalarOrSchedule = 1.0,
    *,
    memory_size: int = 10,
    max_linesearch_steps: int = 20,
    scale_init_precond: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """optax's L-BFGS: the gradient by G, an inverse Hessian made of the last changes of parameters and gradients.

    Args:
      learning_rate: η ≥ 0, the step before the line search changes it; a number, a traced scalar or a schedule.
      memory_size: ≥ 1, how many changes are kept.
      max_linesearch_steps: how often the zoom line search may try, a gradient each time; 0 for none: ``update`` then
        needs gradients and parameters alone.
      scale_init_precond: start G from sᵀy/yᵀy of the last change s of parameters and y of gradients, and at first from
        1/‖g‖, at most 1; without it from 1.

    Returns:
      The transformation; ``update(gradients, state, params, value_fn=…, value=…)``, ``value_fn(params) -> scalar``,
      ``value`` what it is at ``params``, where that is known already. Its state is an ``AdoptedState``.

    Raises:
      ValueError: a number out of its range, one that is not a scalar, at ``update`` no ``value_fn`` or parameters.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    memory_size = _check.integer("memory_size", memory_size, low=1)
    max_linesearch_steps = _check.integer("max_linesearch_steps", max_linesearch_steps, low=0)
    _check.one_of("scale_init_precond", scale_init_precond, (True, False))
    search = None
    if max_linesearch_steps:
        search = optax.scale_by_zoom_linesearch(max_linesearch_steps, initial_guess_strategy="one")
    inner = _adopted(lambda rate: optax.lbfgs(rate, memory_size, scale_init_precond, search), learning_rate)

    def update(updates, state, params=None, *, value_fn: Any = None, value=None, **extra_args):
        del extra_args
        if search is None:
            _needed("lbfgs", params)
            return inner.update(updates, state, params)
        _needed("lbfgs", params, "value_fn", value_fn)
        wide: Any = _wide(params)
        value = value_fn(wide) if value is None else value
        return inner.update(updates, state, wide, value=value, grad=_wide(updates), value_fn=value_fn)

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _link(name: str, wanted: str, direction: Callable[[Any, Any, Any], Any]) -> optax.GradientTransformationExtraArgs:
    """Gradients to ``direction(gradients, params, function)``, computed in float32 or wider; no memory."""

    def init(params):
        check_floating(params)
        return optax.EmptyState()

    def update(updates, state, params=None, **extra_args):
        function = extra_args.get(wanted)
        _needed(name, params, wanted, function)
        return _like(direction(_wide(updates), _wide(params), function), updates), state

    return optax.GradientTransformationExtraArgs(init, update)


def _needed(name: str, params: Any, wanted: str = "", function: Any = None) -> None:
    given = f", {wanted}=…" if wanted else ""
    if params is None or (wanted and function is None):
        missing = "the parameters" if params is None else wanted
        raise ValueError(f"{name} needs {missing}: call update(gradients, state, params{given})")


def _damped(matrix: jax.Array, damping: Any) -> jax.Array:
    return matrix + jnp.asarray(damping, matrix.dtype) * jnp.eye(matrix.shape[0], dtype=matrix.dtype)


def _least_squares(residual_fn: Callable[[Any], Any], params: Any, damping: Any) -> tuple[Any, jax.Array]:
    """The d of min ‖Jd − r‖² + λ‖d‖², and ‖r‖². Solved by J itself: JᵀJ has the square of its condition."""
    flat, unravel = ravel_pytree(params)

    def residuals(x):
        return jnp.ravel(residual_fn(unravel(x)))

    r = residuals(flat)
    jacobian = (jax.jacfwd if flat.size <= r.size else jax.jacrev)(residuals)(flat)
    root = jnp.sqrt(jnp.asarray(damping, r.dtype))
    rows = jnp.concatenate([jacobian, root * jnp.eye(flat.size, dtype=r.dtype)])
    step = jnp.linalg.lstsq(rows, jnp.concatenate([r, jnp.zeros(flat.size, r.dtype)]))[0]
    return unravel(step.astype(flat.dtype)), jnp.sum(jnp.square(r))
