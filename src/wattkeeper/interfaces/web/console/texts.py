"""Codes of the core in people's words: quantities, provenance, flags, methods, sources, states, rules."""

from django.utils.translation import gettext_lazy as _

from wattkeeper.core.kernel.quality import Flag, Method, Provenance, Source

QUANTITIES = {
    "energy_import_register_kwh": _("Energy imported"),
    "energy_import_t1_register_kwh": _("Energy imported, rate 1"),
    "energy_import_t2_register_kwh": _("Energy imported, rate 2"),
    "energy_import_t3_register_kwh": _("Energy imported, rate 3"),
    "energy_import_t4_register_kwh": _("Energy imported, rate 4"),
    "energy_export_register_kwh": _("Energy exported"),
    "energy_reactive_import_register_kvarh": _("Reactive energy imported"),
    "energy_reactive_export_register_kvarh": _("Reactive energy exported"),
    "pulses_imp": _("Pulses"),
    "energy_import_interval_kwh": _("Energy imported in the interval"),
    "energy_export_interval_kwh": _("Energy exported in the interval"),
    "energy_reactive_import_interval_kvarh": _("Reactive energy imported in the interval"),
    "energy_reactive_export_interval_kvarh": _("Reactive energy exported in the interval"),
    "voltage_l1_v": _("Voltage L1"),
    "voltage_l2_v": _("Voltage L2"),
    "voltage_l3_v": _("Voltage L3"),
    "current_l1_a": _("Current L1"),
    "current_l2_a": _("Current L2"),
    "current_l3_a": _("Current L3"),
    "power_import_w": _("Power"),
    "power_reactive_import_var": _("Reactive power"),
    "power_factor_ratio": _("Power factor"),
    "frequency_hz": _("Frequency"),
    "relay_state_code": _("Relay state"),
    "clock_offset_s": _("Clock offset"),
}
SERIES = {
    "energy_import": _("Energy imported"),
    "energy_export": _("Energy exported"),
    "energy_reactive_import": _("Reactive energy imported"),
    "energy_reactive_export": _("Reactive energy exported"),
}
ENERGY_HEADS = {"kWh": _("Energy, kWh"), "kvarh": _("Reactive energy, kvarh")}
PROVENANCES = {
    Provenance.MISSING: _("Missing"),
    Provenance.MEASURED: _("Measured"),
    Provenance.ESTIMATED: _("Estimated"),
    Provenance.EDITED: _("Edited"),
    Provenance.DERIVED: _("Derived"),
    Provenance.PROJECTED: _("Projected"),
}
FLAGS = {
    Flag.VALIDATED: _("Validated"),
    Flag.SUSPECT: _("Suspect"),
    Flag.CLOCK_INVALID: _("Clock wrong"),
    Flag.CLOCK_ADJUSTED: _("Clock adjusted"),
    Flag.POWER_LOST: _("Power lost"),
    Flag.DST_AMBIGUOUS: _("Ambiguous local time"),
    Flag.ROLLOVER: _("Rollover"),
    Flag.LATE: _("Late"),
    Flag.DUPLICATE: _("Duplicate"),
    Flag.REGISTER_BRACKETED: _("Sum held by registers"),
}
METHODS = {
    Method.NONE: _("Read"),
    Method.LINEAR: _("Linear interpolation"),
    Method.LIKE_DAY: _("Like day"),
    Method.AVERAGE_LIKE_DAY: _("Mean of like days"),
    Method.EVEN_SPREAD: _("Even spread"),
    Method.EXCHANGE: _("Sum of both parts"),
    Method.CHECK_METER: _("Check meter"),
    Method.NETWORK_BALANCE: _("Balance of the network"),
    Method.PREVIOUS_YEAR: _("Same days last year"),
    Method.CLASS_PROFILE: _("Profile of the customer class"),
    Method.KNOWN_ZERO: _("Known zero"),
    Method.FLAT_LINE: _("Flat line"),
    Method.DAILY_AVERAGE: _("Average daily load"),
}
SEVERITIES = {
    "off": _("not looked for"),
    "warn": _("told"),
    "fail": _("told, not validated"),
    "estimate": _("told, estimated anew"),
}
SOURCES = {
    Source.LIVE: _("Live register"),
    Source.PUSH: _("Pushed"),
    Source.FREEZE_MONTHLY: _("Monthly freeze"),
    Source.FREEZE_DAILY: _("Daily freeze"),
    Source.PROFILE: _("Load profile"),
    Source.FILE: _("File"),
    Source.FIELD: _("Read on site"),
}
COMMANDS = {"DISCONNECT": _("Disconnect"), "RECONNECT": _("Reconnect")}
STATES = {
    "DRAFT": _("Draft"),
    "REQUESTED": _("Requested"),
    "AWAIT_2ND": _("Waiting for a second person"),
    "APPROVED": _("Approved"),
    "QUEUED": _("Queued"),
    "SENT": _("Sent"),
    "ACKED": _("Acknowledged"),
    "ARMED": _("Ready, press the button"),
    "VERIFIED": _("Verified"),
    "REFUSED": _("Refused"),
    "EXPIRED": _("Expired"),
    "CANCELLED": _("Cancelled"),
    "QUARANTINED": _("Quarantined"),
    "UNKNOWN": _("Unknown"),
    "FAILED": _("Failed"),
}
RULES = {
    "vee.spike": _("A spike in the load profile"),
    "vee.sum-check": _("Intervals and registers disagree"),
    "vee.month-sum": _("Intervals and registers disagree over a month"),
    "vee.interval-count": _("Intervals are missing"),
    "vee.clock": _("The meter's clock is wrong"),
    "vee.register-advance": _("The register's advance is implausible"),
    "vee.max-demand": _("More power than the service can carry"),
    "vee.zero-consumption": _("Nothing used for a long time"),
    "vee.negative": _("A negative value"),
    "vee.constant": _("The same value again and again"),
    "vee.tou-sum": _("The rate registers do not add up to the total"),
    "vee.impossible-instant": _("A reading from the future or from before the installation"),
    "vee.duplicate": _("A reading was delivered more than once"),
    "vee.identity": _("Another meter answered"),
    "vee.device-status": _("The meter says that its values are not valid"),
    "vee.jump": _("A jump between two intervals"),
    "vee.high-usage": _("Much more used than before"),
    "vee.low-usage": _("Much less used than before"),
    "vee.peak-change": _("A much higher peak than before"),
    "vee.usage-on-inactive": _("Energy used while disconnected"),
    "vee.replacement": _("A new value for an interval that had one"),
    "vee.multiplier": _("The multiplier differs from the registered one"),
    "vee.unit": _("The unit differs from the registered one"),
    "vee.reactive-only": _("Reactive energy without active energy"),
    "vee.power-factor": _("A very low power factor for a whole day"),
    "vee.sibling-missing": _("One channel of the meter has no data"),
    "vee.prolonged-estimation": _("Estimated for a long time"),
    "vee.feeder-balance": _("Feeder and meters do not balance"),
    "vee.feeder-exceeded": _(
        "Meters took more than went in: one counts too much, or something unmetered feeds in"
    ),
    "vee.voltage-missing": _("Current without voltage on a phase"),
    "vee.current-imbalance": _("Currents of the phases differ too much"),
    "vee.reverse-power": _("Power flows backwards"),
    "vee.statistics": _("A formula of this place does not hold"),
    "vee.edit-overtaken": _("A different measured value arrived for an edited interval"),
    "vee.accuracy": _("The meter measures outside its accuracy class"),
    "vee.negative-gap": _("Intervals hold more than the registers advanced"),
    "pipeline.failed": _(
        "A series could not be derived: its readings wait, and it is tried again every five minutes"
    ),
    "worker.failed": _("Work in the background fails; the log says why"),
    "readings.conflict": _("Two different values for one instant"),
    "readings.register-backwards": _("The register went backwards"),
    "readings.jump": _("The register jumped"),
    "readings.rollover": _("The register rolled over"),
    "readings.rollover-ambiguous": _("The register may have rolled over"),
    "readings.out-of-range": _("A reading that the register cannot show"),
    "readings.off-grid": _("Energy of intervals that begin beside those kept: it is not counted"),
    "readings.beside-grid": _("The meter's profile lies beside the intervals: their values are estimates"),
    "readings.register-reset": _("A register was set to another value"),
    "readings.exchange-read-missing": _("A meter was exchanged without its registers being read"),
    "readings.multiplier-read-missing": _("The multiplier changed where no register was read"),
    "collection.silent": _("The meter does not answer"),
    "collection.link-down": _("The link is down"),
    "collection.counter": _("The meter refuses our counters, or wants impossible ones"),
    "collection.key-worn": _("The meter's key should be changed: its counters run out"),
    "collection.spool-alarm": _("The spool is filled to 80 %"),
    "collection.spool-full": _("The spool is full: devices keep their data"),
    "collection.spool-failed": _("The spool cannot be written: devices are not acknowledged"),
    "collection.dead-letters": _("Batches were set aside: the store refuses them"),
    "collection.stamp": _("The device stamps readings with a time that cannot be"),
    "collection.interval": _("The meter keeps its load profile at other intervals than entered"),
    "collection.replay": _("The device repeats frames that were stored"),
    "collection.stranger": _("Somebody unknown connected; nothing was read"),
    "collection.late-for-archive": _("Reads of a month that is archived: restore it to derive them"),
    "collection.clock": _("The meter's clock is wrong"),
    "billing.held": _("A bill is held back"),
    "billing.unbilled": _("Days of a contract that no bill holds"),
    "commands.unknown": _("A command's outcome is unknown"),
    "operations.backup-old": _("The newest backup is more than a day old"),
    "operations.drill-old": _("For more than a day no backup was proved by restoring it"),
    "link.up": _("Link up"),
    "link.down": _("Link down"),
    "relay.disconnected": _("Supply disconnected"),
    "relay.connected": _("Supply connected"),
    "relay.ready": _("Ready for reconnection"),
    "meter.silent": _("Stopped answering"),
    "meter.answering": _("Answers again"),
}
JOBS = {"headend.initial-fetch": _("Fetching what the meters remember")}
RESULTS = {
    "issued": _("Bills issued"),
    "unchanged": _("Bills unchanged"),
    "proposed": _("Bills whose correction waits for a decision"),
    "held": _("Bills held back"),
    "rows": _("Rows stored"),
    "meters": _("Meters met"),
    "errors": _("Rows or blocks left out"),
}
BILL_LINES = {
    "fixed": _("Fixed charge"),
    "energy": _("Energy"),
    "minimum": _("Minimum charge"),
    "tax": _("Tax"),
    "tier": _("Tier"),
    "credit": _("Credit of the former bill"),
}
RATES = {
    "sharp": _("sharp"),
    "peak": _("peak"),
    "flat": _("flat"),
    "valley": _("valley"),
    "deep_valley": _("deep valley"),
    "all": _("all day"),
}
UNITS = {"day": _("days"), "month": _("months"), "year": _("years"), "period": ""}
PER = {"day": _("day"), "month": _("month"), "year": _("year"), "period": _("bill"), "kWh": "kWh"}
FAMILIES = {
    "": _("None: read on site or from files"),
    "dlt645_2007": "DL/T 645-2007",
    "dlms_three_phase": "DLMS/COSEM",
    "modbus_energy": "Modbus TCP",
    "pulse_counter": _("Pulse counter"),
}
ACCURACY_CLASSES = {"reactive 2": _("2, reactive"), "reactive 3": _("3, reactive")}
VERDICTS = {
    "within": _("Right"),
    "outside": _("Wrong"),
    "undecided": _("Too few steps to say"),
    "no-load": _("Too little load to say"),
}
FORMULAS = (
    (
        "[MAIN] - subs([MAIN])",
        _("What the sub-meters of a main meter leave; each counts for the time in which it is fed by it."),
    ),
    ("[A] + [B] - [C].export", _("Codes of usage points in brackets; .export for energy given back.")),
    ("([A] + [B]) * 0.97 / 3", _("Exact constants; nothing is lost by rounding within a day.")),
    (
        "[A] + or_zero([B])",
        _("Where B is missing it counts as zero; otherwise the sum would be missing too."),
    ),
    ("sum([A], [B], [C])", _("The sum of all. Other virtual meters may be parts.")),
)
