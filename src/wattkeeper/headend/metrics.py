"""Counters of the head-end, in a registry of their own."""

from prometheus_client import CollectorRegistry, Counter, Gauge

_COUNTERS = {
    "requests": "Requests sent, repetitions included",
    "frames_ok": "Answers that were whole and asked for",
    "frames_damaged": "Stretches of bytes that could not become a frame",
    "bytes_dropped": "Bytes thrown away with damaged frames",
    "answers_late": "Whole frames nobody was waiting for: late, foreign or duplicate",
    "timeouts": "Requests that got no answer in time",
    "no_answer": "Requests given up after every repetition",
    "link_failures": "Connections refused or lost",
    "sessions": "Device sessions begun",
    "sessions_failed": "Device sessions that ended in an error",
    "exceptions": "Unexpected exceptions contained",
    "pushes": "Frames that devices sent by themselves",
    "pushes_repeated": "Pushed frames that were kept before",
    "pushes_refused": "Pushed frames that could not be understood or kept, and were not acknowledged",
    "reads_stored": "Reads made durable in the spool",
    "reads_unplanned": "Reads of quantities that have no channel",
    "reads_unstorable": "Reads whose time stamp no store can hold, left out",
    "batches_spooled": "Batches made durable in the spool",
    "batches_delivered": "Batches handed to the store",
    "batches_quarantined": "Batches set aside: damaged, or refused for good",
    "batches_replayed": "Dead letters put back into the spool",
    "sink_failures": "Hand-overs that failed and will be repeated",
    "parcels_sent": "Parcels handed to the carrier, repetitions included",
    "parcels_confirmed": "Parcels that a writer confirmed",
    "spool_failures": "Batches that could not be made durable",
    "initial_intervals": "Interval stamps asked for in first fetches of memories",
    "backfill_requests": "Runs of stamps asked for to close gaps",
    "backfill_intervals": "Interval stamps asked for to close gaps, each counted once",
    "push_intervals": "Interval stamps asked for because a push was lost on a link that was up",
    "backfill_repeats": "Interval stamps asked for again",
    "intervals_given_up": "Interval stamps that devices do not have",
    "dial_ins": "Connections that devices, or whoever it was, opened to us",
    "dial_ins_shed": "Connections ended at once: too many of one address, or of all",
    "dial_ins_late": "Connections ended because their first frame did not come in time",
    "strangers": "Connections not let in",
    "commands_sent": "Relay commands sent",
    "read_backs": "Relay states read back after a command",
}
_GAUGES = {
    "spool_bytes": "Bytes waiting in the spool",
    "spool_batches": "Batches waiting in the spool",
    "dead_letters": "Batches set aside, waiting for somebody to look",
    "links_up": "Links that are connected",
    "devices": "Devices planned",
    "dialled_in": "Connections that stand on our ports",
}


class HeadendMetrics:
    """Counters and gauges by name, exposed as ``wattkeeper_headend_<name>``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters = {
            name: Counter(f"wattkeeper_headend_{name}", text, registry=self.registry)
            for name, text in _COUNTERS.items()
        }
        self._gauges = {
            name: Gauge(f"wattkeeper_headend_{name}", text, registry=self.registry)
            for name, text in _GAUGES.items()
        }

    def count(self, name: str, amount: int = 1) -> None:
        """Add `amount` to a counter."""
        self._counters[name].inc(amount)

    def gauge(self, name: str, value: int) -> None:
        """Set a gauge."""
        self._gauges[name].set(value)

    def adjust(self, name: str, amount: int) -> None:
        """Add `amount`, which may be negative, to a gauge."""
        self._gauges[name].inc(amount)

    def snapshot(self) -> dict[str, int]:
        """Return every counter and gauge by its short name."""
        metrics = {**self._counters, **self._gauges}
        return {name: int(next(iter(metric.collect())).samples[0].value) for name, metric in metrics.items()}
