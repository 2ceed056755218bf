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
    "vee.interval-count": _("Intervals are missing"),
    "vee.clock": _("The meter's clock is wrong"),
    "vee.register-advance": _("The register's advance is implausible"),
    "vee.max-demand": _("More power than the service can carry"),
    "vee.zero-consumption": _("Nothing used for a long time"),
    "vee.negative": _("A negative value"),
    "vee.constant": _("The same value again and again"),
    "vee.tou-sum": _("The rate registers do not add up to the total"),
    "vee.impossible-instant": _("A reading from the future or from before the installation"),
    "readings.conflict": _("Two different values for one instant"),
    "readings.register-backwards": _("The register went backwards"),
    "readings.jump": _("The register jumped"),
    "readings.rollover": _("The register rolled over"),
    "readings.rollover-ambiguous": _("The register may have rolled over"),
    "readings.out-of-range": _("A reading that the register cannot show"),
    "readings.exchange-read-missing": _("A meter was exchanged without its registers being read"),
    "readings.multiplier-read-missing": _("The multiplier changed where no register was read"),
    "collection.silent": _("The meter does not answer"),
    "collection.link-down": _("The link is down"),
    "collection.clock": _("The meter's clock is wrong"),
    "billing.held": _("A bill is held back"),
    "commands.unknown": _("A command's outcome is unknown"),
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
    "corrected": _("Bills corrected"),
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
