"""TLS on any address but loopback: made, shown, renewed; plain HTTP only when asked for by name."""

import os
import shutil
import signal
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from ports import free_port
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.workers import tls

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BIN = Path(sys.executable).parent / "wattkeeper"


def choose(folder: Path, host: str, *, is_insecure: bool = False) -> tls.Tls | None:
    return tls.choose(folder, host, certificate=None, key=None, is_insecure=is_insecure, now=NOW)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_loopback_needs_none(tmp_path: Path, host: str) -> None:
    assert choose(tmp_path, host) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "meters.example"])
def test_any_other_address_has_it(tmp_path: Path, host: str) -> None:
    made = choose(tmp_path, host)
    assert made is not None
    assert made.is_own
    assert made.fingerprint.count(":") == 31
    assert made.key.stat().st_mode & 0o777 == 0o600
    assert choose(tmp_path, host, is_insecure=True) is None


def test_it_is_kept_until_a_month_before_its_end_or_another_name(tmp_path: Path) -> None:
    first = tls.own(tmp_path, "192.0.2.7", now=NOW).fingerprint
    assert tls.own(tmp_path, "192.0.2.7", now=NOW + timedelta(days=300)).fingerprint == first
    renewed = tls.own(tmp_path, "192.0.2.7", now=NOW + timedelta(days=tls.VALID_DAYS - 29)).fingerprint
    assert renewed != first
    assert tls.own(tmp_path, "192.0.2.8", now=NOW + timedelta(days=380)).fingerprint != renewed


def test_given_files_must_make_a_pair(tmp_path: Path) -> None:
    one = tls.own(tmp_path / "one", "192.0.2.7", now=NOW)
    other = tls.own(tmp_path / "other", "192.0.2.7", now=NOW)
    assert tls.given(one.certificate, one.key).is_own is False
    with pytest.raises(WattkeeperError, match=r"serve\.tls-unusable"):
        tls.given(one.certificate, other.key)
    with pytest.raises(WattkeeperError, match=r"serve\.tls-half"):
        tls.choose(tmp_path, "0.0.0.0", certificate=one.certificate, key=None, is_insecure=False, now=NOW)


@pytest.mark.slow
def test_served_to_others_it_is_https(tmp_path: Path) -> None:
    port, environment = free_port(), {**os.environ, "WATTKEEPER_DATA": str(tmp_path / "data")}
    environment.pop("WATTKEEPER_DATABASE", None)
    process = subprocess.Popen(
        [BIN, "serve", "--host", "0.0.0.0", "--port", str(port)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = [process.stderr.readline() for _ in range(7)]  # key file, address, fingerprint
        assert any(f"https://0.0.0.0:{port}" in line for line in said)
        certificate = tmp_path / "data" / "tls" / "certificate.pem"
        trusted = ssl.create_default_context(cafile=certificate)
        with urlopen(f"https://127.0.0.1:{port}/login/", timeout=60, context=trusted) as answer:
            cookies = answer.headers.get_all("Set-Cookie")
            assert answer.headers.get("Strict-Transport-Security") is None  # nobody vouches for it
        assert cookies
        assert all("Secure" in cookie for cookie in cookies)
        with pytest.raises((URLError, ConnectionError)):
            urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60)
        with pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urlopen(f"https://127.0.0.1:{port}/healthz", timeout=60)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
