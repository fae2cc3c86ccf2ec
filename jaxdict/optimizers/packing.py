"""Parameters stored as one vector a type, for models of many small leaves.

XLA compiles and dispatches an update leaf by leaf: a thousand leaves of a thousand numbers cost seconds to compile and
twenty times the arithmetic to run. Stored packed, they are one leaf. As a wrapper around leaves this does not pay, for
packing and unpacking parameters at every step costs what it saves; gradients alone are packed at each step, or arrive
packed where the loss is differentiated by the vectors.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdict import _cache
from jaxdict.optimizers._rule import check_floating

Vectors = dict[str, jax.Array]


@dataclass(frozen=True)
class Packing:
    """How the leaves of a tree lie in its vectors; hashable, and known while a program is built.

    ``pack`` and ``unpack`` are linear and each the transpose of the other, so that a loss of ``unpack(vectors)`` has
    its gradient by the vectors in one concatenation.
    """

    tree: Any
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]

    def pack(self, tree: Any) -> Vectors:
        """The leaves of ``tree``, of the packed tree's structure and shapes, as one vector a type.

        Args:
          tree: parameters, gradients or updates.

        Returns:
          dtype name -> ``(n,)`` vector of that type; leaves in the order of ``jax.tree.leaves``.

        Raises:
          ValueError: another structure or shape; the message names the first difference.
        """
        leaves, structure = jax.tree.flatten(tree)
        if structure != self.tree:
            raise ValueError(f"the tree must be built as the packed one, {self.tree}; got {structure}")
        rows: dict[str, list[jax.Array]] = {dtype: [] for dtype in self.dtypes}
        for index, (leaf, shape, dtype) in enumerate(zip(leaves, self.shapes, self.dtypes, strict=True)):
            if jnp.shape(leaf) != shape:
                raise ValueError(f"{self._path(index)} must have shape {shape}; got {jnp.shape(leaf)}")
            rows[dtype].append(jnp.asarray(leaf, dtype).ravel())
        return {dtype: jnp.concatenate(row) for dtype, row in rows.items()}

    def unpack(self, vectors: Vectors) -> Any:
        """The tree of leaves again, in its shapes and types.

        Args:
          vectors: as ``pack`` gives them.

        Returns:
          The tree.

        Raises:
          ValueError: vectors of other types or lengths.
        """
        sizes: dict[str, list[int]] = {dtype: [] for dtype in self.dtypes}
        for shape, dtype in zip(self.shapes, self.dtypes, strict=True):
            sizes[dtype].append(math.prod(shape))
        wanted = {dtype: (sum(parts),) for dtype, parts in sizes.items()}
        given = {dtype: jnp.shape(vector) for dtype, vector in vectors.items()}
        if given != wanted:
            raise ValueError(f"the vectors must have the shapes {wanted}; got {given}")
        parts = {dtype: iter(jax.lax.split(vectors[dtype], sizes[dtype])) for dtype in sizes}
        leaves = [next(parts[dtype]).reshape(shape) for shape, dtype in zip(self.shapes, self.dtypes, strict=True)]
        return jax.tree.unflatten(self.tree, leaves)

    def _path(self, index: int) -> str:
        paths = jax.tree_util.tree_flatten_with_path(jax.tree.unflatten(self.tree, range(len(self.shapes))))[0]
        return jax.tree_util.keystr(paths[index][0], simple=True, separator="/")


def packing(params: Any) -> Packing:
    """How ``params`` are packed: ``packing(params).pack(params)`` are the vectors to store and to update.

    Args:
      params: a tree of floating arrays, or of their shapes and types.

    Returns:
      A ``Packing``; its ``unpack`` gives the tree back inside the loss.

    Raises:
      TypeError: a leaf that is not floating.
    """
    check_floating(params)
    leaves, tree = jax.tree.flatten(params)
    return Packing(tree, tuple(map(jnp.shape, leaves)), tuple(jnp.result_type(leaf).name for leaf in leaves))


@_cache.constructor
def packed(optimizer: optax.GradientTransformation, layout: Packing) -> optax.GradientTransformationExtraArgs:
    """``optimizer`` over packed parameters: vectors are stored and updated, gradients come as leaves or as vectors.

    Args:
      optimizer: an optax transformation whose rule is elementwise. It is tried on a few numbers first.
      layout: the ``packing`` of the parameters.

    Returns:
      The transformation; ``init`` and ``params`` take vectors, ``update`` gives them.

    Raises:
      ValueError: a rule in which one number's update depends on another's gradient or parameter, such as clipping by a
        norm, LAMB's trust ratio or Muon: over a packed vector it would be another rule.
    """
    optimizer = optax.with_extra_args_support(optimizer)
    _check_elementwise(optimizer)

    def update(updates, state, params=None, **extra_args):
        is_packed = isinstance(updates, Mapping) and set(updates) == set(layout.dtypes)
        vectors = updates if is_packed else layout.pack(updates)
        return optimizer.update(vectors, state, params, **extra_args)

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def _check_elementwise(optimizer: optax.GradientTransformationExtraArgs) -> None:
    """A ValueError where derivatives of the third update by gradients and parameters leave the diagonal.

    Three sizes, so that what begins above a bound, as clipping does, is seen.
    """
    rng = np.random.default_rng(0)
    size = 5
    with jax.ensure_compile_time_eval():
        params = jnp.asarray(rng.normal(size=size), jnp.float32)
        try:
            state = optimizer.init(params)

            def third(gradients, params):
                memory = state
                change = gradients[0]
                for g in gradients:
                    change, memory = optimizer.update(g, memory, params)
                return change

            for scale in (1e-6, 1.0, 1e6):
                gradients = jnp.asarray(scale * rng.normal(size=(3, size)), jnp.float32)
                for slopes in jax.jacobian(third, (0, 1))(gradients, params):
                    table = np.abs(np.asarray(slopes).reshape(size, -1, size)).sum(1)
                    if (table[~np.eye(size, dtype=bool)] != 0).any():
                        raise ValueError
        except (TypeError, ValueError) as error:
            raise ValueError(
                "only elementwise rules can be packed, where each number's update depends on its own gradient and"
                " parameter alone; this one mixes them, or cannot be tried on a vector; keep its parameters as leaves"
            ) from error
