"""TLS of the pages: given files, or a certificate of our own on any address but loopback.

Our own is self-signed: it keeps others from reading along, and its fingerprint is shown so that a person can
compare it once. It is renewed a month before it ends and whenever the addresses change.
"""

import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wattkeeper.core.kernel.addresses import is_loopback
from wattkeeper.core.kernel.errors import WattkeeperError

VALID_DAYS = 397
RENEWED_BEFORE_DAYS = 30
ANY_ADDRESS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared with, not bound to
OWN_NAMES = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate and key files; `is_own`: made here, nobody vouches for it."""

    certificate: Path
    key: Path
    is_own: bool

    @property
    def fingerprint(self) -> str:
        """The certificate's SHA-256, as browsers show it."""
        digest = _read(self.certificate).fingerprint(hashes.SHA256())
        return digest.hex(":").upper()

    def environment(self) -> dict[str, str]:
        """Return what tells the web process."""
        return {
            "WATTKEEPER_TLS_CERT": str(self.certificate),
            "WATTKEEPER_TLS_KEY": str(self.key),
            "WATTKEEPER_TLS_OWN": str(self.is_own).lower(),
        }


def own_address(host: str) -> str:
    """Return the address at which this machine itself reaches what listens on `host`."""
    return "127.0.0.1" if host in ANY_ADDRESS else host


def names_of(host: str) -> list[str]:
    """Return the names and addresses by which `host` is asked for."""
    names = [*OWN_NAMES, *([] if host in ANY_ADDRESS else [host])]
    if not is_loopback(host):
        names.append(socket.gethostname())
    if host in ANY_ADDRESS:
        names += _own_addresses()
    return list(dict.fromkeys(names))


def _own_addresses() -> list[str]:
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [str(address[4][0]) for address in found]


def given(certificate: Path, key: Path) -> Tls:
    """Return the files of the operator.

    :raises WattkeeperError: ``serve.tls-unusable`` if they do not make a pair
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise WattkeeperError("serve.tls-unusable", file=str(certificate), reason=str(error)) from error
    return Tls(certificate, key, is_own=False)


def own(folder: Path, host: str, *, now: datetime) -> Tls:
    """Return a certificate of our own for `host`, made where there is none that still serves."""
    tls = Tls(folder / "tls" / "certificate.pem", folder / "tls" / "key.pem", is_own=True)
    names = names_of(host)
    if not _serves(tls, names, now):
        _make(tls, names, now)
    return tls


def _serves(tls: Tls, names: list[str], now: datetime) -> bool:
    if not (tls.certificate.exists() and tls.key.exists()):
        return False
    certificate = _read(tls.certificate)
    named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    is_fresh = certificate.not_valid_after_utc - timedelta(days=RENEWED_BEFORE_DAYS) > now
    return is_fresh and list(named) == [_general_name(name) for name in names]


def _make(tls: Tls, names: list[str], now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Wattkeeper")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    tls.certificate.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(tls.key, encoded)
    _write(tls.certificate, certificate.public_bytes(serialization.Encoding.PEM))


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(path)


def _read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def choose(
    folder: Path, host: str, *, certificate: Path | None, key: Path | None, is_insecure: bool, now: datetime
) -> Tls | None:
    """Return the TLS to serve `host` with, None on loopback or where plain HTTP was asked for by name.

    :raises WattkeeperError: ``serve.tls-unusable``, ``serve.tls-half`` if only one file is given
    """
    if (certificate is None) != (key is None):
        raise WattkeeperError("serve.tls-half")
    if certificate is not None and key is not None:
        return given(certificate.resolve(), key.resolve())
    if is_insecure or is_loopback(host):
        return None
    return own(folder, host, now=now)
