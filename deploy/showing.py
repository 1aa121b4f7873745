"""What a person sees of a plan before anything is done, and of an environment afterwards."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from deploy.code_bucket import FileChanges
from deploy.planning import Plan, StackChange

# So many names are shown of a list; the rest is counted.
_SHOWN = 40
_SIGNS = {"Add": "[green]+[/green]", "Modify": "[yellow]~[/yellow]", "Remove": "[red]-[/red]"}


def show_plan(console: Console, plan: Plan) -> None:
    """Print what a deployment would do."""
    for stack in plan.stacks:
        _print_part(console, _heading(stack), list(_resources(stack)))
    _print_part(console, _files_heading(plan.files), list(_files(plan.files)))
    if plan.replaces_processes:
        console.print(
            "What Airflow's processes start with changes: Amazon MWAA replaces them, which takes 20 minutes "
            "and more. What runs may end first; detection catches up."
        )


def _heading(stack: StackChange) -> str:
    if stack.created:
        return f"{stack.stack}: to be created, {len(stack.resources)} resources"
    if not stack.resources:
        return f"{stack.stack}: as it should be"
    replaced = sum(resource.replaced for resource in stack.resources)
    warning = f", [bold red]{replaced} replaced[/bold red]" if replaced else ""
    return f"{stack.stack}: {len(stack.resources)} resources change{warning}"


def _resources(stack: StackChange) -> Iterator[str]:
    for resource in stack.resources:
        replaced = "  [bold red]replaced by another[/bold red]" if resource.replaced else ""
        yield f"{_SIGNS.get(resource.action, '?')} {resource.name}  [dim]{resource.type}[/dim]{replaced}"


def _files_heading(files: FileChanges) -> str:
    if not files:
        return "files: as they should be"
    return (
        f"files: {len(files.added)} new, {len(files.changed)} changed, {len(files.removed)} no longer wanted"
    )


def _files(files: FileChanges) -> Iterator[str]:
    for action, keys in (("Add", files.added), ("Modify", files.changed), ("Remove", files.removed)):
        yield from (f"{_SIGNS[action]} {key}" for key in keys)


def _print_part(console: Console, heading: str, lines: list[str]) -> None:
    console.print(heading)
    for line in lines[:_SHOWN]:
        console.print(f"  {line}", soft_wrap=True)
    if len(lines) > _SHOWN:
        console.print(f"  … and {len(lines) - _SHOWN} more")
