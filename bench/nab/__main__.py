"""Send a folder of series through detection as time went by, and score what it tells: `make nab`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.nab.run import run
from bench.report import BENCH_DIR
from local_stack.stack import PROJECT
from vigil.errors import VigilError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command(help=__doc__)
def main(
    folder: Annotated[
        Path, typer.Argument(help="With a CSV a series, timestamp,value; windows.json has what is labelled.")
    ] = PROJECT / "include" / "sample-data",
    out: Annotated[Path, typer.Option(help="Where nab.json and the folder nab/ are written.")] = BENCH_DIR,
) -> None:
    # Wide enough for the table, also where the output is no terminal.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    try:
        summary = run(folder, out, Console(stderr=True))
    except VigilError as error:
        console.print(str(error), markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    console.print(summary.table())
    for line in summary.notes():
        console.print(f"  {line}")
    console.print(
        f"{summary.watched.windows} windows of {len(summary.watched.series)} series judged by "
        f"{summary.watched.trainings} models, {summary.window_s * 1000:.3f} ms a window. "
        f"Rows and pictures: {out / 'nab'}",
        soft_wrap=True,
    )


if __name__ == "__main__":
    app()
