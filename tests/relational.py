"""Fixtures for tests that need the relational side: two tenants, an actor of each role, services."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.registry.add_link import add_link
from wattkeeper.actions.registry.add_meter import add_meter
from wattkeeper.actions.registry.add_site import add_site
from wattkeeper.actions.registry.add_usage_point import add_usage_point
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.services import Services
from wattkeeper.data.accounts.models import Role, User
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


@pytest.fixture
def ours(db: None) -> People:
    """The tenant that tests act in."""
    return make_people("ours")


@pytest.fixture
def theirs(db: None) -> People:
    """Another tenant, whose things must stay unseen."""
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
def street(ours: People, make_street: Callable[[People], Street]) -> Street:
    """Our street."""
    return make_street(ours)
