"""What a reader sees: mathematics in unicode, cards, lists and search, in a terminal and piped."""

import io
import re
import sys

import pytest
from typer.testing import CliRunner

import jaxdict as jd
from jaxdict import _card, _expression, cli

ENTRIES = jd.entries()
WRITTEN = [e for e in ENTRIES if e.expression]


def call(*arguments):
    return CliRunner().invoke(cli.app, list(arguments))


def plain(text):
    """Terminal output without colours and links."""
    return re.sub(r"\x1b\[[0-9;]*m|\x1b\]8;[^\x1b]*\x1b\\", "", text)


@pytest.fixture
def terminal(monkeypatch):
    """Prints as if into a terminal of a given width; gives what was printed."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def show(width, print_, *arguments):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)
        screen = Terminal()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", screen)
            print_(*arguments)
        return screen.getvalue()

    return show


# ------------------------------------------------------------------------------------------------- mathematics


@pytest.mark.parametrize(
    ("expression", "vectors", "lines"),
    [
        ("cases((x, x > 0), (alpha*x, True))", (), ["⎧ x    if x > 0", "⎩ α·x  otherwise"]),
        ("2*cases((x, x > 0), (0, True))", (), ["  ⎧ x  if x > 0", "2·⎨", "  ⎩ 0  otherwise"]),
        (
            "cases((a, x > 3), (b, x < -3), (cases((0, x == 0), (1, True)), True))",
            (),
            [
                "⎧ a               if x > 3",
                "⎨ b               if x < −3",
                "⎪ ⎧ 0  if x = 0   otherwise",
                "⎩ ⎩ 1  otherwise",
            ],
        ),
        ("d = yhat - y; sum(d**2)/2", ("yhat", "y", "d"), ["Σⱼ dⱼ²/2", "with dᵢ = ŷᵢ − yᵢ"]),
        ("a = exp(x); b = exp(-x); a/b", (), ["a/b", "with a = eˣ", "     b = e⁻ˣ"]),
        ("m = beta1*m + (1 - beta1)*g; mhat = m/(1 - beta1**t)", (), ["m ← β₁·m + (1 − β₁)·g", "m̂ ← m/(1 − β₁ᵗ)"]),
        ("std = sqrt(2/(n_in + n_out))", (), ["std = √(2/(nᵢₙ + nₒᵤₜ))"]),
        ("exp(x)/sum(exp(x))", ("x",), ["e^xᵢ/(Σⱼ e^xⱼ)"]),
        ("norm(x)*exp(-t/T)", (), ["‖x‖·e^(−t/T)"]),
        ("-log(p[y])", ("p",), ["−ln(p_y)"]),
        ("x_q", (), ["x_q"]),
    ],
)  # fmt: skip
def test_mathematics_in_lines(expression, vectors, lines):
    assert _expression.lines(expression, vectors) == lines


def test_a_third_case_has_its_brace_in_the_middle():
    shown = _expression.lines("cases((a, x > 3), (b, x < -3), (c, x == 0), (d, True))")
    assert [line[0] for line in shown] == ["⎧", "⎨", "⎪", "⎩"]
    assert len({line.index("if") if "if" in line else line.index("otherwise") for line in shown}) == 1


@pytest.mark.parametrize("entry", WRITTEN, ids=lambda e: f"{e.kind}-{e.name}")
def test_every_equation_is_readable(entry):
    for expression in filter(None, (entry.expression, entry.derivative_expression)):
        shown = _expression.lines(expression, entry.vectors)
        everything = "\n".join([*shown, _expression.text(expression, entry.vectors)])
        assert not re.search(r"[*\\\ue000-\uf8ff]|_hat|\bcases\b|[a-z]_[0-9]", everything), everything
        assert not re.search(r"\b(alpha|beta|gamma|delta|epsilon|theta|lambda|sigma|mu|rho|eta|phi)\b", everything)
        assert everything.count("(") == everything.count(")")
        assert "\n" not in _expression.text(expression, entry.vectors)
        assert all(line == line.rstrip() for line in shown)
        assert max(map(_expression.width, shown)) <= 110


# -------------------------------------------------------------------------------------------------------- cards


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.kind}-{e.name}")
def test_every_card_says_all(entry):
    fields = dict(_card.fields(entry, latex=False))
    assert all(fields.values())
    assert ("equation" in fields) == bool(entry.expression)
    assert ("derivative" in fields) == bool(entry.derivative_expression)
    assert ("defaults" in fields) == bool(entry.defaults)
    assert len(fields.get("kinks", ())) == len(entry.kinks)
    assert tuple(fields.get("errata", ())) == entry.errata
    assert tuple(fields["sources"]) == entry.sources
    assert [line.partition(": ")[::2] for line in fields.get("conventions", ())] == list(entry.conventions.items())
    assert all(name in ", ".join(fields.get("aliases", ())) for name in entry.aliases)
    assert all(name in ", ".join(fields.get("see also", ())) for name in entry.see_also)
    assert fields["defined in"] == [entry.location]


def test_a_card_that_is_piped_is_plain():
    result = call("show", "leaky relu")
    lines = result.stdout.splitlines()
    assert lines[0] == "activation leaky_relu"
    at = lines.index("equation     ⎧ x    if x > 0")
    assert lines[at + 1 : at + 4] == [
        "             ⎩ α·x  otherwise", "derivative   ⎧ 1  if x > 0", "             ⎩ α  otherwise"]  # fmt: skip
    assert "kinks        at 0: value 0, derivative 0.01" in lines
    assert "\x1b" not in result.stdout


def test_a_term_has_a_card():
    lines = call("show", "mini-batch").stdout.splitlines()
    assert lines[:2] == ["term minibatch", jd.lookup("minibatch").definition]
    assert not any(line.startswith(("equation", "defaults", "derivative")) for line in lines)
    assert any(line.startswith("sources      S") for line in lines)
    assert "term momentum" in call("show", "momentum").stdout
    assert call("show", "momentum", "--kind", "term").stdout.startswith("term momentum\n")


def test_names_with_spaces_kinds_and_mistakes():
    assert call("show", "penalty", "l1").stdout.startswith("penalty l1\n")
    result = call("show", "sofmax")
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"error: no entry is called 'sofmax'; did you mean 'softmax'.*\?\n", result.stderr)
    assert call("show", "relu", "--kind", "los").stderr.count("\n") == 1


@pytest.mark.parametrize("width", [50, 78, 140])
def test_a_card_in_a_terminal_is_coloured_and_fits(terminal, width):
    for name in ("huber", "adam", "relu", "minibatch", "batch norm"):
        entry = jd.lookup(name)
        shown = terminal(
            width, _card.print_card, f"{entry.kind} {entry.name}", entry.summary, _card.fields(entry, False)
        )
        lines = plain(shown).splitlines()
        assert max(map(_expression.width, lines)) <= width
        assert re.search(r"\x1b\[1;36m" + entry.name, shown)
        assert lines[0].split() == [*entry.name.split(), entry.kind]
        words = re.sub(r"\W", "", "".join(lines))
        for text in (*entry.errata, *entry.conventions.values(), *entry.sources):
            if width == 140:
                assert re.sub(r"\W", "", text) in words
    assert "``" not in plain(shown)


def test_a_derivation_is_not_torn_by_a_narrow_terminal(terminal):
    entry = jd.lookup("huber")
    lines = plain(terminal(60, _card.print_card, "loss huber", entry.summary, _card.fields(entry, False))).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("equation"))
    assert [line[13:].rstrip() for line in [" " * 13 + lines[at][13:], *lines[at + 1 : at + 4]]] == _expression.lines(
        entry.expression, entry.vectors
    )


def test_sources_are_links(terminal):
    entry = jd.lookup("adam")
    shown = terminal(100, _card.print_card, "optimizer adam", entry.summary, _card.fields(entry, False))
    assert "https://arxiv.org/abs/1412.6980" in shown
    assert "https://doi.org/10.1016/0041-5553(64)90137-5" in terminal(
        100, _card.print_card, "optimizer momentum", "", _card.fields(jd.lookup("momentum"), False)
    )


# --------------------------------------------------------------------------------------------- lists and search


def test_a_list_in_a_terminal_keeps_to_one_line_each(terminal):
    shown = terminal(70, _card.print_entries, ENTRIES)
    lines = plain(shown).splitlines()
    assert lines[0].split() == ["kind", "name", "equation"]
    assert len(lines) == len(ENTRIES) + 1
    assert max(map(_expression.width, lines)) <= 70
    assert any(line.endswith("…") for line in lines)
    assert [line.split()[:2] for line in lines[1:]] == [[e.kind, e.name] for e in ENTRIES]


def test_a_list_that_is_piped_is_whole():
    lines = call("list", "--kind", "term").stdout.splitlines()
    assert len(lines) == len(jd.entries(kind="term"))
    assert lines[0].endswith(".")
    assert all(jd.lookup(line.split()[1], kind="term").definition.startswith(line.split(None, 2)[2]) for line in lines)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("relu", "activation relu"),
        ("rellu", "activation relu"),
        ("gelo", "activation gelu"),
        ("sofmax", "activation softmax"),
        ("leeky relu", "activation leaky_relu"),
        ("cros entropy", None),
        ("learing rate", "term learning_rate"),
        ("vanishing gradeint", "term vanishing_gradient"),
        ("exploding", "term exploding_gradient"),
        ("mse", "loss mean_squared_error"),
        ("heavy ball", "optimizer momentum"),
        ("adm", "optimizer adam"),
        ("glorot", "initializer xavier"),
        ("batchnorm", "normalization batch_norm"),
        ("ridge", "penalty l2"),
        ("cosine anealing", "schedule cosine_annealing"),
        ("dead neuron", "term dead_unit"),
        ("stop early", None),
    ],
)
def test_search_puts_the_best_first(words, first):
    found = [f"{e.kind} {e.name}" for e in jd.search(words)]
    if first is None:
        wanted = {"cros entropy": "cross_entropy", "stop early": "early_stopping"}[words]
        assert wanted in found[0]
    else:
        assert found[0] == first


def test_search_by_what_is_said():
    assert jd.lookup("adam") in jd.search("Kingma")
    assert jd.search("Kingma Ba")[0].name in ("adam", "adam_uncorrected", "adamax", "bias_correction")
    assert all(e.kind == "loss" for e in jd.search("class", kind="loss"))
    assert jd.search("zzzzqqq") == []
    assert jd.search("") == jd.search("  ") == []
    with pytest.raises(ValueError, match="kind must be one of"):
        jd.search("adam", kind="optimiser")
    result = call("search", "zzzzqqq")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: nothing in the dictionary is like 'zzzzqqq'; jaxdict list shows all of it\n"
