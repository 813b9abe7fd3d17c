"""Certificates for https: one that sotto makes, keeps and renews, or the user's own files, checked before use.

In:  settings; a folder.   Out: paths of a certificate and its private key (PEM) that fit together.
Ours lie in one file, which is replaced as a whole: another process never meets a certificate without its key.
Source: RFC 5280; lifetime as browsers accept it (825 days at most for certificates of one's own, on Apple's systems).
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.errors import InputError
from agent.server.guard.own_addresses import LOOPBACK, own_addresses, own_names
from agent.settings.serving import ServerSettings

FILE_NAME = "https.pem"
LIFETIME = timedelta(days=397)
RENEWED_BEFORE = timedelta(days=30)
# A laptop that changes between networks keeps its certificate, which people have agreed to.
MAX_NAMES = 40
# Clocks of other devices may be behind ours.
BACKDATED = timedelta(days=1)
BOTH_FILES = "--set server.certificate=FILE --set server.private_key=FILE, or neither for a certificate of sotto's own"


@dataclass(frozen=True)
class CertificateFiles:
    """A certificate and its key, both PEM, perhaps in one file.

    Attributes:
        fingerprint: SHA-256 of the certificate, as browsers show it.
        own: Whether sotto made it, so that browsers ask before they trust it.
    """

    certificate: Path
    private_key: Path
    fingerprint: str
    own: bool


def certificate_files(server: ServerSettings, folder: Path, *, now: datetime | None = None) -> CertificateFiles:
    """The certificate to serve with: the user's, or one of ours, made where there is none that will do.

    Args:
        server: May name files.
        folder: Where ours is kept.
        now: Default: the time of day.

    Raises:
        InputError: The user's files cannot be used, or the folder cannot be written; the message says why.
    """
    now = now or datetime.now(UTC)
    if server.certificate and server.private_key:
        certificate = _checked(server.certificate, server.private_key, now)
        return CertificateFiles(server.certificate, server.private_key, fingerprint_of(certificate), own=False)
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        certificate = _kept_or_made(path, now)
    except OSError as error:
        raise InputError(f"no certificate can be kept in {folder} ({error.strerror}): {BOTH_FILES}") from error
    return CertificateFiles(path, path, fingerprint_of(certificate), own=True)


def fingerprint_of(certificate: x509.Certificate) -> str:
    """SHA-256 in hexadecimal, with colons."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _checked(certificate_path: Path, key_path: Path, now: datetime) -> x509.Certificate:
    certificate = _certificate_of("server.certificate", certificate_path)
    key_text = _read("server.private_key", key_path)
    try:
        key = serialization.load_pem_private_key(key_text, password=None)
    except TypeError:
        raise InputError(f"server.private_key = {key_path} is locked with a password: {BOTH_FILES}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise InputError(f"server.private_key = {key_path} is no private key (PEM): {BOTH_FILES}") from None
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise InputError(
            f"server.private_key = {key_path} is not the key of server.certificate = {certificate_path}: {BOTH_FILES}"
        )
    if now >= certificate.not_valid_after_utc:
        raise InputError(
            f"server.certificate = {certificate_path} expired on {certificate.not_valid_after_utc:%Y-%m-%d}: renew it"
        )
    if now < certificate.not_valid_before_utc:
        raise InputError(
            f"server.certificate = {certificate_path} is not valid before "
            f"{certificate.not_valid_before_utc:%Y-%m-%d}: look at this machine's clock"
        )
    return certificate


def _certificate_of(key: str, path: Path) -> x509.Certificate:
    text = _read(key, path)
    try:
        return x509.load_pem_x509_certificate(text)
    except ValueError:
        raise InputError(f"{key} = {path} is no certificate (PEM): {BOTH_FILES}") from None


def _read(key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{key} = {path} cannot be read ({error.strerror}): {BOTH_FILES}") from error


def _kept_or_made(path: Path, now: datetime) -> x509.Certificate:
    """Ours of an earlier start, if it is whole, will last and names all that this machine is now; else a new one."""
    names, old_names = _own_names(), []
    with contextlib.suppress(InputError, x509.ExtensionNotFound):
        certificate = _checked(path, path, now)
        old_names = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        if certificate.not_valid_after_utc - now >= RENEWED_BEFORE and set(names) <= set(old_names):
            # It may have been copied by a program that gives everyone leave to read it.
            path.chmod(0o600)
            return certificate
    return _make(path, list(dict.fromkeys([*names, *old_names]))[:MAX_NAMES], now)


def _own_names() -> list[x509.GeneralName]:
    names = [x509.DNSName(name) for name in own_names()]
    return [*names, *(x509.IPAddress(address) for address in (*LOOPBACK, *own_addresses()))]


def _make(path: Path, names: Sequence[x509.GeneralName], now: datetime) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sotto on this machine")])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME - BACKDATED)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    _write(path, certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*form))
    return certificate


def _write(path: Path, content: bytes) -> None:
    """Replace a file as a whole; nobody else may read it at any moment."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)
