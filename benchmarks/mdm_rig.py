"""A whole Wattkeeper in a throw-away folder for benchmarks: registry, spool, store process, pipeline."""

import argparse
import asyncio
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

TICKS = os.sysconf("SC_CLK_TCK")
STORE_CODE = "import sys; from pathlib import Path; from wattkeeper.store.process import run_store;"
STORE_CODE += "run_store(Path(sys.argv[1]), Path(sys.argv[2]))"


def calib() -> float:
    """Return CPU seconds of a fixed piece of numpy and Python work: how fast this machine is just now."""
    before = time.process_time()
    numbers = np.arange(2_000_000, dtype=np.int64)
    for _ in range(10):
        numbers = numbers * 3 % 1_000_003
    sum(i * i for i in range(1_000_000))
    return round(time.process_time() - before, 3)


def peak_mb(pid: int) -> int:
    """Return the largest resident size of a process so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024


def cpu_s(pid: int) -> float:
    """Return user and system CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _keep_memory() -> dict[str, str]:
    """Let the C library keep memory here as in the product's processes; return how a child is told."""
    from wattkeeper.interfaces.workers.supervisor import MEMORY

    numbers = {"MALLOC_TRIM_THRESHOLD_": -1, "MALLOC_MMAP_THRESHOLD_": -3, "MALLOC_ARENA_MAX": -8}  # malloc.h
    for name, value in MEMORY.items():
        if not ctypes.CDLL(None).mallopt(numbers[name], int(value)):
            raise OSError(name)
    return MEMORY


class _Timed:
    """A port whose calls are timed by their names."""

    def __init__(self, port: Any, stages: dict[str, float]) -> None:
        self._port = port
        self._stages = stages

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found
        stage = f"{type(self._port).__name__}.{name}"

        def timed(*given: Any, **named: Any) -> Any:
            before = time.process_time()
            try:
                return found(*given, **named)
            finally:
                self._stages[stage] += time.process_time() - before

        return timed


class Rig:
    """The installation. `phases`: CPU seconds of this process by phase; the store's are read from outside.

    `stages`: what of it was spent in which question of the pipeline.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.phases: dict[str, float] = defaultdict(float)
        self.stages: dict[str, float] = defaultdict(float)
        os.environ["WATTKEEPER_DATA"] = str(folder)
        from wattkeeper.bootstrap.engines import setup_django
        from wattkeeper.bootstrap.logs import set_up_logs

        set_up_logs("benchmark")
        setup_django()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        address = folder / "run" / "store.json"
        command = [sys.executable, "-c", STORE_CODE, str(folder / "readings"), str(address)]
        self._process = subprocess.Popen(command, env={**_keep_memory(), **os.environ})
        self.store = self._open(address)
        from wattkeeper.bootstrap.headend_ports import StoreSink
        from wattkeeper.bootstrap.ready import keep_what_is_loaded
        from wattkeeper.headend.metrics import HeadendMetrics

        self._sink = StoreSink(self.store, lambda: datetime.now(UTC))
        self._metrics = HeadendMetrics()
        self._loop = (
            asyncio.Runner()
        )  # one for all drains, as in a head-end: each has threads and connections
        keep_what_is_loaded()

    def _open(self, address: Path) -> Any:
        from wattkeeper.store.client import HttpReadingStore

        for _ in range(600):
            if address.exists():
                return HttpReadingStore.of_file(address)
            time.sleep(0.05)
        raise TimeoutError("the store did not start")

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Charge the CPU time of the block to a phase."""
        before = time.process_time()
        yield
        self.phases[name] += time.process_time() - before

    def timed(self, ports: Any) -> Any:
        """Return the pipeline's ports with the CPU time spent in each question charged to `stages`."""
        return replace(
            ports,
            **{
                field.name: _Timed(getattr(ports, field.name), self.stages)
                for field in fields(ports)
                if getattr(ports, field.name) is not None
            },
        )

    def store_cpu_s(self) -> float:
        """Return what the store's process has used so far."""
        return cpu_s(self._process.pid)

    def wait_idle(self) -> None:
        """Wait until the store has merged what it wants to merge now."""
        still = 0
        while still < 4:
            before = self.store_cpu_s()
            time.sleep(0.25)
            still = still + 1 if self.store_cpu_s() - before <= 0.02 else 0

    def merges_of_a_row(self) -> float:
        """How often merges wrote a stored row anew, on average."""
        merged, inserted = (
            int(
                self.store._transport.ask(
                    f"SELECT sum(value) FROM system.events WHERE event = '{event}'".encode(), "/"
                )
            )
            for event in ("MergedRows", "InsertedRows")
        )
        return round(merged / inserted, 2)

    def peaks_mb(self) -> dict[str, int]:
        """Return the largest resident sizes."""
        return {"pipeline": peak_mb(os.getpid()), "store": peak_mb(self._process.pid)}

    def drain(self, spool: Any) -> None:
        """Hand over all that waits in the spool, as the head-end does."""
        from wattkeeper.bootstrap.engines import SystemClock
        from wattkeeper.headend.drain import Drain

        drain = Drain(spool, self._sink, SystemClock(), None, self._metrics)  # type: ignore[arg-type]
        if not self._loop.run(drain.drain()):
            raise RuntimeError("the spool was not drained")

    def close(self) -> None:
        """Stop the store."""
        self._loop.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)


RATES = [["00:00", "valley"], ["07:00", "flat"], ["10:00", "peak"], ["15:00", "flat"], ["22:00", "valley"]]
TARIFF = {
    "format": 1,
    "code": "homes",
    "version": 1,
    "currency": "CNY",
    "zone": "Asia/Shanghai",
    "valid_from": "2000-01-01",
    "components": [
        {
            "id": "energy",
            "kind": "energy",
            "rates": [
                {"code": "peak", "price_per_kwh": "0.8123"},
                {"code": "flat", "price_per_kwh": "0.5283"},
                {"code": "valley", "price_per_kwh": "0.3083"},
            ],
            "calendar": {"seasons": [{"from": "01-01", "to": "12-31", "days": {"weekday": RATES}}]},
        }
    ],
}


@cache
def _tariff_id(tenant_id: int) -> int:
    from wattkeeper.data.billing.models import Tariff, TariffVersion

    tariff = Tariff.objects.create(tenant_id=tenant_id, code="homes", name="Homes")
    TariffVersion.objects.create(tariff=tariff, valid_from_date=date(2000, 1, 1), document=TARIFF)
    return int(tariff.id)


def add_street(tenant_id: int, first_meter: int, meters_count: int, since: datetime) -> None:
    """Register meters with an import and an export register each, and a usage point and two series each.

    Meter m has id m + 1, channels 2 m + 1 and 2 m + 2, and series of the same ids.
    """
    from wattkeeper.data.billing.models import Contract
    from wattkeeper.data.registry.models import Channel, Installation, Meter, Series, Site, UsagePoint

    own = {"tenant_id": tenant_id}
    since_now = {**own, "starts_at": since, "recorded_at": since}
    place = {"name": "City", "kind": "RESIDENTIAL", "time_zone": "Asia/Shanghai"}
    site = Site.objects.get_or_create(**own, code="city", defaults=place)[0]
    pair = {"meter_id": "m + 1", "usage_point_id": "m + 1"}
    rows: list[tuple[Any, dict[str, str]]] = [
        (Meter(site=site, state="INSTALLED", **own), {"id": "m + 1", "serial_number": "printf('M%08d', m)"}),
        (UsagePoint(site=site, **own), {"id": "m + 1", "code": "printf('U%08d', m)"}),
        (Installation(**since_now), pair),
        (Contract(tariff_id=_tariff_id(tenant_id), **since_now), {"usage_point_id": "m + 1"}),
    ]
    step = {"step_numerator": 1, "step_denominator": 100, "register_digits": 8, "has_reads": True}
    for number, kind in (("2 * m + 1", "import"), ("2 * m + 2", "export")):
        register = Channel(reading_type=f"energy_{kind}_register_kwh", **step, **own)
        rows.append((register, {"id": number, "meter_id": "m + 1"}))
        series = Series(quantity=f"energy_{kind}", **own)
        rows.append((series, {"id": number, "usage_point_id": "m + 1"}))
    for pattern, told in rows:
        _add_rows(pattern, range(first_meter, first_meter + meters_count), told)


def _add_rows(pattern: Any, numbers: range, told: dict[str, str]) -> None:
    """Insert a row for each number m like a model's pattern, but for some columns, told in SQL of m."""
    from django.db import connection

    columns = [each for each in pattern._meta.concrete_fields if each.column in told or not each.primary_key]
    same = [each for each in columns if each.column not in told]
    values = [each.get_db_prep_save(each.pre_save(pattern, True), connection) for each in same]
    names = ", ".join(connection.ops.quote_name(each.column) for each in columns)
    places = ", ".join(told.get(each.column, "%s").replace("%0", "%%0") for each in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {pattern._meta.db_table} ({names}) WITH RECURSIVE street(m) AS (SELECT %s"
            f" UNION ALL SELECT m + 1 FROM street WHERE m < %s) SELECT {places} FROM street",
            [numbers[0], numbers[-1], *values],
        )


def parser_of(document: str) -> argparse.ArgumentParser:
    """Return a benchmark's parser: what it is from its docstring, and `--strict`."""
    parser = argparse.ArgumentParser(description=document.splitlines()[0])
    parser.add_argument("--strict", action="store_true", help="exit 2 when a goal is missed")
    return parser


def with_goals(
    result: dict[str, Any], *, least: dict[str, float] | None = None, most: dict[str, float] | None = None
) -> dict[str, Any]:
    """Return a result that begins with the figures of a goal, and `goal` and `is_goal_met` by their names."""
    goals = {name: f">= {goal}" for name, goal in (least or {}).items()}
    goals |= {name: f"<= {goal}" for name, goal in (most or {}).items()}
    is_met = {name: bool(result[name] >= goal) for name, goal in (least or {}).items()}
    is_met |= {name: bool(result[name] <= goal) for name, goal in (most or {}).items()}
    return {**{name: result[name] for name in goals}, "goal": goals, "is_goal_met": is_met, **result}


def finish(result: dict[str, Any], *, is_strict: bool) -> NoReturn:
    """Print one JSON object and exit: 1 for a wrong result, 2 for a missed goal if that is to count.

    Machines are shared and noisy: else a missed goal is only told, on stderr.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    own_s = round(usage.ru_utime + usage.ru_stime, 1)
    print(json.dumps({"cores": os.cpu_count(), **result, "harness_cpu_s": own_s}, indent=1))
    missed = [name for name, is_met in result["is_goal_met"].items() if not is_met]
    for name in missed:
        print(f"GOAL MISSED: {name} is {result[name]}, goal {result['goal'][name]}", file=sys.stderr)
    if not result["is_right"]:
        print("WRONG: the result is not the truth", file=sys.stderr)
        sys.exit(1)
    sys.exit(2 if missed and is_strict else 0)
