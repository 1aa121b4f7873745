"""`systemd-run`: a command as a service of the init's, at once or when a timer ends."""

from __future__ import annotations

import getopt
import os
import sys
from dataclasses import dataclass, field
from uuid import uuid4

from local_aws.ec2.guest.calls import RefusedError, ask, complain
from local_aws.ec2.guest.times import parse_span

_WITH_VALUE = (
    "description=",
    "nice=",
    "on-active=",
    "on-boot=",
    "property=",
    "service-type=",
    "setenv=",
    "slice=",
    "timer-property=",
    "unit=",
    "working-directory=",
)
_WITHOUT = (
    "collect",
    "no-ask-password",
    "no-block",
    "quiet",
    "remain-after-exit",
    "same-dir",
    "send-sighup",
    "system",
)


def main(arguments: list[str]) -> int:
    """Hand a command to the init."""
    try:
        options, command = getopt.getopt(
            arguments, "Gu:p:E:dqrH:", [*_WITH_VALUE, *_WITHOUT]
        )  # what would change its meaning, as --wait, is unknown to it and so refused
        if not command:
            return complain("systemd-run: Command line to execute required.")
        return _run(options, command)
    except (getopt.GetoptError, ValueError, RefusedError, OSError) as error:
        return complain(f"systemd-run: {error}")


def _run(options: list[tuple[str, str]], command: list[str]) -> int:
    wanted = Wanted(f"run-{uuid4().hex}")
    for name, value in options:
        wanted.take(name, value)
    ask(
        "run",
        unit=wanted.unit,
        command=command,
        environment=wanted.environment,
        directory=wanted.directory,
        after_s=wanted.after_s,
    )
    if not wanted.is_quiet:
        for line in _told(wanted.unit, wanted.after_s):
            print(line, file=sys.stderr)
    return 0


@dataclass
class Wanted:
    """The unit that is wanted."""

    unit: str
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    after_s: float | None = None
    is_quiet: bool = False

    def take(self, name: str, value: str) -> None:
        """Take one option; those without a meaning here are let pass."""
        match name:
            case "-u" | "--unit":
                self.unit = value.removesuffix(".service").removesuffix(".timer")
            case "-E" | "--setenv":
                self.environment.update(_variable(value))
            case "-p" | "--property":
                self._take_property(*value.partition("=")[::2])
            case "--working-directory":
                self.directory = value
            case "-d" | "--same-dir":
                self.directory = os.getcwd()
            case "--on-active" | "--on-boot":
                self.after_s = parse_span(value)
            case "-q" | "--quiet":
                self.is_quiet = True

    def _take_property(self, key: str, setting: str) -> None:
        if key == "Environment":
            self.environment.update(_variable(setting.strip('"')))
        elif key == "WorkingDirectory":
            self.directory = setting


def _told(unit: str, after_s: float | None) -> list[str]:
    if after_s is None:
        return [f"Running as unit: {unit}.service"]
    return [f"Running timer as unit: {unit}.timer", f"Will run service as unit: {unit}.service"]


def _variable(text: str) -> dict[str, str]:
    name, given, value = text.partition("=")
    return {name: value if given else os.environ.get(name, "")}
