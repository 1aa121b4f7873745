"""The commands behind `make package` and what follows it to the cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.packaging import Package, PackagingError, build_package

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "build" / "mwaa"

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
console = Console(highlight=False)


@app.callback()
def commands() -> None:
    """Package the project for Amazon MWAA."""


@app.command()
def package(target: Annotated[Path, typer.Option(help="Where to build it.")] = PACKAGE) -> None:
    """Build what Amazon MWAA runs, and show what it is."""
    _show(build_package(PROJECT, target))


def _show(built: Package) -> None:
    for name in ("plugins.zip", "requirements.txt", "startup.sh"):
        console.print(f"  {name:<17}{(built.folder / name).stat().st_size / 1000:8.1f} kB")
    dags = [built.folder / name for name in built.files if name.startswith("dags/")]
    size = sum(file.stat().st_size for file in dags)
    console.print(f"  {'dags/':<17}{size / 1000:8.1f} kB in {len(dags)} files")
    console.print(f"{built.folder} sha256:{built.digest}", soft_wrap=True)


def main() -> None:
    """Run a command; an error that a person can mend is told in its own words, without a traceback."""
    try:
        app()
    except PackagingError as error:
        console.print(f"vigil: {error}", markup=False)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
