"""The product of examples with a kernel, whose gradient by the kernel is written as XLA's kernels for CPU are quick at.

That gradient sums over the examples, the first axis of both its factors. XLA gives such products to a library that
takes up to nine times as long for a few columns, and up to twice as long for a small one, as a transposed copy and the
usual order take. The copies stand behind barriers, or XLA would take them for the same product and undo them.
"""

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.lax import dot_general, optimization_barrier

_NARROW = 32  # columns, for any number of examples
_SMALL = 2**18  # multiplications, for any number of columns


def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """``x @ kernel`` for ``x`` ``(…, in)`` and ``kernel`` ``(in, out)`` of one type."""
    quick = kernel.shape[1] <= _NARROW or x.size * kernel.shape[1] <= _SMALL
    ours = quick and x.ndim == 2 and x.dtype == jnp.float32 and jax.default_backend() == "cpu"
    return _product(x, kernel) if ours else x @ kernel


@jax.custom_jvp
def _product(x, kernel):
    return x @ kernel


def _jvp(primals, tangents):
    (x, kernel), (along_x, along_kernel) = primals, tangents
    changes = []
    if not isinstance(along_x, SymbolicZero):
        changes.append(along_x @ kernel)
    if not isinstance(along_kernel, SymbolicZero):
        changes.append(_by_kernel(x, along_kernel))
    return _product(x, kernel), sum(changes)


_product.defjvp(_jvp, symbolic_zeros=True)


def _by_kernel(x, change):
    """``x @ change``, in an order whose transpose, which reverse mode takes, is quick."""
    if change.shape[1] <= _NARROW:  # transposed: (copy(g.T) @ x).T
        turned = optimization_barrier(change.T)
        return optimization_barrier(dot_general(turned, x, (((1,), (1,)), ((), ())))).T
    return dot_general(optimization_barrier(x.T), change, (((0,), (0,)), ((), ())))  # copy(x.T) @ g
