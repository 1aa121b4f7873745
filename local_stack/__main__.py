"""The commands behind `make`: up, down, status, logs, demo, clean."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from local_stack.airflow import prepare_metadata
from local_stack.errors import DemoError
from local_stack.lifecycle import bring_down, bring_up, clean, start_bare_services, start_services
from local_stack.processes import Processes
from local_stack.stack import ADMIN, VAR, Stack, open_stack
from vigil.errors import VigilError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
# Wide enough for the tables, also where the output is no terminal.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)


@app.command()
def up() -> None:
    """Start database, embedded AWS and Airflow, and leave them running."""
    stack = open_stack()
    bring_up(stack, _print_step)
    print_login(stack)


@app.command()
def aws() -> None:
    """Start database and embedded AWS alone, to deploy to."""
    stack = open_stack()
    start_bare_services(stack, _print_step)
    console.print(f"The embedded AWS answers at {stack.aws_url}")


@app.command()
def down() -> None:
    """Stop everything that `up`, or a demo with `--keep`, started; what was stored stays."""
    for folder in (VAR / "stack", VAR / "demo" / "stack"):
        if folder.exists():
            bring_down(open_stack(folder))
    console.print("The stack is down.")


@app.command()
def status() -> None:
    """Show each process of the stack; exits with 1 when one does not run."""
    stack = open_stack()
    states = Processes(stack).states()
    table = Table("process", "state", "port")
    ports = {"database": "database", "local-aws": "local_aws", "airflow-api-server": "airflow"}
    for program in Processes(stack).programs():
        port = stack.ports[ports[program.name]] if program.name in ports else ""
        table.add_row(program.name, states.get(program.name, "STOPPED").lower(), str(port))
    console.print(table)
    if not states or any(state != "RUNNING" for state in states.values()):
        raise typer.Exit(1)
    print_login(stack)


@app.command()
def doctor() -> None:
    """Tell what is missing, each thing with its fix; exits with 1 when something has to be mended."""
    from deploy.doctor import report
    from local_stack.doctor import examine_stack

    findings = examine_stack(open_stack())
    if not report(findings, VAR / "doctor.json", partial(console.print, markup=False, soft_wrap=True)):
        raise typer.Exit(1)


@app.command()
def logs(
    process: Annotated[str, typer.Argument(help="As `status` names it; empty for all.")] = "",
    follow: Annotated[bool, typer.Option(help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option(help="How many lines from the end.")] = 40,
) -> None:
    """Show the end of the processes' logs."""
    folder = open_stack().logs
    files = sorted(str(file) for file in folder.glob(f"{process or '*'}.log"))
    if not files:
        known = ", ".join(sorted(file.stem for file in folder.glob("*.log"))) or "none yet: run `make up`"
        console.print(f"There is no log of {process or 'any process'} in {folder}; there are: {known}")
        raise typer.Exit(1)
    command = ["tail", "-n", str(lines), *(["-F"] if follow else []), *files]
    raise typer.Exit(subprocess.run(command).returncode)


@app.command("docs")
def write_docs() -> None:
    """Write docs/DAGS.md from the DAGs."""
    from local_stack.dag_docs import FILE, write_dag_docs

    write_dag_docs()
    console.print(f"Wrote {FILE.name}.")


@app.command("clean")
def clean_up() -> None:
    """Stop the stack and delete everything it stored."""
    down()
    clean()
    console.print("Nothing is left but .venv.")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where results go.")] = VAR / "demo",
    keep: Annotated[bool, typer.Option(help="Leave the stack running afterwards.")] = False,
) -> None:
    """Turn the whole loop once on real data, and show what came out."""
    from local_stack.demo.run import run_demo

    raise typer.Exit(run_demo(folder, keep, console))


@app.command(hidden=True)
def prepare() -> None:
    """Make everything ready for processes that somebody else runs, as docker compose does."""
    stack = open_stack()
    start_services(stack, _print_step)
    prepare_metadata(stack)


@app.command(context_settings={"ignore_unknown_options": True}, hidden=True)
def airflow(
    arguments: Annotated[list[str], typer.Argument(help="As of the command `airflow`.")],
    stack_folder: Annotated[Path, typer.Option(help="Of the stack.")] = VAR / "stack",
) -> None:
    """Become Airflow's command, with the stack's environment."""
    environment = open_stack(stack_folder).environment()
    os.execvpe("airflow", ["airflow", *arguments], environment)  # noqa: S606 - no shell is wanted


@app.command("environment")
def show_environment() -> None:
    """Print the stack's environment as shell assignments, for `eval`: it holds passwords."""
    own = ("AIRFLOW", "AWS_", "NO_PROXY", "PATH", "PYTHONPATH", "no_proxy")
    for name, value in sorted(open_stack().environment().items()):
        if name.startswith(own):
            quoted = value.replace("'", "'\"'\"'")
            print(f"export {name}='{quoted}'")


def _print_step(line: str) -> None:
    console.print(f"  {line}")


def print_login(stack: Stack) -> None:
    """Say where the Airflow UI is and how to log in."""
    console.print(f"Airflow: {stack.airflow_url}  user {ADMIN}  password {stack.secrets.airflow_password}")


def main() -> None:
    """Run a command; an error that a person can mend is told in its own words, without a traceback."""
    try:
        app()
    except (VigilError, TimeoutError, DemoError) as error:
        console.print(f"vigil: {error}", markup=False)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
