"""Certificates that a test makes for itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class ServerCertificate:
    """Files of a server that calls itself localhost, and no other name.

    Attributes:
        authority: that vouches for it.
        certificate: of the server.
        key: of the server.
    """

    authority: Path
    certificate: Path
    key: Path


def make_certificate(folder: Path) -> ServerCertificate:
    """Write a fresh authority, and the certificate of a server that it vouches for."""
    made = ServerCertificate(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    authority_key, key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    authority = _name("tests")
    made.authority.write_bytes(
        _signed(authority, authority, authority_key, authority_key, x509.BasicConstraints(True, None))
    )
    name = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    made.certificate.write_bytes(_signed(_name("localhost"), authority, key, authority_key, name))
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return made


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: EllipticCurvePrivateKey,
    issuer_key: EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> bytes:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(hours=1),
        not_valid_after=now + timedelta(days=1),
    ).add_extension(extension, critical=True)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
