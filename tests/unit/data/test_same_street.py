"""What many tests begin with: its rows written again are those that the actions made."""

import pytest
from django.db import connection, transaction

from console_street import make_home
from relational import (
    NOW,
    People,
    Street,
    give_ids_after,
    given_ids,
    make_people,
    make_street_of,
    same_again,
    same_street_of,
)
from unit.data.test_exact_bills import Town, build
from wattkeeper.actions.registry.add_site import add_site
from wattkeeper.actions.services import Services
from wattkeeper.data.audit.chain import find_break
from wattkeeper.data.collection.keys import open_keys

pytestmark = pytest.mark.skipif(connection.vendor == "mysql", reason="made by the actions there")


def rows() -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table; a key has its instant from the database."""
    with connection.cursor() as cursor:
        names = set(connection.introspection.table_names(cursor)) - {"sealing_tenantkey"}
        found = {}
        for name in names:
            cursor.execute(f'SELECT * FROM "{name}" ORDER BY 1')
            found[name] = cursor.fetchall()
        return found


def test_what_is_written_again_is_what_was_made(ours: People, services: Services) -> None:
    found = []
    for make in (make_street_of, same_street_of, same_street_of):
        before, ids = transaction.savepoint(), given_ids()
        street = make(ours, services)
        found.append((street, rows()))
        assert find_break(ours.tenant.id) is None
        assert open_keys(services.data_folder, [street.meter_id]) == {
            street.meter_id: {"password": b"\x00\x11\x22\x33"}
        }
        transaction.savepoint_rollback(before)
        give_ids_after(ids)
    made, first, again = found
    assert again == first
    assert made[0] == first[0]
    assert {name: len(kept) for name, kept in made[1].items()} == {
        name: len(kept) for name, kept in first[1].items()
    }


def test_another_beginning_is_another_street(ours: People, services: Services) -> None:
    first = same_street_of(make_people("others"), services)
    site = {"kind": "RESIDENTIAL", "time_zone": "Asia/Shanghai"}
    add_site(actor=ours.operator, now=NOW, code="S0", name="Yard", **site)
    own = same_street_of(ours, services)
    assert own.site_id == first.site_id + 2
    assert find_break(ours.tenant.id) is None


@pytest.mark.parametrize("what", ["home", "town"])
def test_what_was_put_into_the_store_is_put_there_again(
    ours: People, services: Services, street: Street, what: str
) -> None:
    found = []
    for is_same in (False, True, True):
        before, ids = transaction.savepoint(), given_ids()
        town = Town(ours, services, street)
        make, given = (make_home, street) if what == "home" else (build, town)
        if is_same:
            same_again(make, ours, given, services=town.services)
        else:
            make(ours, given, services=town.services)
        found.append((vars(town.store), rows()))
        assert find_break(ours.tenant.id) is None
        transaction.savepoint_rollback(before)
        give_ids_after(ids)
    made, first, again = found
    assert again == first
    assert made[0]["_measured"] == first[0]["_measured"]
    assert made[0]["_measured"]
    assert {name: len(kept) for name, kept in made[1].items()} == {
        name: len(kept) for name, kept in first[1].items()
    }
