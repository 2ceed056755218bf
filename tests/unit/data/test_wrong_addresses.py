"""A database or readings URL that is written wrongly is refused, and nothing secret in it quoted."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.environment import database_from_url
from wattkeeper.data.installation import check_installation, note_installation
from wattkeeper.store.transport import address_of_server

FORMS = [
    "{scheme}://me:geheim/Geheim@h/db",
    "{scheme}://me:geheim?Geheim@h/db",
    "{scheme}://me:geheim?ca=Geheim@h/db",
    "{scheme}://me:1?Geheim@h/db",
    "{scheme}://me:geheim#Geheim@h/db",
    "{scheme}://me:1#Geheim@h/db",
    "{scheme}://me:geheim@Geheim/x@h/db",
    "{scheme}://me:[geheim@h/db",
    "{scheme}://me:geheim]@h/db",
    "{scheme}://[geheim]:Geheim@h/db",
    "{scheme}://me:geheim@[Geheim]/db",
    "{scheme}://me:geheim\u2100@h/db",
    "{scheme}://me:geheim@h\u2100/db",
    "{scheme}://me@h:geheim/db",
    "{scheme}://me:geheim@h:99999/db",
    "{scheme}://me:geheim%0aGeheim@h/db",
    "{scheme}://me:geheim\nGeheim@h/db",
    "{scheme}:me:geheim@h/db",
    "{scheme}:/me:geheim@h/db",
    "{scheme}:///me:geheim@h/db",
    "{scheme}//me:geheim@h/db",
    "geheim:Geheim@h/db",
    "me:geheim@h/db",
    "geheim",
]
OTHERS = ["{scheme}x://me:geheim@h/db", "{scheme}://me:geheim@h/db?password=Geheim"]


def database(url: str) -> dict[str, Any]:
    return database_from_url(url, Path("/"))


@pytest.mark.parametrize("form", [*FORMS, *OTHERS])
@pytest.mark.parametrize(
    ("scheme", "read"),
    [("postgresql", database), ("mariadb", database), ("clickhouse", address_of_server)],
    ids=["postgresql", "mariadb", "clickhouse"],
)
def test_nothing_secret_is_quoted(form: str, scheme: str, read: Callable[[str], object]) -> None:
    with pytest.raises(WattkeeperError) as caught:
        read(form.format(scheme=scheme))
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.params)
    assert "geheim" not in told.lower()
    if form in FORMS:
        assert caught.value.code == (
            "settings.readings-url" if scheme == "clickhouse" else "settings.database-address"
        )


@pytest.mark.parametrize("form", [*FORMS, *OTHERS, "{scheme}://me:geheim@/db"])
@pytest.mark.parametrize("name", ["DATABASE", "READINGS"])
def test_nothing_secret_is_quoted_where_an_installation_is(
    form: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is compared with the settings before anybody else reads them."""
    note_installation(tmp_path)
    monkeypatch.setenv(f"WATTKEEPER_{name}", form.format(scheme="postgresql"))
    with pytest.raises(WattkeeperError) as caught:
        check_installation(tmp_path)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.params)
    assert "geheim" not in told.lower()
