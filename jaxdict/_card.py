"""Entries as text for a reader: cards and lists, in colour and wrapped in a terminal, plain where they are piped."""

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from jaxdict import _expression

Fields = Sequence[tuple[str, Sequence[str]]]

_LABELS = 13  # columns
_MATHEMATICS = ("equation", "derivative")
_ADDRESS = re.compile(r"doi:(?P<doi>10\.\S+?)(?=[,;)]?(?:\s|$))|arXiv:(?P<arxiv>\d{4}\.\d{4,5})")


def fields(entry: Any, latex: bool) -> list[tuple[str, Sequence[str]]]:
    """Labels and lines of what is to be shown of an entry, without those that are empty."""

    def mathematics(expression: str, tex: str) -> list[str]:
        if not expression:
            return []
        return [tex] if latex else _expression.lines(expression, entry.vectors)

    def joined(words: Iterable[str]) -> list[str]:
        return [text] if (text := ", ".join(words)) else []

    rows = [
        ("equation", mathematics(entry.expression, entry.equation)),
        ("derivative", mathematics(entry.derivative_expression, entry.derivative_equation)),
        ("kinks", [f"at {x:g}: value {v:g}, derivative {d:g}" for x, (v, d) in entry.kinks.items()]),
        ("defaults", joined(f"{name}={_default(value)}" for name, value in entry.defaults.items())),
        ("aliases", joined(entry.aliases)),
        ("conventions", [f"{framework}: {meaning}" for framework, meaning in entry.conventions.items()]),
        ("errata", entry.errata),
        ("sources", entry.sources),
        ("see also", joined(dict.fromkeys(entry.see_also))),
        ("defined in", [entry.location]),
    ]
    return [(label, lines) for label, lines in rows if lines]


def _default(value: Any) -> str:
    return getattr(value, "__name__", None) or repr(value)


def one_line(entry: Any) -> str:
    """The equation of an entry on one line, or the first sentence about it where it has none."""
    if entry.expression:
        return _expression.text(entry.expression, entry.vectors)
    return re.split(r"(?<=\.)\s", entry.summary)[0]


def print_entries(entries: Iterable[Any]) -> None:
    """Kind, name and equation of each, in columns; a terminal cuts what is too long for it."""
    rows = [(e.kind, e.name, one_line(e)) for e in entries]
    if not sys.stdout.isatty():
        widths = [max((len(row[i]) for row in rows), default=0) for i in (0, 1)]
        sys.stdout.write("".join(f"{k:<{widths[0]}}  {n:<{widths[1]}}  {e}\n" for k, n, e in rows))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console()
    labels = ("kind", "name", "equation")
    widths = [max(len(row[i]) for row in (labels, *rows)) + 2 for i in (0, 1)]
    for row, styles in [(labels, ("bold",) * 3), *((row, ("dim", "bold cyan", "")) for row in rows)]:
        line = Text()
        for text, style, width in zip(row, styles, (*widths, 0), strict=True):
            line.append(text.ljust(width), style)
        line.rstrip()
        line.truncate(console.width, overflow="ellipsis")
        console.print(line)


def print_card(title: str, summary: str, fields: Fields) -> None:
    """A card: ``title`` is the kind and the name; lines as long as they are where they are piped."""
    if not sys.stdout.isatty():
        lines = [title, summary, ""]
        for label, texts in fields:
            lines += [f"{label if i == 0 else '':<{_LABELS}}{text}" for i, text in enumerate(texts)]
        sys.stdout.write("\n".join(lines) + "\n")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    kind, _, name = title.partition(" ")
    console.print(Text.assemble((name, "bold cyan"), "  ", (kind, "dim")), _prose(summary), "", sep="\n")
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, texts in fields:
        table.add_row(label, _body(label, texts, console.width - _LABELS))
        if label == "derivative" or (label == "equation" and not _has(fields, "derivative")):
            table.add_row()
    console.print(table)


def _has(fields: Fields, wanted: str) -> bool:
    return any(label == wanted for label, _ in fields)


def _body(label: str, texts: Sequence[str], columns: int) -> Any:
    """What stands right of a label."""
    from rich.table import Table
    from rich.text import Text

    if label in _MATHEMATICS:
        fits = all(_expression.width(text) <= columns for text in texts)
        return Text("\n".join(texts), "green", no_wrap=fits)
    table = Table.grid(padding=(0, 2, 0, 0))
    if label == "conventions":
        table.add_column(style="cyan", no_wrap=True)
        for framework, _, meaning in (text.partition(": ") for text in texts):
            table.add_row(framework, _prose(meaning))
        return table
    if label == "errata":
        for text in texts:
            table.add_row(Text("!", "bold yellow"), _prose(text))
        return table
    if label == "sources":
        return Text("\n").join(map(_cited, texts))
    if label == "defined in":
        (place,) = texts
        return Text(place, f"dim link file://{place.rpartition(':')[0]}")
    return _prose("\n".join(texts))


def _prose(text: str) -> Any:
    """Text for a terminal: what stands in backticks is coloured instead."""
    from rich.text import Text

    shown = Text()
    for i, part in enumerate(re.split(r"``(.+?)``|`(.+?)`", text)):
        if part is not None:
            shown.append(part, "green" if i % 3 else "")
    return shown


def _cited(source: str) -> Any:
    """A source whose DOI or arXiv number is a link."""
    from rich.text import Text

    shown = Text(source)
    for found in _ADDRESS.finditer(source):
        where = f"doi.org/{found['doi']}" if found["doi"] else f"arxiv.org/abs/{found['arxiv']}"
        shown.stylize(f"blue underline link https://{where}", *found.span())
    return shown
