"""What some update rules need besides the gradient: the function itself, its residuals, a matrix; and that in NumPy."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxdict import _expression

A = np.array([[2.0, 0.3, -0.4, 0.1], [0.3, 1.5, 0.2, 0.0], [-0.4, 0.2, 3.0, 0.5], [0.1, 0.0, 0.5, 1.2]])
B = np.random.default_rng(6).normal(0.2, 1.0, (6, 4))
C = np.array([0.4, -1.3, 0.7, 2.1, -0.2, 0.9])


def value(x):
    """½ xᵀAx + ¼ Σ x⁴, convex; gradient Ax + x³, Hessian A + 3 diag(x²)."""
    return 0.5 * x @ jnp.asarray(A) @ x + 0.25 * jnp.sum(x**4)


def value_gradient(x):
    return A @ x + x**3


def value_hessian(x):
    return A + 3 * np.diag(x**2)


def residuals(x, xp=jnp):
    """u + sin(u)/5 - c at u = Bx."""
    u = xp.asarray(B) @ x
    return u + 0.2 * xp.sin(u) - xp.asarray(C)


def residuals_jacobian(x):
    return (1 + 0.2 * np.cos(B @ x))[:, None] * B


def newton_schulz(x, steps=5):
    """A matrix over its norm, its singular values brought near 1."""
    x = x / (np.linalg.norm(x) + 1e-8)
    for _ in range(steps):
        square = x @ x.T
        x = 3.4445 * x - 4.775 * square @ x + 2.0315 * square @ square @ x
    return x


def two_loops(memory=10):
    """L-BFGS's product of the inverse Hessian with the gradient, by what it was told before."""
    points, changes = [], []

    def product(theta, g):
        points.append((theta, g))
        if len(points) > 1:
            (a, ga), (b, gb) = points[-2:]
            changes.append((b - a, gb - ga))
        recent, weights, q = changes[-memory:], [], g
        for s, y in reversed(recent):
            weights.append(s @ q / (s @ y))
            q = q - weights[-1] * y
        if recent:
            s, y = recent[-1]
            q = q * (s @ y) / (y @ y)
        else:
            q = q * min(1, 1 / np.linalg.norm(g))
        for s, y in recent:
            q = q + (weights.pop() - y @ q / (s @ y)) * s
        return q

    return product


class Beyond(NamedTuple):
    """``scope``: what the equation names besides; ``extra``: keywords of ``update``; ``options``: of the maker."""

    shape: tuple[int, ...] = (4,)
    scope: Callable[[np.ndarray, np.ndarray], dict[str, Any]] = lambda theta, g: {}
    extra: dict[str, Any] = {}  # noqa: RUF012  (not changed)
    options: dict[str, Any] = {}  # noqa: RUF012  (not changed)
    gradient: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def heavy(self) -> bool:
        """Whether an update is quicker compiled once than run twelve times as it is."""
        return bool(self.extra or self.options or self.shape != (4,))


def of(name: str) -> Beyond:
    """What the rule of the optimizer ``name`` needs; nothing for most."""
    hessian = {"scope": lambda theta, g: {"H": value_hessian(theta)}, "extra": {"value_fn": value}}
    squares = {"extra": {"residual_fn": residuals}}
    if name == "newton":
        return Beyond(**hessian)
    if name == "conjugate_gradient":
        return Beyond(**hessian, options={"tolerance": 1e-14})
    if name == "gauss_newton":
        return Beyond(**squares, scope=lambda theta, g: {"J": residuals_jacobian(theta), "r": residuals(theta, np)})
    if name == "levenberg_marquardt":
        scope = {"f": lambda theta: residuals(theta, np)}
        return Beyond(**squares, scope=lambda theta, g: {"J": residuals_jacobian(theta), **scope})
    if name == "lbfgs":
        product = two_loops()
        return Beyond(
            scope=lambda theta, g: {"G": lambda g: product(theta, g)}, options={"max_linesearch_steps": 0},
            gradient=value_gradient,
        )  # fmt: skip
    if name == "reduce_on_plateau":
        start = iter([{"s": 1.0, "best": np.inf}])
        return Beyond(scope=lambda theta, g: {"m": 2.5, **next(start, {})}, extra={"value": 2.5})
    if name == "muon":
        return Beyond(shape=(3, 5), scope=lambda theta, g: {"h": newton_schulz, "n_in": 3, "n_out": 5})
    return Beyond()


def vocabulary():
    """The language over NumPy, in which a matrix to the power -1 is its inverse."""

    def power(a, b):
        return np.linalg.inv(a) if np.ndim(a) == 2 and np.ndim(b) == 0 and b == -1 else a**b

    return _expression.numpy_vocabulary() | {"Pow": power}
