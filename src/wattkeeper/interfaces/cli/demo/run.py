"""`wattkeeper demo`: a street to look at, read by Wattkeeper on the machine's own clock."""

import shutil
import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wattkeeper.bootstrap.prepare import prepare
from wattkeeper.interfaces.cli.demo.street import Street, find_mosquitto, make_supervisor
from wattkeeper.interfaces.cli.demo.tariffs import ZONE
from wattkeeper.interfaces.cli.serve import tell_administrator, tell_key_file
from wattkeeper.interfaces.workers.supervisor import Supervisor, run_until_stopped
from wattkeeper.simulators.world import build_world

SEED = 20261122
TIMEOUT_MS = 300
POLL_S = 60
BILLS_AFTER_S = 2.0


def run_demo(folder: Path, *, port: int) -> None:
    """
    Make a fresh street in `folder`, fetch what its meters remember, and go on reading until stopped.

    :raises WattkeeperError: ``serve.folder-locked``, ``serve.port-busy``, ``demo.simulators-failed``
    """
    console = Console(stderr=True)
    now = datetime.now(UTC).replace(microsecond=0)
    supervisor = make_supervisor(folder, port=port, environment={})
    supervisor.take_folder()
    _empty(folder)
    world = build_world(seed=SEED, now=now, is_check=False, is_mqtt=find_mosquitto() is not None)
    street = Street(folder, world)
    try:
        street.start(clock="system")
        made = prepare(folder, now=now, on_key_made=tell_key_file)
        supervisor.start(("store",))
        _provision(street, now)
        supervisor.start(("headend", "worker", "web"))
        console.print(f"[bold]Wattkeeper · 电表管家[/bold]  {supervisor.url}")
        if made is not None:
            tell_administrator(console, made)
        _follow_fetch(console, supervisor)
        _bill(console)
        console.print("Reading live; Ctrl-C ends it. · 正在实时采集,按 Ctrl-C 结束。")
        run_until_stopped(supervisor)
    finally:
        supervisor.stop()
        street.stop()


def _empty(folder: Path) -> None:
    """Clear what an earlier demonstration left; the lock and the fresh folders stay."""
    for path in folder.iterdir():
        if path.name not in {"run", "log"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (folder / "run").iterdir():
        if path.name != "serve.lock":
            with suppress(OSError):
                path.unlink()


def _provision(street: Street, now: datetime) -> None:
    from wattkeeper.actions.actor import Actor
    from wattkeeper.bootstrap.services import make_services
    from wattkeeper.data.accounts.models import User
    from wattkeeper.interfaces.cli.demo.provision import Pace, provision

    provision(
        street.world,
        street.ready,
        actor=Actor.of_user(User.objects.get(username="admin"), origin="system"),
        now=now,
        services=make_services(),
        pace=Pace(TIMEOUT_MS, POLL_S),
        may_cut_any_time=True,
    )


def _follow_fetch(console: Console, supervisor: Supervisor) -> None:
    """Show how far the fetch of the meters' memories has come."""
    from wattkeeper.data.collection.models import Job

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("Fetching what the meters remember · 读取电表存储", total=None)
        while True:
            supervisor.watch()
            job = Job.objects.filter(kind="collection.memory").order_by("-id").first()
            if job is not None:
                bar.update(task, completed=job.done_count, total=job.total_count)
                if job.state != Job.State.RUNNING:
                    return
            time.sleep(0.3)


def _bill(console: Console) -> None:
    """Bill the last whole month once everything fetched has been derived."""
    from wattkeeper.actions.actor import Actor
    from wattkeeper.actions.billing.run_billing import run_billing
    from wattkeeper.bootstrap.services import make_services
    from wattkeeper.data.accounts.models import User
    from wattkeeper.data.collection.queries import count_dirty_windows

    quiet_since_s = time.monotonic()
    while time.monotonic() - quiet_since_s < BILLS_AFTER_S:
        if count_dirty_windows():
            quiet_since_s = time.monotonic()
        time.sleep(0.2)
    now = datetime.now(UTC)
    first, end = last_month(now.astimezone(ZoneInfo(ZONE)).date())
    report = run_billing(
        actor=Actor.of_user(User.objects.get(username="admin"), origin="system"),
        now=now,
        services=make_services(),
        first=first,
        end=end,
    )
    console.print(f"{len(report.issued_ids)} bills for {first:%Y-%m}. · 已出账单。")


def last_month(today: date) -> tuple[date, date]:
    """Return the first day of the month before, and of this one."""
    end = today.replace(day=1)
    return (end - timedelta(days=1)).replace(day=1), end
