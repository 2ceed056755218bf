"""Fixtures for tests that need the relational side: two tenants, an actor of each role, services."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from django.conf import settings as settings_of_django
from django.db import connection

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.registry.add_link import add_link
from wattkeeper.actions.registry.add_meter import add_meter
from wattkeeper.actions.registry.add_site import add_site
from wattkeeper.actions.registry.add_usage_point import add_usage_point
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.services import Services
from wattkeeper.data.accounts.models import Role, User
from wattkeeper.data.audit.chain import newest_hash
from wattkeeper.data.registry.models import Tenant
from wattkeeper.store.memory import MemoryReadingStore

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=62)
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def fast_passwords(settings: pytest.FixtureRequest) -> None:
    """Hash passwords quickly: what is tested is not the hash."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # type: ignore[attr-defined]


@dataclass(frozen=True)
class People:
    """One tenant's people."""

    tenant: Tenant
    administrator: Actor
    operator: Actor
    viewer: Actor


def make_people(name: str) -> People:
    """Make a tenant with one person a role."""
    tenant = Tenant.objects.create(name=name, created_at=LONG_AGO)
    actors = {}
    for role in Role:
        user = User(tenant=tenant, username=f"{name}-{role.value.lower()}", role=role)
        user.set_password(PASSWORD)
        user.save()
        actors[role] = Actor.of_user(user, origin="web")
    return People(tenant, actors[Role.ADMINISTRATOR], actors[Role.OPERATOR], actors[Role.VIEWER])


_first_ids: list[tuple[str, int]] = []


def given_ids() -> list[tuple[str, int]]:
    """Return the last id that each table gave, by name, 0 for none; empty where the engine does not tell."""
    asked = {
        "sqlite": "SELECT name, seq FROM sqlite_sequence ORDER BY name",
        "postgresql": "SELECT sequencename, coalesce(last_value, 0) FROM pg_sequences"
        " WHERE schemaname = current_schema() ORDER BY 1",
    }
    if connection.vendor not in asked:
        return []
    with connection.cursor() as cursor:
        cursor.execute(asked[connection.vendor])
        return [(str(name), int(last)) for name, last in cursor.fetchall()]


def give_ids_after(ids: list[tuple[str, int]]) -> None:
    """Let tables go on giving ids after these; SQLite does by itself when a test is rolled back."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for name, last in set(ids) - set(given_ids()):
                cursor.execute("SELECT setval(%s, %s, %s)", (name, max(last, 1), last > 0))


def begin_ids() -> None:
    """Let ids be those that an earlier test had, where nobody has any yet."""
    if connection.vendor == "postgresql" and not _first_ids:
        _first_ids.extend(given_ids())
    elif connection.vendor == "postgresql" and not Tenant.objects.exists():
        give_ids_after(_first_ids)


@pytest.fixture
def ours(db: None) -> People:
    """The tenant that tests act in."""
    begin_ids()
    return make_people("ours")


@pytest.fixture
def theirs(db: None) -> People:
    """Another tenant, whose things must stay unseen."""
    begin_ids()
    return make_people("theirs")


@pytest.fixture
def store() -> MemoryReadingStore:
    """An empty readings store."""
    return MemoryReadingStore()


@pytest.fixture
def services(store: MemoryReadingStore, tmp_path: Path) -> Services:
    """Services at a fixed instant."""
    return Services(now=lambda: NOW, data_folder=tmp_path, store=store)


@dataclass(frozen=True)
class Street:
    """A site with a link, two usage points and two meters in stock."""

    site_id: int
    link_id: int
    point_id: int
    other_point_id: int
    meter_id: int
    other_meter_id: int


def make_street_of(people: People, services: Services) -> Street:
    """Make a street for a tenant."""
    actor = people.operator
    site_id = add_site(
        actor=actor, now=NOW, code="S1", name="Court", kind="RESIDENTIAL", time_zone="Asia/Shanghai"
    )
    link_id = add_link(
        actor=actor, now=NOW, site_id=site_id, name="line", transport="TCP", endpoint="127.0.0.1:9"
    )
    points = [
        add_usage_point(actor=actor, now=NOW, site_id=site_id, code=code, name=f"Flat {code}")
        for code in ("U1", "U2")
    ]
    meters = [
        add_meter(
            actor=actor,
            now=NOW,
            services=services,
            site_id=site_id,
            serial_number=serial,
            family="dlt645_2007",
            link_id=link_id,
            address=serial,
            keys={"password": b"\x00\x11\x22\x33"},
        )
        for serial in ("260100000001", "260100000002")
    ]
    return Street(site_id, link_id, points[0], points[1], meters[0], meters[1])


_Made = TypeVar("_Made")
_made: dict[tuple[Any, ...], tuple[Any, list[tuple[Any, ...]], bytes]] = {}


def same_again(make: Callable[..., _Made], people: People, *more: Any, services: Services) -> _Made:
    """Make something; where registry and store are as they were once, write its rows again: much faster.

    MariaDB gives no id twice, whatever was rolled back: there all is made by the actions.
    """
    store, ids = services.store, given_ids()
    if not ids or not isinstance(store, MemoryReadingStore):
        return make(people, *more, services=services)
    master = Path(settings_of_django.MASTER_KEY_FILE)
    with connection.cursor() as cursor:
        registry = (*people.__dict__.values(), *ids, newest_hash(people.tenant.id), services.now())
        sealed_by = master, master.exists() and master.read_bytes()
        state = (make, *registry, *sealed_by, type(store), pickle.dumps(vars(store)))
        if state in _made:
            made, written, stored = _made[state]
            for sql, parameters in written:
                cursor.execute(sql, parameters)
            vars(store).update(pickle.loads(stored))
            return made
        written = []

        def note(execute: Callable[..., Any], sql: str, parameters: Any, *more: Any) -> Any:
            if sql.startswith(("INSERT", "UPDATE", "DELETE")):
                written.append((sql, parameters))
            return execute(sql, parameters, *more)

        with connection.execute_wrapper(note):
            made = make(people, *more, services=services)
        _made[state] = made, written, pickle.dumps(vars(store))
    return made


def same_street_of(people: People, services: Services) -> Street:
    """Make a street, or write its rows again."""
    return same_again(make_street_of, people, services=services)


def install_first(people: People, street: Street, services: Services, *, at: datetime = LONG_AGO) -> None:
    """Install the first meter of a street at its first usage point."""
    install_meter(
        actor=people.operator,
        now=NOW,
        services=services,
        meter_id=street.meter_id,
        usage_point_id=street.point_id,
        at=at,
    )


@pytest.fixture
def make_street(services: Services) -> Callable[[People], Street]:
    """Make a street for a tenant."""
    return lambda people: make_street_of(people, services)


@pytest.fixture
def street(ours: People, services: Services) -> Street:
    """Our street."""
    return same_street_of(ours, services)
