"""`shutdown`, `poweroff`, `halt`, `reboot` and `init`, as systemd's take them."""

from __future__ import annotations

import getopt
import sys
import time
from datetime import datetime

from local_aws.ec2.guest.calls import RefusedError, ask, complain
from local_aws.ec2.guest.times import parse_shutdown_time

_DEFAULT = "+1"
_RUN_LEVELS = {"0": "poweroff", "6": "reboot"}
_CHOICES = {
    **dict.fromkeys(("-H", "--halt"), "halt"),
    **dict.fromkeys(("-P", "-p", "--poweroff"), "poweroff"),
    **dict.fromkeys(("-r", "--reboot"), "reboot"),
}


def main(name: str, arguments: list[str]) -> int:
    """Do what the command of this name was asked for."""
    try:
        if name == "shutdown":
            return _shutdown(arguments)
        if name in ("init", "telinit"):
            return _change_run_level(name, arguments)
        return _power(name, arguments)
    except (getopt.GetoptError, ValueError, RefusedError, OSError) as error:
        return complain(error)


def _shutdown(arguments: list[str]) -> int:
    options, rest = getopt.gnu_getopt(
        arguments, "HPrhkact:fFn", ["halt", "poweroff", "reboot", "no-wall", "show", "help"]
    )
    given = [name for name, _ in options]
    if "-c" in given:
        ask("cancel")
        return 0
    action = next((_CHOICES[name] for name in reversed(given) if name in _CHOICES), "poweroff")
    after_s = parse_shutdown_time(rest[0] if rest else _DEFAULT, datetime.now().astimezone())
    if "-k" in given:  # warns people, and there are none here
        return 0
    ask("schedule", what=action, after_s=after_s)
    if after_s:
        moment = time.strftime("%a %Y-%m-%d %H:%M:%S %Z", time.localtime(time.time() + after_s))
        print(f"Shutdown scheduled for {moment}, use 'shutdown -c' to cancel.", file=sys.stderr)
    return 0


def _power(name: str, arguments: list[str]) -> int:
    options, _ = getopt.gnu_getopt(
        arguments,
        "pfwndhi",
        ["halt", "poweroff", "reboot", "force", "wtmp-only", "no-wtmp", "no-sync", "no-wall", "help"],
    )
    given = [option for option, _ in options]
    if "-w" in given or "--wtmp-only" in given:  # writes into a log that nobody keeps here
        return 0
    action = next((_CHOICES[option] for option in reversed(given) if option in _CHOICES), name)
    ask("power", what=action, at_once=sum(option in ("-f", "--force") for option in given) > 1)
    return 0


def _change_run_level(name: str, arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in _RUN_LEVELS:
        return complain(f"{name}: an instance knows the run levels 0 and 6 only")
    ask("power", what=_RUN_LEVELS[arguments[0]], at_once=False)
    return 0
