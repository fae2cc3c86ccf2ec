"""The entry: one thing in the dictionary, its mathematics and its provenance, held beside the function as data."""

import inspect
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from jaxdict import _expression, _registry

Function = TypeVar("Function", bound=Callable[..., Any])

# What the expressions call a function's arguments, by kind. An entry adds its own with `symbols`.
_SYMBOLS: dict[str, dict[str, str]] = {
    "loss": {"predictions": "yhat", "targets": "y", "logits": "z", "labels": "y"},
    "metric": {"predictions": "yhat", "targets": "y"},
    "penalty": {"params": "theta", "strength": "lambda_"},
    "optimizer": {
        "params": "theta", "learning_rate": "eta", "momentum": "mu", "b1": "beta1", "b2": "beta2", "eps": "epsilon",
    },
    "schedule": {"step": "t"},
}  # fmt: skip
_VECTORS: dict[str, tuple[str, ...]] = {
    "loss": ("yhat", "y"), "metric": ("yhat", "y"), "penalty": ("theta",),
}  # fmt: skip
_WORDS_ALONE = ("augmentation", "term")  # what one expression does not say


@dataclass(frozen=True)
class Entry:
    """One entry of the dictionary.

    ``expression`` and ``derivative_expression`` are strings of the language in ``jaxdict._expression``; the tests run
    and differentiate them and compare with ``function`` in float64. ``equation`` and ``derivative_equation`` are the
    LaTeX made of them. ``kinks`` maps each point where the derivative jumps to ``(value, derivative)`` there, at the
    default arguments. ``symbols`` maps argument names to the symbols of the expressions.

    A term is words alone: its ``function`` is None, its ``definition`` two sentences.
    """

    name: str
    kind: str
    function: Any  # a Callable[..., Any], or None for a term
    expression: str = ""
    derivative_expression: str = ""
    aliases: tuple[str, ...] = ()
    kinks: Mapping[float, tuple[float, float]] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    errata: tuple[str, ...] = ()
    conventions: Mapping[str, str] = field(default_factory=dict)
    related: tuple[str, ...] = ()
    symbols: Mapping[str, str] = field(default_factory=dict)
    vectors: tuple[str, ...] = ()
    definition: str = ""
    written_at: str = ""  # "file:line" of a term; a function knows its own

    @property
    def equation(self) -> str:
        """The defining equation in LaTeX, without dollar signs; empty for terms and most augmentations."""
        return _expression.latex(self.expression, self.vectors) if self.expression else ""

    @property
    def derivative_equation(self) -> str:
        """The derivative in LaTeX; empty where the entry has none."""
        return _expression.latex(self.derivative_expression, self.vectors) if self.derivative_expression else ""

    @property
    def see_also(self) -> tuple[str, ...]:
        """Related entries, and those of other kinds with the same name, as ``"penalty l1"``."""
        return self.related + tuple(f"{e.kind} {e.name}" for e in _registry.homonyms(self))

    @property
    def derivative(self) -> Callable[..., jax.Array] | None:
        """The derivative as a function of the entry's own arguments, or None.

        Activations: ``x -> f'(x)``, same shape (softmax and log_softmax: the Jacobian, one more axis). Losses:
        ``(predictions, targets) -> dC/dpredictions``. Penalties: ``params -> d/dparams``.
        """
        if not self.derivative_expression:
            return None
        function = self.function
        if self.kind == "activation" and self.vectors:

            def jacobian(x, *args, **options):
                x = jnp.asarray(x)
                flat = x.reshape(-1, x.shape[-1])
                rows = jax.vmap(jax.jacfwd(lambda v: function(v, *args, **options)))(flat)
                return rows.reshape(*x.shape, x.shape[-1])

            return jacobian
        if self.kind == "activation":

            def slope(x, *args, **options):
                x = jnp.asarray(x)
                return jax.jvp(lambda v: function(v, *args, **options), (x,), (jnp.ones_like(x),))[1]

            return slope

        def gradient(first, *args, **options):
            return jax.grad(lambda v: jnp.sum(function(v, *args, **options)))(first)

        return gradient

    @property
    def location(self) -> str:
        """``file:line`` of the definition."""
        if self.function is None:
            return self.written_at
        code = inspect.unwrap(self.function)
        return f"{inspect.getsourcefile(code)}:{inspect.getsourcelines(code)[1]}"

    @property
    def summary(self) -> str:
        """The first paragraph of the docstring, on one line; a term's definition."""
        if self.function is None:
            return self.definition
        return " ".join((inspect.getdoc(self.function) or "").split("\n\n")[0].split())

    @property
    def defaults(self) -> dict[str, Any]:
        """The default of every argument that has one."""
        if self.function is None:
            return {}
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}

    def to_dict(self) -> dict[str, Any]:
        """The entry as plain data, ready for JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "aliases": list(self.aliases),
            "summary": self.summary,
            "expression": self.expression,
            "equation": self.equation,
            "derivative_expression": self.derivative_expression,
            "derivative_equation": self.derivative_equation,
            "kinks": [{"at": at, "value": v, "derivative": d} for at, (v, d) in self.kinks.items()],
            "sources": list(self.sources),
            "errata": list(self.errata),
            "conventions": dict(self.conventions),
            "see_also": list(self.see_also),
        }

    def __repr__(self) -> str:
        said = _expression.text(self.expression, self.vectors) if self.expression else self.summary
        return f"<Entry {self.kind} {self.name}: {said}>"


def entry(
    kind: str,
    *,
    equation: str = "",
    derivative: str = "",
    aliases: tuple[str, ...] = (),
    kinks: Mapping[float, tuple[float, float]] | None = None,
    sources: tuple[str, ...],
    errata: tuple[str, ...] = (),
    conventions: Mapping[str, str] | None = None,
    see_also: tuple[str, ...] = (),
    symbols: Mapping[str, str] | None = None,
    vectors: tuple[str, ...] | None = None,
) -> Callable[[Function], Function]:
    """Put the decorated function into the dictionary and give it back unchanged, so that it costs nothing to call.

    Args:
      kind: one of ``jaxdict._registry.KINDS``.
      equation: the value at the default arguments, an expression string of ``jaxdict._expression``; every kind but
        augmentations and terms must have one.
      derivative: its derivative, likewise; losses: with respect to the first argument.
      aliases: other names a person would type.
      kinks: where the derivative jumps: ``{point: (value, derivative)}`` at the default arguments.
      sources: sections of the sources and papers, the sources as ``"S0 4.2"``.
      errata: what a source gets wrong here.
      conventions: framework -> what it means by this name.
      see_also: related entries.
      symbols: argument name -> symbol in the expressions, beyond the kind's usual ones.
      vectors: symbols that are vectors, written with an index.

    Raises:
      ValueError: an expression outside the language, or none where one is needed, an unknown kind, or a name that is
        taken within its kind.
    """
    if not equation and kind not in _WORDS_ALONE:
        raise ValueError(f"an entry of kind {kind!r} must have an equation; only {' and '.join(_WORDS_ALONE)} may not")

    def decorate(function: Function) -> Function:
        for expression in filter(None, (equation, derivative)):
            _expression.parse(expression)
        _registry.add(
            Entry(
                name=function.__name__,
                kind=kind,
                function=function,
                expression=equation,
                derivative_expression=derivative,
                aliases=tuple(aliases),
                kinks=types.MappingProxyType(dict(kinks or {})),
                sources=tuple(sources),
                errata=tuple(errata),
                conventions=types.MappingProxyType(dict(conventions or {})),
                related=tuple(see_also),
                symbols=types.MappingProxyType({**_SYMBOLS.get(kind, {}), **(symbols or {})}),
                vectors=_VECTORS.get(kind, ()) if vectors is None else tuple(vectors),
            )
        )
        return function

    return decorate


def term(
    name: str,
    definition: str,
    *,
    aliases: tuple[str, ...] = (),
    sources: tuple[str, ...],
    errata: tuple[str, ...] = (),
    see_also: tuple[str, ...] = (),
) -> None:
    """Put a word into the dictionary: what it means in two sentences, without a function.

    Args:
      name: in snake case, as all entries are named.
      definition: two sentences.
      aliases: other names a person would type.
      sources: sections of the sources and papers.
      errata: what a source gets wrong about it.
      see_also: related entries.

    Raises:
      ValueError: a name that is taken by another term.
    """
    caller = sys._getframe(1)
    _registry.add(
        Entry(
            name=name, kind="term", function=None, definition=" ".join(definition.split()), aliases=tuple(aliases),
            sources=tuple(sources), errata=tuple(errata), related=tuple(see_also),
            written_at=f"{caller.f_code.co_filename}:{caller.f_lineno}",
        )
    )  # fmt: skip
