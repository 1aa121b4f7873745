"""`systemctl` as far as an instance has one: its power, and the units that `systemd-run` made."""

from __future__ import annotations

import getopt

from local_aws.ec2.guest.calls import RefusedError, ask, complain

_POWER = ("poweroff", "halt", "reboot")


def main(arguments: list[str]) -> int:
    """Do one verb of systemctl."""
    try:
        options, rest = getopt.gnu_getopt(
            arguments,
            "fiq",
            ["force", "no-wall", "no-block", "now", "quiet", "no-pager", "message=", "system"],
        )
        verb, names = (rest[0], rest[1:]) if rest else ("", [])
        given = [name for name, _ in options]
        if verb in _POWER:
            ask("power", what=verb, at_once=sum(name in ("-f", "--force") for name in given) > 1)
            return 0
        if verb in ("stop", "reset-failed"):
            ask("stop", names=names)
            return 0
        if verb == "is-active":
            return _tell_activity(names, "-q" in given or "--quiet" in given)
    except (getopt.GetoptError, RefusedError, OSError) as error:
        return complain(error)
    return complain(
        f"systemctl {verb}: the embedded AWS's instances have no services but those of systemd-run"
    )


def _tell_activity(names: list[str], quiet: bool) -> int:
    active = ask("active", names=names)["active"]
    if not quiet:
        for one in active:
            print("active" if one else "inactive")
    return 0 if any(active) else 3
