"""What a check is, what it finds, and how all of them are gone through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

from vigil.aws import error_code
from vigil.errors import VigilError
from vigil.setup.ground import Ground

Outcome = Literal["ok", "fail", "skip"]
_FORBIDDEN = ("AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "403")
_LONGEST = 400
# Tasks call none of these, and a private network may have no way to them.
_ASKED_BY_CHECKS_ONLY = {"airflow", "events", "iam", "scheduler", "sts"}


@dataclass(frozen=True)
class Look:
    """What one look at a thing gave.

    Attributes:
        outcome: ok, fail, or skip for what does not apply or cannot be looked at yet.
        seen: what was there.
        fix: what to do about it, if something is to be done.
    """

    outcome: Outcome
    seen: str
    fix: str = ""


@dataclass(frozen=True)
class Check:
    """Looks at one thing.

    Attributes:
        what: the thing.
        look: gives what is there; may raise.
        needs: things without which there is nothing to look at.
    """

    what: str
    look: Callable[[Ground], Look]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What a check found; the attributes are those of `Check` and `Look`."""

    what: str
    outcome: Outcome
    seen: str
    fix: str = ""

    def __str__(self) -> str:
        way_out = f"  -> {self.fix}" if self.fix else ""
        return f"{self.outcome:<4}  {self.what:<24}  {self.seen}{way_out}"


def fine(seen: str) -> Look:
    """Say that a thing is as it should be."""
    return Look("ok", seen)


def failing(seen: str, fix: str) -> Look:
    """Say what is wrong with a thing, and what to do."""
    return Look("fail", seen, fix)


def not_applicable(seen: str, hint: str = "") -> Look:
    """Say why there is nothing to look at."""
    return Look("skip", seen, hint)


def examine(checks: Sequence[Check], ground: Ground) -> list[Finding]:
    """Go through all checks, whatever breaks; none shows a secret."""
    findings: dict[str, Finding] = {}
    for check in checks:
        lacking = [what for what in check.needs if findings[what].outcome != "ok"]
        look = not_applicable(f"waits for: {lacking[0]}") if lacking else _look(check, ground)
        seen, fix = (ground.without_secrets(_in_one_line(text)) for text in (look.seen, look.fix))
        findings[check.what] = Finding(check.what, look.outcome, seen, fix)
    return list(findings.values())


def as_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return findings for a file or an XCom."""
    return [asdict(finding) for finding in findings]


def failures(findings: Sequence[Finding]) -> list[Finding]:
    """Return what has to be mended."""
    return [finding for finding in findings if finding.outcome == "fail"]


def summary(findings: Sequence[Finding]) -> str:
    """Return one line about all of them."""
    count = {outcome: sum(f.outcome == outcome for f in findings) for outcome in ("ok", "fail", "skip")}
    return f"{count['ok']} ok, {count['fail']} to be mended, {count['skip']} that do not apply or wait"


def _look(check: Check, ground: Ground) -> Look:
    # A check that breaks is a finding like any other, and the rest goes on.
    try:
        return check.look(ground)
    except VigilError as error:
        seen, _, fix = str(error).rpartition(": ")
        return failing(seen or fix, fix)
    except ClientError as error:
        return _refused(error)
    except (ConnectTimeoutError, EndpointConnectionError) as error:
        return _out_of_reach(urlsplit(error.kwargs["endpoint_url"]).hostname or "")
    except Exception as error:
        return failing(f"{type(error).__name__}: {error}", "mend what it names, and ask again")


def _refused(error: ClientError) -> Look:
    action = error.operation_name
    if error_code(error) in _FORBIDDEN:
        return failing(f"{action} is forbidden: {error}", f"allow {action} to the role that Airflow runs as")
    return failing(str(error), "mend what it names, and ask again")


def _out_of_reach(host: str) -> Look:
    if _ASKED_BY_CHECKS_ONLY & set(host.split(".")):
        return not_applicable(f"{host} cannot be reached from here", "ask from where it can: make doctor")
    return failing(f"{host} cannot be reached", "start it, or give the network a way to it")


def _in_one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def tell_apart(looks: Mapping[str, Look], nothing: str) -> Look:
    """Sum up looks at several things of a kind: one that fails fails them all.

    Args:
        looks: by name of the thing.
        nothing: what to say when there is none of the kind.
    """
    if not looks:
        return not_applicable(nothing)
    seen = ", ".join(f"{name} {look.seen}" for name, look in looks.items())
    bad = {name: look for name, look in looks.items() if look.outcome == "fail"}
    if bad:
        seen = ", ".join(f"{name} {look.seen}" for name, look in bad.items())
        return failing(seen, "; ".join(dict.fromkeys(look.fix for look in bad.values())))
    hints = dict.fromkeys(look.fix for look in looks.values() if look.fix)
    outcome: Outcome = "ok" if any(look.outcome == "ok" for look in looks.values()) else "skip"
    return Look(outcome, seen, "; ".join(hints))
