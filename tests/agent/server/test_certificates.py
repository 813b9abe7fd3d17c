"""Certificates for https: ours is made once, kept privately and renewed in time; the user's are checked before use."""

import ipaddress
import os
import ssl
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.errors import InputError
from agent.server.guard import certificates
from agent.server.guard.certificates import CertificateFiles, certificate_files
from agent.server.guard.own_addresses import own_addresses, own_names
from agent.settings.load import load_settings
from agent.settings.serving import ServerSettings

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def ours(folder: Path, *, days: float = 0) -> CertificateFiles:
    return certificate_files(load_settings().server, folder, now=NOW + timedelta(days=days))


def names_in(path: Path) -> list[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in found]


def test_ours_names_this_machine_and_its_key_is_for_nobody_else(tmp_path: Path) -> None:
    files = ours(tmp_path / "https")
    assert files.own
    names = names_in(files.certificate)
    assert names == [*own_names(), "127.0.0.1", "::1", *(str(address) for address in own_addresses())]
    assert names[0] == "localhost"
    if sys.platform != "win32":
        assert stat.S_IMODE(files.private_key.stat().st_mode) == 0o600
        assert stat.S_IMODE(files.private_key.parent.stat().st_mode) == 0o700
    assert [path.name for path in files.certificate.parent.iterdir()] == ["https.pem"]
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.private_key)


def test_it_is_kept_until_a_month_before_it_expires(tmp_path: Path) -> None:
    first = ours(tmp_path)
    # 397 days, of which one lies in the past and the last thirty are too few.
    assert ours(tmp_path, days=365).fingerprint == first.fingerprint
    assert ours(tmp_path, days=367).fingerprint != first.fingerprint


def test_a_new_address_makes_a_new_one_that_has_the_old_names_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, office = ipaddress.IPv4Address("192.0.2.1"), ipaddress.IPv4Address("198.51.100.1")
    monkeypatch.setattr(certificates, "own_addresses", lambda: [home])
    first = ours(tmp_path)
    monkeypatch.setattr(certificates, "own_addresses", lambda: [office])
    second = ours(tmp_path)
    assert second.fingerprint != first.fingerprint
    assert names_in(second.certificate)[-4:] == ["127.0.0.1", "::1", str(office), str(home)]
    monkeypatch.setattr(certificates, "own_addresses", lambda: [home])
    assert ours(tmp_path).fingerprint == second.fingerprint


@pytest.mark.parametrize(
    "content", [b"", b"\0garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_broken_one_of_ours_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "https.pem").write_bytes(content)
    files = ours(tmp_path)
    assert names_in(files.certificate)[0] == "localhost"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"no certificate can be kept in .*file.https .*server\.certificate=FILE"):
        ours(tmp_path / "file" / "https")


def written(folder: Path, *, days: tuple[float, float] = (-1, 1), password: bytes | None = None) -> ServerSettings:
    """A certificate and key such as a user may have."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "house")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
        .sign(key, hashes.SHA256())
    )
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key.pem").write_bytes(key.private_bytes(*form))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return named(folder / "cert.pem", folder / "key.pem")


def named(certificate: Path, key: Path) -> ServerSettings:
    return load_settings({"server.certificate": str(certificate), "server.private_key": str(key)}).server


def test_the_users_own_are_used_as_they_are(tmp_path: Path) -> None:
    server = written(tmp_path)
    files = certificate_files(server, tmp_path / "unused", now=NOW)
    assert (files.certificate, files.private_key) == (tmp_path / "cert.pem", tmp_path / "key.pem")
    assert not files.own
    assert not (tmp_path / "unused").exists()


def test_what_is_wrong_with_the_users_own_is_said_in_one_line(tmp_path: Path) -> None:
    good = written(tmp_path / "good")
    assert good.certificate
    assert good.private_key
    other = written(tmp_path / "other")
    assert other.private_key
    broken = tmp_path / "broken.pem"
    broken.write_bytes(b"\xff not PEM")
    gone = tmp_path / "gone.pem"
    cases = [
        (named(gone, good.private_key), f"server.certificate = {gone} cannot be read (No such file or directory): "),
        (named(good.certificate, gone), f"server.private_key = {gone} cannot be read (No such file or directory): "),
        (named(good.certificate, tmp_path), f"server.private_key = {tmp_path} cannot be read (Is a directory): "),
        (named(broken, good.private_key), f"server.certificate = {broken} is no certificate (PEM): "),
        (named(good.certificate, broken), f"server.private_key = {broken} is no private key (PEM): "),
        (
            named(good.certificate, other.private_key),
            f"server.private_key = {other.private_key} is not the key of server.certificate = {good.certificate}: ",
        ),
        (written(tmp_path / "locked", password=b"x"), "locked/key.pem is locked with a password: "),
        (written(tmp_path / "old", days=(-9, -1)), "old/cert.pem expired on 2029-12-31: renew it"),
        (
            written(tmp_path / "early", days=(1, 9)),
            "early/cert.pem is not valid before 2030-01-02: look at this machine's clock",
        ),
    ]
    for server, message in cases:
        with pytest.raises(InputError) as caught:
            certificate_files(server, tmp_path, now=NOW)
        assert message in str(caught.value).replace(os.sep, "/")
        assert "\n" not in str(caught.value)
