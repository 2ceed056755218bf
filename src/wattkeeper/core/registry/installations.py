"""What measured a series, when, and with which multiplier: facts with valid time, checked when made."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, zip_longest

from wattkeeper.core.kernel.errors import WattkeeperError


class InvalidInstallation(WattkeeperError):
    """Raised when facts about installations or multipliers contradict each other."""


@dataclass(frozen=True, slots=True)
class MultiplierPeriod:
    """Over ``[starts_at_s, ends_at_s)`` primary energy is secondary energy times `ratio` (CT x PT)."""

    starts_at_s: int
    ends_at_s: int | None
    ratio: Fraction

    def __post_init__(self) -> None:
        _check_period("installations.multiplier-period", self.starts_at_s, self.ends_at_s)
        if self.ratio <= 0:
            raise InvalidInstallation("installations.multiplier-not-positive", ratio=str(self.ratio))


@dataclass(frozen=True, slots=True)
class RegisterReset:
    """At `at_s` a register was set from `value_before` to `value_after`, both in counts.

    Told by an event of the device or by the person who serviced it; `value_before` is None where nobody read
    it. A read at the very instant is one from after the reset.
    """

    at_s: int
    value_before: int | None
    value_after: int


@dataclass(frozen=True, slots=True)
class ToldRatio:
    """From `at_s` on the device says that its transformers multiply by `ratio`; 1: nobody told it of any."""

    at_s: int
    ratio: Fraction


@dataclass(frozen=True, slots=True)
class ChannelInstallation:
    """Over ``[starts_at_s, ends_at_s)`` the channel measured the series.

    `step_milliwh`: secondary milliwatt-hours of one count of the channel. `register_modulus`: the count at
    which the register starts again at 0 (10 to the number of its digits), None for one that never does.
    `multipliers` are in order, without holes, and cover the installation. `resets` are in order, inside it.
    `told`: what the device itself says of its multiplier, in order; it multiplies nothing. `shown_count`: by
    how many counts its reads move at least.

    :raises InvalidInstallation: if the facts contradict each other
    """

    channel_id: int
    starts_at_s: int
    ends_at_s: int | None
    step_milliwh: Fraction
    register_modulus: int | None
    multipliers: tuple[MultiplierPeriod, ...]
    resets: tuple[RegisterReset, ...] = ()
    told: tuple[ToldRatio, ...] = ()
    shown_count: int = 1

    @property
    def is_told_otherwise(self) -> bool:
        """Whether the device ever told another multiplier than the one that is registered for that time."""
        return any(
            told.ratio not in (1, period.ratio)
            and (period.ends_at_s is None or told.at_s < period.ends_at_s)
            and (later is None or period.starts_at_s < later.at_s)
            for told, later in zip_longest(self.told, self.told[1:])
            for period in self.multipliers
        )

    def __post_init__(self) -> None:
        _check_period("installations.period", self.starts_at_s, self.ends_at_s)
        if self.step_milliwh <= 0:
            raise InvalidInstallation("installations.step-not-positive", channel_id=self.channel_id)
        if self.register_modulus is not None and self.register_modulus < 2:
            raise InvalidInstallation("installations.modulus-too-small", channel_id=self.channel_id)
        self._check_multipliers()
        self._check_resets()

    def _check_resets(self) -> None:
        reached_s = self.starts_at_s
        for reset in self.resets:
            if reset.at_s <= reached_s or (self.ends_at_s is not None and reset.at_s >= self.ends_at_s):
                raise InvalidInstallation(
                    "installations.reset-outside", channel_id=self.channel_id, at_s=reset.at_s
                )
            reached_s = reset.at_s
            for value in (reset.value_before or 0, reset.value_after):
                if value < 0 or (self.register_modulus is not None and value >= self.register_modulus):
                    raise InvalidInstallation(
                        "installations.reset-value", channel_id=self.channel_id, value=value
                    )

    def _check_multipliers(self) -> None:
        for earlier, later in pairwise(self.multipliers):
            if earlier.ends_at_s is None or earlier.ends_at_s > later.starts_at_s:
                raise InvalidInstallation("installations.multiplier-overlap", channel_id=self.channel_id)
            if earlier.ends_at_s < later.starts_at_s:
                raise InvalidInstallation("installations.multiplier-gap", channel_id=self.channel_id)
        if not self.multipliers or self.multipliers[0].starts_at_s > self.starts_at_s:
            raise InvalidInstallation("installations.multiplier-gap", channel_id=self.channel_id)
        last_ends_at_s = self.multipliers[-1].ends_at_s
        if last_ends_at_s is not None and (self.ends_at_s is None or last_ends_at_s < self.ends_at_s):
            raise InvalidInstallation("installations.multiplier-gap", channel_id=self.channel_id)


def _check_period(code: str, starts_at_s: int, ends_at_s: int | None) -> None:
    if ends_at_s is not None and ends_at_s <= starts_at_s:
        raise InvalidInstallation(code, starts_at_s=starts_at_s, ends_at_s=ends_at_s)
