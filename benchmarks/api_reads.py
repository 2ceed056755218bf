"""What a program waits for over the API: the newest reads of a meter, and the values of a series' month.

    python benchmarks/api_reads.py [--queries 300] [--folder DIR]

The web process of an installation with one meter, asked over one kept connection with a program's key, as a
client would; with `--folder` of `store_billion.py` its readings store holds all of that as well. Answers are
compared with what was stored.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from mdm_rig import finish, parser_of, with_goals
from store_rig import DAY_S, INTERVAL_S, INTERVALS_COUNT, JUNE_S, calib, month_values, own_store

from wattkeeper.interfaces.cli.demo.street import free_port
from wattkeeper.store.api import Measurements, RawBatch
from wattkeeper.store.keeping import KeepingReadingStore

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MONTH_DAYS = 30
COUNT_WARM = 10
GOALS = {"latest_p99_ms": 2.0, "series_month_p99_ms": 4.0}  # goal 6 of performance.md, through the API


@dataclass(frozen=True, slots=True)
class Home:
    """One meter, and a key to ask for it."""

    token: str
    tenant_id: int
    meter_id: int
    series_id: int
    channel_id: int


def main() -> None:
    """Run, check, print."""
    parser = parser_of(__doc__)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="api-reads-"))
    try:
        result = run(folder, options.queries)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)
    finish(result, is_strict=options.strict)


def run(folder: Path, queries_count: int) -> dict[str, Any]:
    """Return the figures; `is_right` tells whether every answer was what is stored."""
    before_s = calib()
    home = make_home(folder)
    with own_store(folder) as store:
        values, newest = fill(
            KeepingReadingStore.keeping(store.client, folder / "run" / "latest.table"), home
        )
        (held,) = store.ask("SELECT count() FROM measurement")
        with served(folder) as ask:
            latest_ms, is_latest = timed(lambda: is_newest(ask, home, newest), queries_count)
            month_ms, is_month = timed(lambda: is_month_of(ask, home, values), queries_count)
    result = {
        "benchmark": "api_reads",
        "latest_p50_ms": percentile(latest_ms, 50),
        "latest_p99_ms": percentile(latest_ms, 99),
        "series_month_p50_ms": percentile(month_ms, 50),
        "series_month_p99_ms": percentile(month_ms, 99),
        "n_queries": queries_count,
        "n_values_in_store": int(held[0]),
        "is_right": is_latest and is_month,
        "calib_s": [before_s, calib()],
    }
    return with_goals(result, most=GOALS)


def make_home(folder: Path) -> Home:
    """Make an installation with one meter at one usage point."""
    from wattkeeper.bootstrap.prepare import prepare

    prepare(folder, now=LONG_AGO)
    from wattkeeper.actions.accounts.create_api_key import create_api_key
    from wattkeeper.actions.actor import Actor
    from wattkeeper.actions.registry.add_meter import add_meter
    from wattkeeper.actions.registry.add_site import add_site
    from wattkeeper.actions.registry.add_usage_point import add_usage_point
    from wattkeeper.actions.registry.install_meter import install_meter
    from wattkeeper.actions.services import Services
    from wattkeeper.data.accounts.models import User
    from wattkeeper.data.registry.models import Channel, Series

    services = Services(now=lambda: LONG_AGO, data_folder=folder, store=None)
    user = User.objects.get()
    own: dict[str, Any] = {"actor": Actor.of_user(user, origin="cli"), "now": LONG_AGO}
    code = f"B{int(time.time())}"
    site_id = add_site(**own, code=code, name="Court", kind="RESIDENTIAL", time_zone="UTC")
    point_id = add_usage_point(**own, site_id=site_id, code=code, name="Flat")
    meter_id = add_meter(**own, services=services, site_id=site_id, serial_number=code, family="dlt645_2007")
    install_meter(**own, services=services, meter_id=meter_id, usage_point_id=point_id, at=LONG_AGO)
    series = Series.objects.filter(usage_point_id=point_id).earliest("id")
    channel = Channel.objects.filter(meter_id=meter_id).earliest("id")
    token = create_api_key(**own, user_id=user.id, name="benchmark")
    return Home(token, user.tenant_id, meter_id, series.id, channel.id)


def fill(store: KeepingReadingStore, home: Home) -> tuple[Measurements, int]:
    """Store a month of the series and a day of its register; return the values and the newest read."""
    store.rebuild()
    rng = np.random.default_rng(int(time.time()))
    values = month_values(rng, home.series_id, 1, JUNE_S, MONTH_DAYS)
    values.run_id[:] = int(time.time())
    store.insert_measurements(home.tenant_id, values)
    ones = np.ones(INTERVALS_COUNT, np.int64)
    at_s = int(time.time()) // DAY_S * DAY_S + INTERVAL_S * np.arange(INTERVALS_COUNT)
    reads = np.cumsum(rng.integers(1, 1000, INTERVALS_COUNT))
    batch = RawBatch(
        home.tenant_id,
        int(time.time_ns()) >> 10,
        int(at_s[-1]),
        channel_id=ones * home.channel_id,
        measured_at_s=at_s,
        value=reads,
        flags=ones * 0,
        source=ones,
        frame_index=-ones,
    )
    store.insert_raw([batch])
    return values, int(at_s[-1])


@contextmanager
def served(folder: Path) -> Iterator[Callable[[str, str], Any]]:
    """Start the web process; yield a question to it over one kept connection."""
    port = free_port()
    environment = {**os.environ, "WATTKEEPER_DATA": str(folder), "WATTKEEPER_BIND": f"127.0.0.1:{port}"}
    command = [sys.executable, "-m", "wattkeeper.interfaces.workers", "web", str(os.getpid())]
    process = subprocess.Popen(command, env=environment)
    try:
        connection = connected(process, port)

        def ask(path: str, token: str) -> Any:
            connection.request("GET", f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status} {content[:300]!r}")
            return json.loads(content)

        yield ask
    finally:
        process.terminate()
        process.wait(30)


def connected(process: "subprocess.Popen[bytes]", port: int) -> http.client.HTTPConnection:
    """Return a connection once the process listens."""
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the web process did not start")


def is_newest(ask: Callable[[str, str], Any], home: Home, newest_s: int) -> bool:
    """Whether the meter's newest reads hold the one that was stored last."""
    found = ask(f"/meters/{home.meter_id}/latest", home.token)
    (own,) = [read for read in found if read["channel_id"] == home.channel_id]
    return int(datetime.fromisoformat(own["measured_at"]).timestamp()) == newest_s


def is_month_of(ask: Callable[[str, str], Any], home: Home, values: Measurements) -> bool:
    """Whether the answer holds exactly the values of the month."""
    span = "starts_at=2026-06-01T00:00:00Z&ends_at=2026-07-01T00:00:00Z"
    found = ask(f"/series/{home.series_id}/measurements?{span}", home.token)
    told = [value["value_milliwh"] for value in found["values"]]
    return bool(told == values.value_milliwh.tolist())


def timed(work: Callable[[], bool], count: int) -> tuple[list[float], bool]:
    """Milliseconds of each call after the first few, and whether all were right."""
    spent_ms, is_right = [], True
    for _ in range(COUNT_WARM + count):
        before_s = time.perf_counter()
        is_right &= work()
        spent_ms.append(1000 * (time.perf_counter() - before_s))
    return spent_ms[COUNT_WARM:], is_right


def percentile(spent_ms: list[float], percent: int) -> float:
    """A percentile, in milliseconds."""
    return round(float(np.percentile(spent_ms, percent)), 2)


if __name__ == "__main__":
    main()
