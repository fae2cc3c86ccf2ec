r"""The language that an entry's mathematics is written in: one Python expression string, shown and executed.

``"cases((x, x > 0), (alpha*(exp(x) - 1), True))"`` is turned into LaTeX and into terminal text from its syntax tree,
and evaluated by the tests over NumPy arrays and sympy symbols. What a reader sees is therefore what was checked.

A string may hold assignments before its last part (``"a = exp(x)/sum(exp(x)); diag(a) - outer(a, a)"``); an update
rule is assignments only (``"v = mu*v - eta*g; theta = theta + v"``), executed from top to bottom.

Functions: exp log log1p expm1 sqrt abs sign floor sin cos tanh erf sigma (logistic) Phi phi (the normal distribution)
max min (of their arguments) f g h G (any function, of any arguments)
cases((value, condition), …, (value, True)); over a vector: sum mean var largest norm
first second (half of it) topsum (of its largest one, two, …) rank (one, two, …)
onehot(label) z[label] diag outer transpose ones eye argmax indicator(condition); constants: pi.
"""

import ast
import functools
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

_ALLOWED = (
    ast.Module, ast.Expr, ast.Assign, ast.Name, ast.Load, ast.Store, ast.Constant, ast.BinOp, ast.UnaryOp, ast.BoolOp,
    ast.Compare, ast.Call, ast.Tuple, ast.Subscript, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.Mod, ast.MatMult,
    ast.USub,
    ast.UAdd, ast.And, ast.Or, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE,
)  # fmt: skip

REDUCTIONS = frozenset({"sum", "mean", "var", "largest", "norm"})


@functools.lru_cache(maxsize=4096)
def parse(expression: str) -> ast.Module:
    """The syntax tree; ValueError for text outside the language, with the part that is not understood."""
    try:
        tree = ast.parse(expression.replace(";", "\n").replace("\n ", "\n").strip())
    except SyntaxError as error:
        raise ValueError(f"not an expression: {expression!r}: {error.msg}") from error
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise ValueError(f"{type(node).__name__} is not part of the expression language: {expression!r}")
    if not tree.body:
        raise ValueError("an expression may not be empty")
    return tree


def has_value(expression: str) -> bool:
    """Whether the last part is a value, with or without assignments before it; else it is an update rule."""
    return isinstance(parse(expression).body[-1], ast.Expr)


def names(expression: str) -> set[str]:
    """The variables that an expression reads before it assigns them; functions and constants are not among them."""
    free: set[str] = set()
    bound: set[str] = set()
    for statement in parse(expression).body:
        called = {n.func for n in ast.walk(statement) if isinstance(n, ast.Call)}
        read = {
            n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and n not in called
            and isinstance(n.ctx, ast.Load)
        }  # fmt: skip
        free |= read - bound
        if isinstance(statement, ast.Assign):
            bound |= {t.id for t in statement.targets if isinstance(t, ast.Name)}
    return free - {"pi"}


# ---------------------------------------------------------------------------------------------------- evaluation


def numpy_vocabulary(axis: int | None = -1) -> dict[str, Any]:
    """The functions of the language over NumPy arrays; reductions go over ``axis`` and keep it."""
    from math import erf

    def cases(*branches):
        values, conditions = zip(*branches, strict=True)
        shape = np.broadcast_shapes(*(np.shape(v) for v in values), *(np.shape(c) for c in conditions))
        return np.select([np.broadcast_to(c, shape) for c in conditions], [np.broadcast_to(v, shape) for v in values])

    def keep(reduce):
        return lambda x: reduce(x, axis=axis, keepdims=axis is not None)

    normal_cdf = np.vectorize(lambda x: 0.5 * (1 + erf(x / 2**0.5)), otypes=[float])
    return {
        "exp": np.exp, "log": np.log, "log1p": np.log1p, "expm1": np.expm1, "sqrt": np.sqrt, "abs": np.abs,
        "sign": np.sign, "floor": np.floor, "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "pi": np.pi,
        "erf": np.vectorize(erf, otypes=[float]), "Phi": normal_cdf,
        "phi": lambda x: np.exp(-0.5 * np.square(x)) / np.sqrt(2 * np.pi),
        "sigma": lambda x: np.where(np.asarray(x) >= 0, 1 / (1 + np.exp(-np.abs(x))),
                                    np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x)))),
        "max": lambda *a: functools.reduce(np.maximum, a), "min": lambda *a: functools.reduce(np.minimum, a),
        "cases": cases, "indicator": lambda c: np.asarray(c, dtype=float),
        "sum": keep(np.sum), "mean": keep(np.mean), "var": keep(np.var), "largest": keep(np.max),
        "norm": lambda x: np.sqrt(np.sum(np.square(x), axis=axis, keepdims=axis is not None)),
        "diag": lambda a: a[..., None] * np.eye(a.shape[-1], dtype=a.dtype),
        "outer": lambda a, b: a[..., :, None] * b[..., None, :], "transpose": lambda a: np.swapaxes(a, -1, -2),
        "ones": lambda a: np.ones_like(a), "eye": lambda a: np.eye(np.shape(a)[-1]),
        "first": lambda x: x[..., : x.shape[-1] // 2], "second": lambda x: x[..., x.shape[-1] // 2 :],
        "topsum": lambda x: np.cumsum(-np.sort(-x, axis=-1), axis=-1),
        "rank": lambda x: np.arange(1.0, x.shape[-1] + 1),
        "onehot": lambda label, like: np.asarray(np.arange(np.shape(like)[-1]) == np.asarray(label)[..., None], float),
        "take": lambda z, label: np.take_along_axis(z, np.asarray(label)[..., None], -1),
        "argmax": lambda z: np.argmax(z, axis=-1),
        "and": np.logical_and, "or": np.logical_or,
    }  # fmt: skip


def evaluate(expression: str, values: Mapping[str, Any], vocabulary: Mapping[str, Any] | None = None) -> Any:
    """Run ``expression`` on ``values``: the last part's value, or for an update rule the dict of what was assigned.

    ``vocabulary`` maps the language's functions to implementations (NumPy over the last axis by default), and may
    name operators too (``"Lt"``, ``"Mult"``, … as in the ast module). A value may be a function, called by its name.
    Raises KeyError for a name that is neither a value nor in the vocabulary.
    """
    functions = numpy_vocabulary() if vocabulary is None else vocabulary
    scope = dict(values)

    def operator(op: ast.AST) -> Callable[[Any, Any], Any]:
        return functions.get(type(op).__name__, _OPERATORS[type(op)])

    def run(node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                if name in scope:
                    return scope[name]
                if name in functions:
                    return functions[name]
                raise KeyError(f"{name!r} has no value in {expression!r}")
            case ast.Tuple(elts=parts):
                return tuple(run(part) for part in parts)
            case ast.UnaryOp(op=op, operand=operand):
                return -run(operand) if isinstance(op, ast.USub) else run(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return operator(op)(run(left), run(right))
            case ast.BoolOp(op=op, values=parts):
                return functools.reduce(functions["and" if isinstance(op, ast.And) else "or"], map(run, parts))
            case ast.Compare(left=left, ops=ops, comparators=rights):
                sides = [run(left), *map(run, rights)]
                results = [operator(op)(a, b) for op, a, b in zip(ops, sides, sides[1:], strict=False)]
                return functools.reduce(functions["and"], results)
            case ast.Subscript(value=value, slice=index):
                return functions["take"](run(value), run(index))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                function = functions.get(name, scope.get(name))
                if function is None:
                    raise KeyError(f"{name!r} is not a function of the expression language: {expression!r}")
                return function(*map(run, arguments))
            case _:
                raise ValueError(f"{ast.unparse(node)!r} is not part of the expression language")

    assigned: dict[str, Any] = {}
    last: Any = None
    for statement in parse(expression).body:
        if isinstance(statement, ast.Assign):
            (target,) = statement.targets
            assert isinstance(target, ast.Name)
            scope[target.id] = assigned[target.id] = run(statement.value)
            last = assigned
        else:
            assert isinstance(statement, ast.Expr)
            last = run(statement.value)
    return last


_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b, ast.Sub: lambda a, b: a - b, ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b, ast.Pow: lambda a, b: a**b, ast.Mod: lambda a, b: a % b,
    ast.MatMult: lambda a, b: a @ b,
    ast.Lt: lambda a, b: a < b, ast.LtE: lambda a, b: a <= b, ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b, ast.Eq: lambda a, b: a == b, ast.NotEq: lambda a, b: a != b,
}  # fmt: skip


# ----------------------------------------------------------------------------------------------------- rendering

_GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "eta": "η", "theta": "θ", "lambda": "λ",
    "mu": "μ", "nu": "ν", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "Phi": "Φ", "Delta": "Δ", "pi": "π",
    "kappa": "κ", "psi": "ψ", "omega": "ω", "zeta": "ζ", "xi": "ξ",
}  # fmt: skip
_SUPERSCRIPT = dict(
    zip("0123456789+-−abcdefghijklmnoprstuvwxyz", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ", strict=True)
)
_SUBSCRIPT = dict(zip("0123456789+−aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
_RELATION = {ast.Lt: ("<", "<"), ast.LtE: (r"\leq", "≤"), ast.Gt: (">", ">"), ast.GtE: (r"\geq", "≥"),
             ast.Eq: ("=", "="), ast.NotEq: (r"\neq", "≠")}  # fmt: skip

_BLOCK = 0xE000  # private characters that stand for case distinctions until they are drawn

SUM, PRODUCT, UNARY, POWER, ATOM = range(1, 6)


class _Part(NamedTuple):
    text: str
    level: int  # how tightly it binds


_Rows = list[tuple[str, str | None]]  # values and conditions of a case distinction; None: otherwise


class _Writer:
    """Walks a syntax tree and writes it in one of two styles, LaTeX or terminal text."""

    def __init__(self, tree: ast.Module, vectors: tuple[str, ...], tex: bool, blocks: list[_Rows] | None = None):
        self.tex, self.vectors = tex, set(vectors)
        self.blocks = blocks  # where cases are put that are to be drawn over several lines
        self.index = "i" if any(self._bare_vector(s) for s in tree.body) else ""

    def _bare_vector(self, node: ast.AST) -> bool:
        """Whether a vector stands outside every reduction, so that the result has an index of its own."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in REDUCTIONS | {"diag", "outer", "argmax"}:
                return False
            if node.func.id == "onehot":
                return True
        if isinstance(node, ast.Subscript):
            return False
        if isinstance(node, ast.Name):
            return node.id in self.vectors
        return any(self._bare_vector(child) for child in ast.iter_child_nodes(node))

    def name(self, name: str) -> str:
        base, _, rest = name.rstrip("_").partition("_")
        hat = ""
        if base.endswith("hat") and base != "hat":
            base, hat = base[:-3], "hat"
        if rest == "hat":
            rest, hat = "", "hat"
        digits = base[len(base.rstrip("0123456789")) :]
        if digits and base != digits:
            base, rest = base[: -len(digits)], digits + rest
        if self.tex:
            text = f"\\{base}" if base in _GREEK else base if len(base) == 1 else f"\\mathrm{{{base}}}"
            if hat:
                text = f"\\hat{{{text}}}"
            return text + (f"_{{\\mathrm{{{rest}}}}}" if len(rest) > 1 else f"_{{{rest}}}" if rest else "")
        text = unicodedata.normalize("NFC", _GREEK.get(base, base) + ("\u0302" if hat else ""))
        return self.subscript(text, rest) if rest else text

    def subscript(self, text: str, index: str) -> str:
        if self.tex:
            return f"{{{text}}}_{{{index}}}"
        if all(c in _SUBSCRIPT for c in index):
            return text + "".join(_SUBSCRIPT[c] for c in index)
        return f"{text}_{index}" if index.isalnum() else f"{text}[{index}]"

    def paren(self, part: _Part, least: int) -> str:
        if part.level >= least:
            return part.text
        return f"\\left({part.text}\\right)" if self.tex else f"({part.text})"

    def power(self, base: str, exponent: str) -> str:
        if self.tex:
            return f"{{{base}}}^{{{exponent}}}"
        plain = exponent.replace(" ", "")
        if all(c in _SUPERSCRIPT for c in plain):
            return base + "".join(_SUPERSCRIPT[c] for c in plain)
        return f"{base}^{exponent}" if exponent.isalnum() else f"{base}^({exponent})"

    def call(self, name: str, argument: str) -> _Part:
        return _Part(f"{name}\\left({argument}\\right)" if self.tex else f"{name}({argument})", ATOM)

    def write(self, node: ast.AST) -> _Part:
        match node:
            case ast.Constant(value=value):
                return self.constant(value)
            case ast.Name(id=name):
                text = self.name(name)
                return _Part(self.subscript(text, self.index) if name in self.vectors and self.index else text, ATOM)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self.write(operand)
                return _Part(("-" if self.tex else "−") + self.paren(inner, PRODUCT), UNARY - 1)
            case ast.UnaryOp(operand=operand):
                return self.write(operand)
            case ast.BinOp():
                return self.binary(node)
            case ast.Compare(left=left, ops=ops, comparators=rights):
                text = self.write(left).text
                for op, right in zip(ops, rights, strict=True):
                    text += f" {_RELATION[type(op)][0 if self.tex else 1]} {self.write(right).text}"
                return _Part(text, 0)
            case ast.BoolOp(op=op, values=parts):
                word = "and" if isinstance(op, ast.And) else "or"
                joint = f" \\text{{ {word} }} " if self.tex else f" {word} "
                return _Part(joint.join(self.write(p).text for p in parts), 0)
            case ast.Subscript(value=value, slice=index):
                assert isinstance(value, ast.Name)
                return _Part(self.subscript(self.name(value.id), self.write(index).text), ATOM)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self.function(name, arguments)
            case _:
                raise ValueError(f"{ast.unparse(node)!r} has no written form")

    def constant(self, value: Any) -> _Part:
        if isinstance(value, float) and value in (0.5, 0.25):
            top, bottom = (1, 2) if value == 0.5 else (1, 4)
            return _Part(f"\\frac{{{top}}}{{{bottom}}}" if self.tex else "½" if bottom == 2 else "¼", ATOM)
        text = f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
        if "e" in text and self.tex:
            mantissa, exponent = text.split("e")
            text = ("" if mantissa == "1" else mantissa + r"\cdot ") + f"10^{{{int(exponent)}}}"
        return _Part(text, ATOM)

    def binary(self, node: ast.BinOp) -> _Part:
        left, right = self.write(node.left), self.write(node.right)
        match node.op:
            case ast.Add():
                return _Part(f"{self.paren(left, SUM)} + {self.paren(right, SUM)}", SUM)
            case ast.Sub():
                minus = "-" if self.tex else "−"
                return _Part(f"{self.paren(left, SUM)} {minus} {self.paren(right, SUM + 1)}", SUM)
            case ast.Mult():
                a, b = self.paren(left, PRODUCT), self.paren(right, PRODUCT)
                numbers = b[0].isdigit() or b.startswith(("-", "−", "\\left|", "|"))
                joint = "·" if not self.tex else r" \cdot " if numbers else " "
                return _Part(f"{a}{joint}{b}", PRODUCT)
            case ast.Div():
                if self.tex:
                    return _Part(f"\\frac{{{left.text}}}{{{right.text}}}", ATOM)
                return _Part(f"{self.paren(left, PRODUCT)}/{self.paren(right, POWER)}", PRODUCT)
            case ast.MatMult():
                return _Part(
                    f"{self.paren(left, PRODUCT)}{' ' if self.tex else '·'}{self.paren(right, POWER)}", PRODUCT
                )
            case ast.Pow():
                base = self.paren(left, ATOM)
                return _Part(self.power(base, right.text if self.tex else self.paren(right, 0)), POWER)
            case _:
                joint = r" \;\operatorname{mod}\; " if self.tex else " mod "
                return _Part(f"{self.paren(left, PRODUCT)}{joint}{self.paren(right, POWER)}", PRODUCT)

    def function(self, name: str, arguments: list[ast.expr]) -> _Part:
        tex = self.tex
        if name == "cases":
            return self.cases(arguments)
        if name in REDUCTIONS:
            return self.reduction(name, arguments[0])
        texts = [self.write(a).text for a in arguments]
        match name:
            case "exp":
                inner = self.write(arguments[0])
                return _Part(self.power("e", inner.text), POWER)
            case "abs":
                return _Part(rf"\left|{texts[0]}\right|" if tex else f"|{texts[0]}|", ATOM)
            case "sqrt":
                simple = self.write(arguments[0]).level == ATOM
                return _Part(rf"\sqrt{{{texts[0]}}}" if tex else f"√{texts[0]}" if simple else f"√({texts[0]})", ATOM)
            case "floor":
                return _Part(rf"\left\lfloor {texts[0]}\right\rfloor" if tex else f"⌊{texts[0]}⌋", ATOM)
            case "log1p":
                return self.call(r"\ln" if tex else "ln", f"1 + {texts[0]}")
            case "expm1":
                return _Part(f"{self.power('e', texts[0])} {'-' if tex else '−'} 1", SUM)
            case "log":
                return self.call(r"\ln" if tex else "ln", texts[0])
            case "indicator":
                return _Part(rf"\left[{texts[0]}\right]" if tex else f"[{texts[0]}]", ATOM)
            case "onehot":
                return _Part(rf"\left[i = {texts[0]}\right]" if tex else f"[i = {texts[0]}]", ATOM)
            case "transpose":
                matrix = self.paren(self.write(arguments[0]), ATOM)
                return _Part(f"{{{matrix}}}^{{\\top}}" if tex else f"{matrix}ᵀ", POWER)
            case "outer":
                return _Part(rf"{texts[0]} {texts[1]}^{{\top}}" if tex else f"{texts[0]}·{texts[1]}ᵀ", PRODUCT)
            case "first" | "second":  # a half has the index of its own place in it
                vector, index = self.name(arguments[0].id), self.index or "i"  # type: ignore[attr-defined]  # a name
                return _Part(self.subscript(vector, index if name == "first" else f"{index}+n/2"), ATOM)
            case "topsum":  # the parenthesis orders from the largest to the smallest
                vector, index = self.name(arguments[0].id), self.index or "i"  # type: ignore[attr-defined]  # a name
                place = "k" if index == "j" else "j"
                summed = rf"\sum_{{{place} \leq {index}}} {vector}_{{({place})}}"
                summed = summed if tex else f"Σ[{place}≤{index}] {vector}_({place})"
                return _Part(summed, PRODUCT)
            case "rank":
                return _Part(self.index or "i", ATOM)
            case "ones":
                return _Part(r"\mathbf{1}" if tex else "1", ATOM)
            case "eye":
                return _Part("I", ATOM)
            case "sin" | "cos" | "tanh" | "max" | "min":
                return self.call(f"\\{name}" if tex else name, ", ".join(texts))
            case "sigma" | "Phi" | "phi" | "f" | "g" | "h" | "G":
                return self.call(self.name(name), ", ".join(texts))
            case "sign" | "erf" | "diag" | "argmax":
                return self.call(rf"\operatorname{{{name}}}" if tex else name, texts[0])
            case _:
                raise ValueError(f"{name!r} is not a function of the expression language")

    def reduction(self, name: str, argument: ast.expr) -> _Part:
        tex = self.tex
        indexed = self._bare_vector(argument)
        outer, self.index = (
            self.index,
            ("" if not indexed else "ijk"["ijk".find(self.index) + 1] if self.index else "i"),
        )
        inner, index = self.write(argument), self.index
        self.index = outer
        if not indexed or name == "var":
            label = {
                "mean": (r"\operatorname{E}", "E"), "var": (r"\operatorname{Var}", "Var"), "largest": (r"\max", "max"),
                "sum": (r"\sum", "Σ"), "norm": ("", ""),
            }[name][0 if tex else 1]  # fmt: skip
            if name == "norm":
                return _Part(rf"\left\|{inner.text}\right\|" if tex else f"‖{inner.text}‖", ATOM)
            if name == "sum":
                return _Part(f"{label} {self.paren(inner, PRODUCT)}", PRODUCT)
            return _Part(rf"{label}\left[{inner.text}\right]" if tex else f"{label}[{inner.text}]", ATOM)
        if name == "norm":
            return _Part(rf"\left\|{inner.text}\right\|" if tex else f"‖{inner.text}‖", ATOM)
        sign = {"sum": (r"\sum", "Σ"), "mean": (r"\frac{1}{n}\sum", "1/n Σ"), "largest": (r"\max", "max")}[name]
        sign = f"{sign[0]}_{{{index}}}" if tex else sign[1] + _SUBSCRIPT[index]
        return _Part(f"{sign} {self.paren(inner, PRODUCT)}", PRODUCT)

    def cases(self, branches: list[ast.expr]) -> _Part:
        rows = []
        for branch in branches:
            assert isinstance(branch, ast.Tuple)
            value, condition = branch.elts
            otherwise = isinstance(condition, ast.Constant) and condition.value is True
            rows.append((self.write(value).text, None if otherwise else self.write(condition).text))
        if self.tex:
            lines = [f"{v} & \\text{{{'otherwise' if c is None else 'if '}}}{c or ''}" for v, c in rows]
            return _Part(r"\begin{cases}" + r" \\ ".join(lines) + r"\end{cases}", ATOM)
        if self.blocks is not None:
            self.blocks.append(rows)
            return _Part(chr(_BLOCK + len(self.blocks) - 1), ATOM)
        return _Part("{ " + "; ".join(f"{v} {'otherwise' if c is None else f'if {c}'}" for v, c in rows) + " }", ATOM)


def statements(expression: str, vectors: tuple[str, ...], *, tex: bool, blocks: list[_Rows] | None = None) -> list[str]:
    """The value, if there is one, then the assignments, each as LaTeX or as text for a terminal."""
    tree = parse(expression)
    writer = _Writer(tree, vectors, tex, blocks)
    definitions, result = [], ""
    assigned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    updates = assigned & names(expression)  # what is read before it is assigned: a rule with memory
    arrow = " = " if not updates else r" \leftarrow " if tex else " ← "
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            (target,) = statement.targets
            definitions.append(writer.write(target).text + arrow + writer.write(statement.value).text)
        else:
            assert isinstance(statement, ast.Expr)
            result = writer.write(statement.value).text
    return [result, *definitions] if result else definitions


def latex(expression: str, vectors: tuple[str, ...] = ()) -> str:
    r"""``expression`` as LaTeX (without dollar signs); names in ``vectors`` carry an index outside reductions."""
    return r",\quad ".join(statements(expression, vectors, tex=True))


def text(expression: str, vectors: tuple[str, ...] = ()) -> str:
    """``expression`` as one line of unicode mathematics for a terminal."""
    return ",  ".join(statements(expression, vectors, tex=False))


def lines(expression: str, vectors: tuple[str, ...] = ()) -> list[str]:
    """``expression`` as lines for a terminal: one an assignment, case distinctions over several with a brace."""
    blocks: list[_Rows] = []
    parts = statements(expression, vectors, tex=False, blocks=blocks)
    boxes = [_drawn(part, blocks) for part in parts]
    if has_value(expression) and len(boxes) > 1:  # the result, and what it is made of
        boxes[1:] = [_beside([_Box(["with " if i == 0 else "     "], 0), box]) for i, box in enumerate(boxes[1:])]
    return [line.rstrip() for box in boxes for line in box.lines]


class _Box(NamedTuple):
    lines: list[str]
    base: int  # the line that stands level with what is beside


def _drawn(text: str, blocks: list[_Rows]) -> _Box:
    """``text`` with its case distinctions drawn."""
    pieces = [piece for piece in re.split("([\ue000-\uf8ff])", text) if piece]
    if len(pieces) == 1 and pieces[0] == text and not "\ue000" <= text <= "\uf8ff":
        return _Box([text], 0)
    alone = len(pieces) == 1
    return _beside(
        [_braced(blocks[ord(p) - _BLOCK], blocks, alone) if "\ue000" <= p <= "\uf8ff" else _Box([p], 0) for p in pieces]
    )


def _braced(rows: _Rows, blocks: list[_Rows], alone: bool) -> _Box:
    values = [_drawn(value, blocks) for value, _ in rows]
    columns = max(width(line) for value in values for line in value.lines)
    inside: list[str] = []
    for value, (_, condition) in zip(values, rows, strict=True):
        said = "otherwise" if condition is None else f"if {condition}"
        padded = _Box([_padded(line, columns) for line in value.lines], value.base)
        inside += _beside([padded, _Box([f"  {said}"], 0)]).lines
    if len(inside) == 2 and not alone:
        inside.insert(1, "")  # a middle, for what stands beside
    base = (len(inside) - 1) // 2
    brace = ["⎧", *"⎪" * (len(inside) - 2), "⎩"] if len(inside) > 1 else ["{"]
    if len(inside) > 2:
        brace[base] = "⎨"
    return _Box([f"{b} {line}" for b, line in zip(brace, inside, strict=True)], base)


def _beside(boxes: list[_Box]) -> _Box:
    """Boxes in a row, their bases level."""
    base = max(box.base for box in boxes)
    height = base + max(len(box.lines) - box.base for box in boxes)
    rows = [""] * height
    for box in boxes:
        columns = max(map(width, box.lines))
        for i in range(height):
            inside = 0 <= i - base + box.base < len(box.lines)
            rows[i] += _padded(box.lines[i - base + box.base] if inside else "", columns)
    return _Box(rows, base)


def width(line: str) -> int:
    """Columns that ``line`` takes: a combining hat takes none."""
    return sum(not unicodedata.combining(c) for c in line)


def _padded(line: str, columns: int) -> str:
    return line + " " * (columns - width(line))
