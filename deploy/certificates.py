"""The authorities that a database's certificate is checked by."""

from __future__ import annotations

from pathlib import Path

import httpx

from deploy.code_bucket import INCLUDE
from deploy.environment import Environment
from deploy.errors import DeployError

# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.SSL.html
RDS_AUTHORITIES = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
KEY = f"{INCLUDE}certificates/rds-global-bundle.pem"
_TIMEOUT_S = 30
_BEGIN = b"-----BEGIN CERTIFICATE-----"


def certificates_of(environment: Environment) -> dict[str, bytes]:
    """Return the file of authorities by its key; nothing for a database that needs none of Amazon's.

    Raises:
        DeployError: the file cannot be had.
    """
    if environment.certificates:
        return {KEY: _checked(_read(environment.certificates), str(environment.certificates))}
    if "database" in environment.leave_out:
        return {}
    return {KEY: _checked(_fetched(), RDS_AUTHORITIES)}


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DeployError(
            f"The certificates {file} cannot be read ({error.strerror}): correct the path."
        ) from error


def _fetched() -> bytes:
    try:
        return httpx.get(RDS_AUTHORITIES, timeout=_TIMEOUT_S).raise_for_status().content
    except httpx.HTTPError as error:
        raise DeployError(
            f"{RDS_AUTHORITIES} cannot be fetched ({error}): fetch it elsewhere, and name the file as "
            "`certificates` in the environment's file."
        ) from error


def _checked(content: bytes, where: str) -> bytes:
    if _BEGIN not in content:
        raise DeployError(f"{where} holds no certificate in PEM format: name the right file.")
    return content
