"""The command line, ``jaxdict``: train, evaluate and predict in a run's folder; look things up.

Exit status 0 only when the work was done; 2 and one line ``error: …`` on standard error for input that cannot be used;
1 for a run that diverged; 130 after Ctrl-C. Rooms are reached through ``jd``, which imports each at first use, so that
``--help`` is quick.
"""

import csv
import functools
import io
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from typer.core import TyperGroup

import jaxdict as jd
from jaxdict._card import fields as _fields
from jaxdict._card import print_card as _print_card
from jaxdict._card import print_entries as _print_entries

P = ParamSpec("P")


class _Group(TyperGroup):
    """Says what is wrong with a command line as all other errors are said: one line, status 2."""

    def main(self, *args: Any, standalone_mode: bool = True, **options: Any) -> Any:
        try:
            status = super().main(*args, standalone_mode=False, **options)
        except Exception as error:
            if not hasattr(error, "format_message"):
                raise
            message = error.format_message()  # type: ignore[attr-defined]  # a usage error of the parser's
            if type(error).__name__ == "NoArgsIsHelpError":
                typer.echo(message)
            else:
                _complain(message)
            status = 2
        if standalone_mode:
            sys.exit(status if isinstance(status, int) else 0)
        return status


app = typer.Typer(
    cls=_Group, name="jaxdict", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    rich_markup_mode=None, help="The dictionary of deep learning that runs.",
)  # fmt: skip


def main() -> None:
    """The entry point of the ``jaxdict`` command."""
    app(prog_name="jaxdict")


def _complain(message: object) -> None:
    typer.echo(f"error: {' '.join(str(message).split())}", err=True)


def _guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Errors that the person at the keyboard can mend become one line and status 2; others keep their traceback."""

    @functools.wraps(command)
    def run(*args: P.args, **options: P.kwargs) -> None:
        try:
            command(*args, **options)
        except KeyboardInterrupt:
            _complain("interrupted")
            raise typer.Exit(130) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read has seen enough
            raise typer.Exit(1) from None
        except (ValueError, OSError, ModuleNotFoundError) as error:
            _complain(error)
            raise typer.Exit(2) from None
        except KeyError as error:
            if type(error) is KeyError:
                raise
            _complain(error)  # an unknown name, with the closest ones
            raise typer.Exit(2) from None

    return run


# --- training and what follows ----------------------------------------------------------------------------------------


@app.command()
@_guarded
def train(
    config: Annotated[Path, typer.Argument(help="A TOML file.", metavar="CONFIG")],
    sets: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Another value.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; runs/<config name> by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
) -> None:
    """Train as CONFIG says, in a folder of the run's own."""
    chosen = jd.config.load(config, sets or ())
    folder = out or (Path(chosen.output.folder) if chosen.output.folder else _default_folder(config.stem, resume))
    jd.config.check_folder(folder, resume)  # before anything is loaded or said
    experiment = jd.config.build(chosen)
    parts = [("training", experiment.train), ("validation", experiment.validation), ("test", experiment.test)]
    counts = ", ".join(f"{len(part)} {name}" for name, part in parts if part is not None)
    typer.echo(f"{experiment.train.name}: {counts} examples\n")
    typer.echo(jd.models.summary(experiment.model, experiment.train.inputs.shape[1:]) + "\n")
    run = jd.config.run(experiment, folder, resume=resume, callbacks=[jd.callbacks.progress()])
    typer.echo(f"{run.message}\n")
    if experiment.test is not None:
        _print_scores("test", jd.config.read_result(folder)["test"])
    pictured = [folder / "curves.png"] if chosen.output.curves and run.history.epochs else []
    for label, path in zip(("results", "curves"), [folder / "result.json", *pictured], strict=False):
        typer.echo(f"{label:<10}{path}")
    if run.result == "diverged":
        _complain(run.message)
        raise typer.Exit(1)
    if run.result == "interrupted":
        _complain(f"{run.message}; go on with: jaxdict train {folder / 'config.toml'} --out {folder} --resume")
        raise typer.Exit(130)


@app.command()
@_guarded
def sweep(
    config: Annotated[Path, typer.Argument(help="A TOML file with a table [sweep].", metavar="CONFIG")],
    sets: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Another value.")] = None,
    out: Annotated[Path | None, typer.Option(help="The sweep's folder; runs/<config name> by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the sweep in the folder.")] = False,
) -> None:
    """Search as CONFIG says: many runs at once, the best candidates first, and the best one's config."""
    read = jd.config.load_sweep(config, sets or ())
    folder = out or Path("runs", config.stem)
    began = time.monotonic()
    mode = jd.lanes.mode_of(read.section.monitor.replace("auto", "loss"), read.section.mode)
    with jd.tune.progress(read.trials, mode=mode) as show:
        table = jd.config.run_sweep(read, folder, resume=resume, on_record=show)
    typer.echo(f"{table}\n")
    trials, programs = len(table.records), table.compiles
    typer.echo(f"{trials} runs by {programs} programs in {time.monotonic() - began:.1f} s, judged by {table.monitor}")
    for label, name in (("table", "table.csv"), ("picture", "search.png"), ("best", "best.toml")):
        if (folder / name).exists():
            typer.echo(f"{label:<10}{folder / name}")
    if table.interrupted:
        _complain(f"interrupted; go on with: jaxdict sweep {config} --out {folder} --resume")
        raise typer.Exit(130)
    if (folder / "best.toml").exists():
        typer.echo(f"train it:  jaxdict train {folder / 'best.toml'}")


def _default_folder(name: str, resume: bool) -> Path:
    """runs/NAME, or the next of NAME-2, NAME-3 … that holds no finished run; to resume, the last that is there."""
    number, folder = 1, Path("runs", name)
    while (folder / "result.json").exists() and (not resume or Path("runs", f"{name}-{number + 1}").exists()):
        number += 1
        folder = Path("runs", f"{name}-{number}")
    return folder


def _print_scores(part: str, scores: Mapping[str, float | None]) -> None:
    for name in ("loss", *(n for n in scores if n != "loss")):
        value = scores[name]
        typer.echo(f"{part} {name.replace('_', ' ')}: {'not finite' if value is None else f'{value:.6g}'}")


@app.command()
@_guarded
def evaluate(
    run_dir: Annotated[Path, typer.Argument(help="What train left.", metavar="RUN_DIR")],
    data: Annotated[str | None, typer.Option(help="Other data of the same form.", metavar="SOURCE")] = None,
    target: Annotated[str | None, typer.Option(help="Its target column, if called otherwise.")] = None,
) -> None:
    """Loss and metrics of a run on its test part, or on other data."""
    opened = jd.config.open_run(run_dir)
    _print_scores("test" if data is None else Path(data).name, jd.config.evaluate(opened, source=data, target=target))


@app.command()
@_guarded
def predict(
    run_dir: Annotated[Path, typer.Argument(help="What train left.", metavar="RUN_DIR")],
    source: Annotated[Path, typer.Argument(help="A .csv or .npz of inputs.", metavar="INPUT")],
    out: Annotated[Path | None, typer.Option(help="A .csv to write; standard output by default.")] = None,
) -> None:
    """Predictions of a run for new inputs, as csv."""
    opened = jd.config.open_run(run_dir)
    columns = jd.config.predict(opened, jd.config.read_inputs(opened.preprocess, source))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    if out is None:
        typer.echo(text.getvalue(), nl=False)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text.getvalue(), encoding="utf-8")
    typer.echo(f"{len(next(iter(columns.values())))} predictions in {out}")


# --- the race ---------------------------------------------------------------------------------------------------------


@app.command()
@_guarded
def race(
    optimizers: Annotated[str | None, typer.Option(help="Who races; all when left out.", metavar="A,B,…")] = None,
    function: Annotated[str, typer.Option(help="Or package.module:name of your own.", metavar="NAME")] = "beale",
    start: Annotated[list[str] | None, typer.Option(help="Where from, once for each.", metavar="X,Y")] = None,
    rates: Annotated[str | None, typer.Option(help="Learning rates to search.", metavar="LO:HI:N")] = None,
    steps: Annotated[int | None, typer.Option(help="At most so many; 10,000 by default.")] = None,
    tolerance: Annotated[float | None, typer.Option(help="Distance that counts as there; 0.01 by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .png, .svg, .pdf, .gif or .html to write.")] = None,
) -> None:
    """Let optimizers race on a function of two numbers, each at the rate that a search chooses."""
    if out is not None:
        jd.race.writer_of(out)
    run = jd.race.run(
        None if optimizers is None else optimizers.split(","),
        function=function,
        starts=jd.race.read_starts(start) if start else None,
        rates=jd.race.RATES if rates is None else jd.race.read_rates(rates),
        steps=jd.race.STEPS if steps is None else steps,
        tolerance=jd.race.TOLERANCE if tolerance is None else tolerance,
    )
    jd.race.print_table(run)
    if out is not None:
        jd.race.write(run, out)
        typer.echo(f"\n{out}")


# --- from other frameworks --------------------------------------------------------------------------------------------


@app.command()
@_guarded
def port(
    source: Annotated[str | None, typer.Argument(help="Text or a file; standard input if left out.")] = None,
    name: Annotated[str | None, typer.Option("--as", help="Its name, where a saved state has none.")] = None,
) -> None:
    """Say an optimizer of PyTorch or Keras in jaxdict, and what differs: a call, a repr, a config, saved groups."""
    if source is None and sys.stdin.isatty():
        raise ValueError("give the optimizer as text, as a file, or on standard input")
    text = sys.stdin.read() if source in (None, "-") else jd.port.read_source(str(source))
    typer.echo(jd.port.translate(text, name=name))


# --- looking things up ------------------------------------------------------------------------------------------------


@app.command("list")
@_guarded
def list_entries(
    kind: Annotated[str | None, typer.Option(help="Only activations, losses …: one kind, singular.")] = None,
) -> None:
    """The entries of the dictionary."""
    _print_entries(jd.entries(kind=kind))


@app.command()
@_guarded
def search(
    words: Annotated[list[str], typer.Argument(help="What to look for.", metavar="WORDS")],
    kind: Annotated[str | None, typer.Option(help="Only one kind.")] = None,
) -> None:
    """The entries that WORDS may mean, best first."""
    found = jd.dictionary.search(" ".join(words), kind=kind)
    if not found:
        raise ValueError(f"nothing in the dictionary is like {' '.join(words)!r}; jaxdict list shows all of it")
    _print_entries(found)


@app.command()
@_guarded
def show(
    name: Annotated[list[str], typer.Argument(help="A name or alias.", metavar="NAME")],
    kind: Annotated[str | None, typer.Option(help="Where several kinds have the name.")] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Equations in LaTeX.")] = False,
) -> None:
    """All that the dictionary says about NAME."""
    entry = jd.lookup(" ".join(name), kind=kind)
    _print_card(f"{entry.kind} {entry.name}", entry.summary, _fields(entry, latex))


@app.command()
@_guarded
def plot(
    name: Annotated[list[str], typer.Argument(help="A name or alias.", metavar="NAME")],
    out: Annotated[Path | None, typer.Option(help="A .png, .svg or .pdf to write; NAME.png by default.")] = None,
    kind: Annotated[str | None, typer.Option(help="Where several kinds have the name.")] = None,
) -> None:
    """A picture of NAME: value and derivative, density, curve, path, before and after."""
    entry = jd.lookup(" ".join(name), kind=kind)
    path = Path(f"{entry.name}.png") if out is None else out
    sheet = entry.kind == "augmentation"
    figure = jd.contact_sheet.contact_sheet(entry.name) if sheet else jd.plots.draw(entry)
    jd.plots.save(figure, path)
    typer.echo(f"{entry.kind} {entry.name}: {path}")


@app.command()
@_guarded
def info() -> None:
    """Versions and devices, for a report."""
    jd.show_versions()
