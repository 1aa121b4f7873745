from __future__ import annotations

from dataclasses import replace

from botocore.exceptions import ClientError

from tests.vigil.setup.doubles import Answers, ground
from vigil.database import Database
from vigil.errors import DataError
from vigil.setup.findings import Check, Finding, Look, as_json, examine, failing, fine, summary
from vigil.setup.ground import Ground

GROUND = ground(Answers())


def refused(_: Ground) -> Look:
    error = {"Error": {"Code": "AccessDenied", "Message": "not you"}}
    raise ClientError(error, "GetBucketVersioning")


def surprised(_: Ground) -> Look:
    raise ZeroDivisionError("by nothing\n at all")


def explained(_: Ground) -> Look:
    raise DataError("The file is empty: fill it.")


def test_each_check_goes_on_when_another_breaks() -> None:
    checks = [
        Check("surprise", surprised),
        Check("behind it", lambda _: fine("never seen"), ("surprise",)),
        Check("refusal", refused),
        Check("explanation", explained),
        Check("last", lambda _: fine("is there")),
    ]
    findings = examine(checks, GROUND)
    assert findings == [
        Finding(
            "surprise", "fail", "ZeroDivisionError: by nothing at all", "mend what it names, and ask again"
        ),
        Finding("behind it", "skip", "waits for: surprise"),
        Finding(
            "refusal",
            "fail",
            "GetBucketVersioning is forbidden: An error occurred (AccessDenied) when calling the"
            " GetBucketVersioning operation: not you",
            "allow GetBucketVersioning to the role that Airflow runs as",
        ),
        Finding("explanation", "fail", "The file is empty", "fill it."),
        Finding("last", "ok", "is there"),
    ]
    assert summary(findings) == "1 ok, 3 to be mended, 1 that do not apply or wait"
    assert as_json(findings)[-1] == {"what": "last", "outcome": "ok", "seen": "is there", "fix": ""}


def test_no_password_is_shown_wherever_it_comes_from() -> None:
    def told(asked: Ground) -> Look:
        password = asked.connection("vigil_database").password
        return failing(f"cannot log in with {password}", f"try another than {password}")

    login = Database("127.0.0.1", 3306, "vigil", "hunter2", "vigil")
    (finding,) = examine([Check("login", told)], replace(GROUND, open_connection=lambda _, conn_id: login))
    assert str(finding) == "fail  login                     cannot log in with ***  -> try another than ***"
