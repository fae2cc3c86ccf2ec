"""Write docs/dictionary.md from the entries of the dictionary.

    python docs/build.py [FILE]

The page is made for GitHub: equations in ```math blocks, no macro that its renderer refuses. It holds nothing that
changes without an entry changing: no line numbers, dates or versions.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxdict as jd
from jaxdict._entry import Entry

HERE = Path(__file__).resolve().parent
TARGET = HERE / "dictionary.md"

SOURCES = {
    "S0": "Max Sharnoff, *Machine Learning Dictionary*, 2018",
    "S1": "notes on gradient descent optimizers, from momentum to Adam",
    "S2": "*Hands-On Machine Learning: summary*, 2020, chapters 10 and 11",
    "S3": "Nevin L. Zhang, *Machine Learning*, lecture 6: Deep Feedforward Networks, HKUST",
    "S4": "lecture slides on optimization for neural networks, UCLA, 7 February 2018",
}
PLURALS = {
    "augmentation": "Augmentation", "loss": "Losses", "noise": "Noise", "normalization": "Normalization",
    "penalty": "Penalties",
}  # fmt: skip
# What stands left of the equation; optimizers and other update rules name their own left sides.
VALUES = {"activation": "f(x)", "loss": "C", "penalty": r"\Omega", "metric": "M", "distribution": "p(x)"}
REFUSED = re.compile(r"\\operatorname\{(\w+)\}")  # a macro that GitHub does not render

INTRODUCTION = """\
# The dictionary

<!-- Written by docs/build.py from the entries. Change those, then run `make docs`. -->

{count} entries. Equations and derivatives are LaTeX made of the expression strings that the tests run against the code,
at the default arguments. *Kinks* give value and derivative where the derivative jumps. *Conventions* say what other
frameworks mean by the same name. *Terms*, at the end, are words without a formula. The same in a terminal:
`jaxdict show NAME`, with a picture: `jaxdict plot NAME`; in Python: `jaxdict.lookup("NAME")`.

Measured beside jax.nn, optax, PyTorch and Keras: [errors of value and derivative](../benchmarks/results/accuracy.md) of
every activation and elementwise loss, [those of softmax and its kin](../benchmarks/results/accuracy_vectors.md),
[time and memory](../benchmarks/results/speed.md); differences to [PyTorch's](../benchmarks/results/parity_torch.md) and
[Keras's](../benchmarks/results/parity_keras.md) optimizers and to
[their functions](../benchmarks/results/parity_formulas.md).

Sources are cited by letter and section:
"""


def main(arguments: list[str]) -> None:
    """Write the page to the file named in ``arguments``, docs/dictionary.md without one."""
    (path,) = [Path(a) for a in arguments] or [TARGET]
    path.write_text(page(jd.entries()), encoding="utf-8")
    print(f"{len(jd.entries())} entries in {path}")


def page(entries: list[Entry]) -> str:
    """The whole page as Markdown."""
    kinds = [kind for kind in jd.dictionary.KINDS if any(e.kind == kind for e in entries)]
    by_kind = {kind: [e for e in entries if e.kind == kind] for kind in kinds}
    by_kind = {
        kind: sorted(group, key=lambda e: e.name) if kind == "term" else group for kind, group in by_kind.items()
    }
    anchors = dict(_anchors(by_kind))
    parts = [INTRODUCTION.format(count=len(entries))]
    parts += [f"- **{letter}**: {text}" for letter, text in SOURCES.items()]
    parts += ["", "## Contents", "", "| kind | entries |", "|---|---|"]
    for kind, group in by_kind.items():
        names = ", ".join(f"[{prose(e.name)}](#{anchors[e.kind, e.name]})" for e in group)
        parts.append(f"| [{_title(kind)}](#{anchors[kind, '']}) | {names} |")
    for kind, group in by_kind.items():
        parts += ["", f"## {_title(kind)}"]
        for entry in group:
            parts += ["", f"### {prose(entry.name)}", "", *_card(entry, anchors)]
    return "\n".join(parts) + "\n"


def _title(kind: str) -> str:
    return PLURALS.get(kind, f"{kind.capitalize()}s")


def _anchors(by_kind: dict[str, list[Entry]]) -> Iterator[tuple[tuple[str, str], str]]:
    """The anchors that GitHub gives the headings, in their order: repeated ones are numbered."""
    seen: dict[str, int] = {"the-dictionary": 1, "contents": 1}
    headings = [
        ((kind, e.name if e else ""), e.name if e else _title(kind))
        for kind, group in by_kind.items()
        for e in (None, *group)
    ]
    for where, heading in headings:
        slug = heading.lower().replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        yield where, f"{slug}-{count}" if count else slug


def _card(entry: Entry, anchors: dict[tuple[str, str], str]) -> Iterator[str]:
    yield prose(entry.summary)
    yield ""
    if entry.equation:
        yield from _equations(entry)
    if entry.function is not None:
        yield f"`{_call(entry)}`"
        yield ""
    if entry.kinks:
        yield "- Kinks: " + "; ".join(
            f"at {x:g} the value is {v:g} and the derivative {d:g}" for x, (v, d) in entry.kinks.items()
        )
    if entry.aliases:
        yield f"- Also: {prose(', '.join(entry.aliases))}"
    if entry.sources:
        yield f"- Sources: {'; '.join(map(_cited, entry.sources))}"
    for erratum in entry.errata:
        yield f"- Erratum: {prose(erratum)}"
    links = list(_see_also(entry, anchors))
    if links:
        yield f"- See also: {', '.join(links)}"
    file = _file(entry)
    yield f"- Code: [{file}](../{file})"
    if entry.conventions:
        yield from ("", "| framework | convention |", "|---|---|")
        yield from (f"| {prose(name)} | {prose(meaning)} |" for name, meaning in entry.conventions.items())


def _equations(entry: Entry) -> Iterator[str]:
    rule = r"\leftarrow" in entry.equation.split(r"\begin")[0]
    value = "" if rule else VALUES.get(entry.kind, "")
    if entry.kind == "activation" and entry.vectors:
        value = "f_i(x)"
    yield from _block(value, entry.equation)
    if entry.derivative_equation:
        yield from _block(_derivative_of(entry), entry.derivative_equation)


def _derivative_of(entry: Entry) -> str:
    """What stands left of the derivative: f'(x), a Jacobian, or the partial by the first argument."""
    if entry.kind == "activation":
        return r"\frac{\partial f}{\partial x}" if entry.vectors else "f'(x)"
    first = entry.symbols.get(next(iter(inspect.signature(entry.function).parameters)), "")
    symbol = {"yhat": r"\hat{y}_i", "z": "z_i", "theta": r"\theta_i"}.get(first, first)
    return rf"\frac{{\partial {VALUES[entry.kind]}}}{{\partial {symbol}}}"


def _block(left: str, equation: str) -> Iterator[str]:
    """A block of mathematics: a line for the equation and one for each definition that it uses."""
    lines = REFUSED.sub(r"\\mathop{\\mathrm{\1}}", equation).split(r",\quad ")
    if left:
        lines[0] = f"{left} = {lines[0]}"
    yield "```math"
    if len(lines) == 1:
        yield lines[0]
    else:
        yield r"\begin{aligned}"
        yield " \\\\\n".join(_aligned(line) for line in lines)
        yield r"\end{aligned}"
    yield "```"
    yield ""


def _aligned(line: str) -> str:
    """``line`` with the mark to align at before its first relation, or at its start."""
    marked = re.sub(r" (=|\\leftarrow) ", r" &\1 ", line, count=1)
    return marked if marked != line and r"\begin" not in marked.split("&")[0] else f"& {line}"


def _call(entry: Entry) -> str:
    """How the entry is called, with its defaults."""
    signature = inspect.signature(entry.function)
    parameters = [p.replace(annotation=p.empty, default=_Shown.of(p.default)) for p in signature.parameters.values()]
    return f"{_home(entry)}{signature.replace(parameters=parameters, return_annotation=signature.empty)}"


class _Shown(str):
    """A default as it is written in code."""

    @classmethod
    def of(cls, value: Any) -> Any:
        return value if value is inspect.Parameter.empty else cls(getattr(value, "__name__", None) or repr(value))

    __repr__ = str.__str__


def _home(entry: Entry) -> str:
    """The public name: the room that the function is found in."""
    module = inspect.unwrap(entry.function).__module__
    parts = module.removeprefix("jaxdict.").removeprefix("train.").split(".")
    room = getattr(jd, parts[0])
    assert getattr(room, entry.name) is entry.function, f"{entry!r} is not found as jaxdict.{parts[0]}.{entry.name}"
    return f"jaxdict.{parts[0]}.{entry.name}"


def _file(entry: Entry) -> str:
    return Path(entry.location.rpartition(":")[0]).resolve().relative_to(HERE.parent).as_posix()


def _see_also(entry: Entry, anchors: dict[tuple[str, str], str]) -> Iterator[str]:
    """Links to the related entries, plain text for those that the dictionary does not hold (yet)."""
    seen = {(entry.kind, entry.name)}
    for name in entry.see_also:
        try:
            other = jd.lookup(name)
        except KeyError:
            yield prose(name)
            continue
        if (other.kind, other.name) not in seen:
            seen.add((other.kind, other.name))
            label = other.name if other.kind == entry.kind else f"{other.kind} {other.name}"
            yield f"[{prose(label)}](#{anchors[other.kind, other.name]})"


def _cited(source: str) -> str:
    """A source with links for what has an address."""
    text = prose(source)
    text = re.sub(r"\barXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"\bdoi:(10\.\S+?)(?=[,;]?(?:\s|$))", r"[doi:\1](https://doi.org/\1)", text)


def prose(text: str) -> str:
    """``text`` with what Markdown would take as markup escaped, outside of code spans."""
    spans = re.split(r"(``.*?``|`.*?`)", text)
    return "".join(s if s.startswith("`") else re.sub(r"([\\*_<|$~])", r"\\\1", s) for s in spans)


if __name__ == "__main__":
    main(sys.argv[1:])
