"""The pair ``(init, apply)``, and how it was made."""

import dataclasses
import functools
import zlib
from collections.abc import Callable
from typing import Any, Literal, ParamSpec

import jax
import jax.numpy as jnp

from jaxdict._cache import constructor

P = ParamSpec("P")
Params = Any
State = Any
Shape = tuple[int, ...]
Train = bool | Literal["noise"]
Apply = Callable[..., tuple[Any, State]]  # (params, state, inputs, *, key=None, train=False)


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A model or layer: the pair ``(init, apply)``, and what the trainer and ``summary`` know about it.

    Attributes:
      init: ``(key, input_shape) -> (params, state, output_shape)``.
      apply: ``(params, state, inputs, *, key=None, train=False) -> (outputs, state)``.
      name: what the layer is called where it has no name of its own.
      named: whether the name was chosen by the caller, and is used as it is.
      parts: the layers it is composed of, by name.
      mixes_examples: whether in training the output of one example depends on the others in the batch (batch
        statistics). Such a model, and one of which nothing is known, never sees a padded batch.
      spec: the constructor's name and arguments, from which a checkpoint rebuilds it; None for a foreign one.
    """

    init: Callable[[jax.Array, Shape], tuple[Params, State, Shape]]
    apply: Apply
    name: str = "model"
    named: bool = False
    parts: tuple[tuple[str, "Model"], ...] = ()
    mixes_examples: bool = True
    spec: "Spec | None" = None

    def __repr__(self) -> str:
        return f"<Model {self.name}>" if self.spec is None else f"<Model {self.spec}>"


@dataclasses.dataclass(frozen=True)
class Spec:
    """How a model was made: a constructor's name and its arguments."""

    constructor: str
    args: tuple
    options: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        shown = [_shown(a) for a in self.args] + [f"{k}={_shown(v)}" for k, v in self.options]
        return f"{self.constructor}({', '.join(shown)})"


def _shown(value: Any) -> str:
    if isinstance(value, Model):
        return str(value.spec) if value.spec else value.name
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_shown, value))}]"
    return getattr(value, "__name__", None) or repr(value)


CONSTRUCTORS: dict[str, Callable[..., Model]] = {}


def buildable(function: Callable[P, Model]) -> Callable[P, Model]:
    """Make a constructor of models remember its arguments in the model, and equal calls give the same object."""

    @functools.wraps(function)
    def build(*args: P.args, **options: P.kwargs) -> Model:
        spec = Spec(function.__name__, args, tuple(sorted(options.items())))
        return dataclasses.replace(function(*args, **options), spec=spec)

    remembered = constructor(build)

    @functools.wraps(function)
    def built(*args: P.args, **options: P.kwargs) -> Model:
        for option in ("dtype", "param_dtype"):  # by their names, which a checkpoint can hold
            given: Any = options.get(option)
            if given is not None and not isinstance(given, str):
                options[option] = jnp.dtype(given).name
        return remembered(*args, **options)

    CONSTRUCTORS[function.__name__] = built
    return built


def stateless(
    transform: Callable[..., Any],
    *,
    name: str,
    label: str | None = None,
    shape: Callable[[Shape], Shape] = lambda shape: shape,
) -> Model:
    """A layer without parameters and state."""

    def init(key, input_shape):
        return {}, {}, shape(tuple(input_shape))

    def apply(params, state, inputs, *, key=None, train=False):
        return transform(inputs, key, train), state

    return Model(init, apply, name=label or name, named=label is not None, mixes_examples=False)


def child(key: jax.Array, name: str) -> jax.Array:
    """The key of the part called ``name``: it depends on the name alone, so other parts may come and go."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))
