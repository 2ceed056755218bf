"""Channels of a meter: given, or what its family usually has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.reading_types import READING_TYPES
from wattkeeper.data.registry.models import Channel, Meter


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """`step`: the unit of one count; `register_digits`: all digits of a dial that starts again at 0.

    `shown_count`: by how many counts its values move at least, where files may tell otherwise.
    """

    reading_type: str
    step: Fraction
    register_digits: int | None = None
    is_profiled: bool = False
    shown_count: int | None = None


def _with_instruments(energy: ChannelSpec, *, power_step: Fraction) -> tuple[ChannelSpec, ...]:
    steps = {
        "voltage_l1_v": Fraction(1, 10),
        "current_l1_a": Fraction(1, 1000),
        "power_import_w": power_step,
        "power_factor_ratio": Fraction(1, 1000),
        "frequency_hz": Fraction(1, 100),
    }
    return (energy, *(ChannelSpec(name, step) for name, step in steps.items()))


OTHER_CHANNELS = (ChannelSpec("energy_import_register_kwh", Fraction(1, 100), 8),)
USUAL_CHANNELS: dict[str, tuple[ChannelSpec, ...]] = {
    "": (  # people read it to 0.01 kWh, files as finely as any and with the digits that they tell
        ChannelSpec("energy_import_register_kwh", Fraction(1, 1_000_000), shown_count=10_000),
    ),
    "dlt645_2007": _with_instruments(
        ChannelSpec("energy_import_register_kwh", Fraction(1, 100), 8, is_profiled=True),
        power_step=Fraction(1, 10),
    ),
    "dlms_three_phase": _with_instruments(
        ChannelSpec("energy_import_register_kwh", Fraction(1, 1000), 9, is_profiled=True),
        power_step=Fraction(1),
    ),
    "modbus_energy": _with_instruments(
        ChannelSpec("energy_import_register_kwh", Fraction(1, 100), 8, is_profiled=True),
        power_step=Fraction(1),
    ),
    "pulse_counter": (ChannelSpec("pulses_imp", Fraction(1), 9, is_profiled=True),),
}
OTHER_PHASES = tuple(
    ChannelSpec(name, step)
    for phase in (2, 3)
    for name, step in (
        (f"voltage_l{phase}_v", Fraction(1, 10)),
        (f"current_l{phase}_a", Fraction(1, 1000)),
    )
)
RELAY_CHANNEL = ChannelSpec("relay_state_code", Fraction(1))


def usual_channels(
    family: str, settings: Mapping[str, object], *, has_relay: bool
) -> tuple[ChannelSpec, ...]:
    """Return the channels a meter of this family and these settings of its driver usually has."""
    usual = USUAL_CHANNELS.get(family, OTHER_CHANNELS)
    if family == "dlms_three_phase" or settings.get("phases") == 3:
        usual += OTHER_PHASES
    return (*usual, RELAY_CHANNEL) if has_relay else usual


def make_channels(meter: Meter, specs: Sequence[ChannelSpec]) -> list[Channel]:
    """Make the meter's channels.

    :raises WattkeeperError: ``channels.unknown-reading-type``, ``channels.step-not-positive``,
        ``channels.twice``
    """
    for spec in specs:
        if spec.reading_type not in READING_TYPES:
            raise WattkeeperError("channels.unknown-reading-type", reading_type=spec.reading_type)
        if spec.step <= 0:
            raise WattkeeperError("channels.step-not-positive", reading_type=spec.reading_type)
    if len({spec.reading_type for spec in specs}) < len(specs):
        raise WattkeeperError("channels.twice", serial_number=meter.serial_number)
    return Channel.objects.bulk_create(
        [
            Channel(
                tenant_id=meter.tenant_id,
                meter=meter,
                reading_type=spec.reading_type,
                step_numerator=spec.step.numerator,
                step_denominator=spec.step.denominator,
                register_digits=spec.register_digits,
                is_profiled=spec.is_profiled,
                shown_count=spec.shown_count,
            )
            for spec in specs
        ]
    )
