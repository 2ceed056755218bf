"""Whether this installation works, for machines that watch it: /healthz and /metrics."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.collection.models import Link, MeterStatus
from wattkeeper.data.collection.queries import count_dirty_windows
from wattkeeper.data.registry.models import Meter
from wattkeeper.interfaces.web.admission import SHED
from wattkeeper.interfaces.web.services import find_store

_NOBODY = 0


@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """Say whether database and readings store answer: 200, or 503 with what does not."""
    parts = {"database": is_database_up(), "store": is_store_up()}
    return JsonResponse(
        {name: "up" if is_up else "down" for name, is_up in parts.items()},
        status=200 if all(parts.values()) else 503,
    )


@require_safe
def metrics(_request: HttpRequest) -> HttpResponse:
    """Say in Prometheus' text format how the installation does; counts only, nothing of any tenant."""
    registry = CollectorRegistry()
    for name, text, value in (
        ("database_up", "Whether the database answers", float(is_database_up())),
        ("store_up", "Whether the readings store answers", float(is_store_up())),
        *(_counts() if is_database_up() else ()),
    ):
        Gauge(f"wattkeeper_{name}", text, registry=registry).set(value)
    registry.register(SHED)
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def is_database_up() -> bool:
    """Whether the database answers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def is_store_up() -> bool:
    """Whether the readings store answers."""
    store = find_store()
    if store is None:
        return False
    try:
        store.counts(_NOBODY)
    except (WattkeeperError, OSError):
        return False
    return True


def _counts() -> tuple[tuple[str, str, float], ...]:
    installed = Meter.objects.filter(state=Meter.State.INSTALLED)
    answering = MeterStatus.objects.filter(is_answering=True, meter__state=Meter.State.INSTALLED)
    findings = Finding.objects.filter(state=Finding.State.OPEN)
    return (
        ("meters_installed", "Meters installed", installed.count()),
        ("meters_answering", "Installed meters that answered last", answering.count()),
        ("links_up", "Links that are up", Link.objects.filter(is_up=True).count()),
        ("links_down", "Links that are down", Link.objects.filter(is_up=False).count()),
        ("findings_open", "Findings nobody has closed", findings.count()),
        ("dirty_windows", "Spans waiting to be derived", count_dirty_windows()),
    )
