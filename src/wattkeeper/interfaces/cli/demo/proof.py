"""One run of the check against a running Wattkeeper: provision, fetch, live, judge."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.billing.run_billing import BillingReport, run_billing
from wattkeeper.bootstrap.services import make_services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import User
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.collection.models import Job
from wattkeeper.data.collection.queries import count_dirty_windows
from wattkeeper.data.registry.models import Channel, Meter
from wattkeeper.interfaces.cli.demo import judge
from wattkeeper.interfaces.cli.demo.live import Life
from wattkeeper.interfaces.cli.demo.metrics import read_headend_metrics
from wattkeeper.interfaces.cli.demo.provision import Pace, Provisioned, provision
from wattkeeper.interfaces.cli.demo.street import Street
from wattkeeper.interfaces.workers.supervisor import Supervisor
from wattkeeper.simulators.clock import SharedClock
from wattkeeper.simulators.world_model import World

Progress = Callable[[str, int, int], None]
_REFUSALS = {"commands.protected-customer", "commands.calendar-hours"}


class Patience:
    """Runs out once less and less was left no more for so long, however slow the machine is."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._until_s = time.monotonic() + within_s
        self._least_count: int | None = None

    def is_over(self, left_count: int) -> bool:
        """Whether it is in vain to wait for what is left."""
        if self._least_count is None or left_count < self._least_count:
            self._least_count, self._until_s = left_count, time.monotonic() + self._within_s
        return time.monotonic() > self._until_s


class Proof:
    """Holds the run together."""

    def __init__(self, street: Street, clock: SharedClock, world: World, supervisor: Supervisor) -> None:
        self.street = street
        self.clock = clock
        self.world = world
        self.supervisor = supervisor
        self.actor = Actor.of_user(User.objects.get(username="admin"), origin="system")
        self.services = make_services()
        self.registry = Provisioned()
        self.life: Life | None = None
        self.poll_s = 0

    def provision(self, *, timeout_ms: int, poll_s: int) -> None:
        """Write the world into the registry; disconnects keep to the careful calendar."""
        self.poll_s = poll_s
        self.registry = provision(
            self.world,
            self.street.ready,
            actor=self.actor,
            now=self.clock.now(),
            services=self.services,
            pace=Pace(timeout_ms, poll_s),
            may_cut_any_time=False,
        )

    def fetch_memories(self, on_progress: Progress, *, within_s: float) -> None:
        """Wait until the head-end has fetched what the meters remember."""
        patience, left_count = Patience(within_s), sys.maxsize  # until it is known
        while not self.clock.wait_settled(("simulators", "headend"), timeout_s=0.5):
            self.supervisor.watch()
            job = Job.objects.filter(kind="collection.memory").order_by("-id").first()
            if job is not None:
                on_progress("memories", job.done_count, job.total_count)
                left_count = job.total_count - job.done_count
            if patience.is_over(left_count):
                raise WattkeeperError("demo.not-settled", at=self.clock.now().isoformat())

    def live(self, on_progress: Progress) -> None:
        """Live the window."""
        self.life = Life(
            self.street,
            self.clock,
            self.world,
            self.actor,
            self.services,
            self.registry,
            self.supervisor.watch,
        )
        self.life.live(lambda done, total: on_progress("lived", done, total))

    def wait_derived(self, *, within_s: float) -> None:
        """Wait until nothing is dirty."""
        patience = Patience(within_s)
        while windows_count := count_dirty_windows():
            self.supervisor.watch()
            if patience.is_over(windows_count):
                raise WattkeeperError("demo.not-derived", windows_count=windows_count)
            time.sleep(0.1)

    def report(self, folder: Path, plant: str) -> dict[str, Any]:
        """Compare everything and return the report."""
        assert self.services.store is not None
        assert self.life is not None
        assert self.world.window is not None
        from_s, to_s = self.world.starts_at_s, self.world.window[1] - 3600
        truth_path = folder / "truth.json"
        self.street.ask(do="truth", from_s=from_s, to_s=to_s, path=str(truth_path))
        points = json.loads(truth_path.read_text())["usage_points"]
        store, tenant_id = self.services.store, self.actor.tenant_id
        energy = judge.judge_energy(points, tenant_id, from_s, store)
        months = judge.whole_months(from_s, to_s)
        held = self._bill(months)
        bills_count, bill_error_minor = judge.judge_bills(points, self.world, months, from_s, tenant_id)
        metrics = read_headend_metrics(folder)
        hole_count = sum((end - start) // 900 for e in self.world.entries for start, end in e.hidden.holes)
        gaps_count = (
            judge.count_late_stamps(points, tenant_id, self.world.window, self.poll_s, store) + hole_count
        )
        commands = self.life.commands
        report: dict[str, Any] = {
            "meters": Meter.objects.filter(tenant_id=tenant_id).count(),
            "channels": Channel.objects.filter(tenant_id=tenant_id).count(),
            "intervals_expected": energy.expected_count,
            "intervals_measured": energy.measured_count,
            "intervals_estimated": energy.estimated_count,
            "intervals_missing": energy.missing_count,
            "energy_truth_wh": energy.truth_milliwh / 1000,
            "energy_stored_wh": energy.stored_milliwh / 1000,
            "energy_error_wh": energy.error_milliwh / 1000,
            "energy_physical_wh": float(energy.physical_milliwh / 1000),
            "initial_intervals": metrics["initial_intervals"],
            "backfill_requests": metrics["backfill_requests"],
            "backfill_intervals": metrics["backfill_intervals"],
            "gap_intervals": gaps_count,
            "duplicates_stored": judge.count_duplicates(tenant_id, from_s, to_s + 1, store),
            "bills": bills_count,
            "bills_held": held,
            "bill_error_max": bill_error_minor,
            "disconnect": commands.disconnect,
            "reconnect": commands.reconnect,
            "refused": commands.refusal_codes,
            "findings": dict(Counter(Finding.objects.values_list("rule", flat=True))),
            "line_faults": self.street.ask(do="stats")["links"],
            "plant": plant,
        }
        report["failed"] = self._failures(report, energy)
        report["ok"] = not report["failed"]
        return report

    def _bill(self, months: list[Any]) -> int:
        held = 0
        for first, end in months:
            done: BillingReport = run_billing(
                actor=self.actor, now=self.clock.now(), services=self.services, first=first, end=end
            )
            held += len(done.held)
        return held

    def _failures(self, report: dict[str, Any], energy: judge.Energy) -> list[str]:
        """Name each promise that does not hold."""
        assert self.life is not None
        holds = {
            "energy_error_wh": energy.error_milliwh == 0,
            "energy_stored_wh": energy.stored_milliwh == energy.truth_milliwh > 0,
            "energy_physical_wh": energy.physical_excess_milliwh <= 0,
            "intervals_missing": energy.missing_alive_count == 0,
            "intervals_estimated": 0 < energy.estimated_count < energy.expected_count // 100,
            "backfill_intervals": report["backfill_intervals"] == report["gap_intervals"] > 0,
            "duplicates_stored": report["duplicates_stored"] == 0,
            "bills": report["bills"] > 0 and report["bills_held"] == 1,
            "bill_error_max": report["bill_error_max"] == 0,
            "disconnect": report["disconnect"] == "verified" and self.life.commands.is_relay_true,
            "reconnect": report["reconnect"] == "verified" and self.life.commands.is_relay_true,
            "refused": set(report["refused"]) == _REFUSALS and self.life.commands.refused == "refused",
            "findings": {"collection.silent", "collection.clock", "collection.link-down"}
            <= set(report["findings"]),
            "line_faults": all(
                sum(line.get(kind, 0) for line in report["line_faults"].values()) > 0
                for kind in ("lost", "duplicated", "damaged")
            ),
        }
        return [name for name, is_right in holds.items() if not is_right]
