"""The way to the database: TLS wherever others can listen, unless it is done without by name."""

from pathlib import Path
from typing import Any

import pytest

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data import database_tls
from wattkeeper.data.environment import database_from_url

HERE = Path(__file__)


def options(url: str) -> dict[str, Any]:
    """What of the driver's options concerns TLS."""
    found = database_from_url(url, HERE.parent).get("OPTIONS", {})
    return {name: value for name, value in found.items() if name.startswith("ssl")}


SCHEMES = ["postgresql", "mariadb", "mysql"]
LOCAL = ["127.0.0.1", "localhost:5433", "[::1]", "127.8.8.8", "%2Frun%2Fsockets"]
PLACES = [*((scheme, host) for scheme in SCHEMES for host in LOCAL), ("mariadb", ""), ("mysql", "")]


@pytest.mark.parametrize(("scheme", "host"), PLACES)
def test_this_machine_stays_plain(scheme: str, host: str) -> None:
    assert options(f"{scheme}://me@{host}/meters") == {}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("host", ["db.example", "10.0.0.5:5432"])
def test_plain_elsewhere_by_name(scheme: str, host: str) -> None:
    assert options(f"{scheme}://me@{host}/meters?insecure=true") == {}


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":5432",
        "db.example",
        "10.0.0.5",
        "0.0.0.0",
        "localhost,10.0.0.5",
        "%2Frun,10.0.0.5",
        "localhost.example",
    ],
)
def test_postgresql_elsewhere_is_encrypted(host: str) -> None:
    assert options(f"postgresql://me@{host}/meters") == {"sslmode": "require"}


@pytest.mark.parametrize("name", ["ca", "sslrootcert"])
@pytest.mark.parametrize("host", ["db.example", "127.0.0.1"])
def test_postgresql_that_somebody_vouches_for(host: str, name: str) -> None:
    found = options(f"postgresql://me@{host}/meters?{name}={HERE}&cert={HERE}&sslkey={HERE}")
    files = {"sslrootcert": str(HERE), "sslcert": str(HERE), "sslkey": str(HERE)}
    assert found == {"sslmode": "verify-full", **files}


def test_postgresql_with_modes_by_name() -> None:
    assert options("postgresql://db/m?ca=system") == {"sslmode": "verify-full", "sslrootcert": "system"}
    assert options(f"postgresql://db/m?sslmode=verify-ca&ca={HERE}")["sslmode"] == "verify-ca"
    assert options("postgresql://127.0.0.1/m?sslmode=require") == {"sslmode": "require"}
    assert options("postgresql://db/m?sslmode=disable&insecure=true") == {"sslmode": "disable"}


@pytest.mark.parametrize("scheme", ["mariadb", "mysql"])
def test_mariadb_elsewhere_is_vouched_for(scheme: str) -> None:
    own = options(f"{scheme}://me@db.example/meters")["ssl"]
    assert own["ca"] or own["capath"]  # without either the driver would check no name
    assert options(f"{scheme}://me@db.example/meters?ca={HERE}") == {"ssl": {"ca": str(HERE)}}
    assert options(f"{scheme}://me@127.0.0.1/meters?ca={HERE}") == {"ssl": {"ca": str(HERE)}}
    with_certificate = options(f"{scheme}://me@db.example/meters?cert={HERE}&key={HERE}")["ssl"]
    assert with_certificate == own | {"cert": str(HERE), "key": str(HERE)}


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgresql://db/m?sslmode=disable", "settings.database-insecure"),
        ("postgresql:///m?sslmode=disable", "settings.database-insecure"),
        ("postgresql://db/m?sslmode=prefer", "settings.database-insecure"),
        ("postgresql://db/m?sslmode=allow", "settings.database-insecure"),
        (f"postgresql://db/m?sslmode=prefer&ca={HERE}", "settings.database-insecure"),
        (f"postgresql://127.0.0.1/m?sslmode=disable&ca={HERE}", "settings.database-option"),
        ("postgresql://db/m?sslmode=strong", "settings.database-option"),
        ("postgresql://db/m?sslmod=require", "settings.database-option"),
        ("postgresql://db/m?insecure=yes", "settings.database-option"),
        ("postgresql://db/m?insecure", "settings.database-option"),
        ("postgresql://db/m?insecure=true&sslmode=require", "settings.database-option"),
        (f"postgresql://db/m?insecure=true&ca={HERE}", "settings.database-option"),
        (f"postgresql://db/m?ca={HERE}&sslrootcert={HERE}", "settings.database-option"),
        (f"postgresql://db/m?key={HERE}", "settings.database-option"),
        ("postgresql://db/m?ca=", "settings.database-option"),
        ("mariadb://db/m?sslmode=require", "settings.database-option"),
        (f"mariadb://db/m?sslrootcert={HERE}", "settings.database-option"),
        ("mariadb://db/m?charset=latin1", "settings.database-option"),
        ("mariadb://db/m?ca=system", "settings.database-file"),
        ("mariadb://db/m?ca=/nowhere", "settings.database-file"),
        ("postgresql://db/m?ca=/nowhere", "settings.database-file"),
    ],
)
def test_what_is_refused(url: str, code: str) -> None:
    with pytest.raises(WattkeeperError) as caught:
        database_from_url(url, HERE.parent)
    assert caught.value.code == code


def is_encrypted(scheme: str) -> bool:
    return bool(options(f"{scheme}://me@db.example/meters"))


@pytest.mark.parametrize("scheme", ["postgresql", "mariadb"])
def test_a_parser_that_takes_plain_anywhere_would_be_caught(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: every address is taken for this machine's."""
    assert is_encrypted(scheme)
    monkeypatch.setattr(database_tls, "is_loopback", lambda _host: True)
    assert not is_encrypted(scheme)
