"""Facts that contradict each other are refused with a code."""

from fractions import Fraction

import pytest

from wattkeeper.core.registry.installations import (
    ChannelInstallation,
    InvalidInstallation,
    MultiplierPeriod,
)


def installation(
    starts_at_s: int = 0,
    ends_at_s: int | None = None,
    multipliers: tuple[MultiplierPeriod, ...] = (MultiplierPeriod(0, None, Fraction(1)),),
    *,
    step_milliwh: Fraction = Fraction(1000),
    modulus: int | None = 10**6,
) -> ChannelInstallation:
    return ChannelInstallation(1, starts_at_s, ends_at_s, step_milliwh, modulus, multipliers)


@pytest.mark.parametrize(
    ("code", "periods"),
    [
        ("installations.multiplier-overlap", ((0, 50), (49, None))),
        ("installations.multiplier-overlap", ((0, None), (49, None))),
        ("installations.multiplier-gap", ((0, 50), (51, None))),
        ("installations.multiplier-gap", ((1, None),)),
        ("installations.multiplier-gap", ((0, 50),)),
        ("installations.multiplier-gap", ()),
    ],
)
def test_multipliers_cover_the_installation_once(
    code: str, periods: tuple[tuple[int, int | None], ...]
) -> None:
    with pytest.raises(InvalidInstallation) as raised:
        installation(0, None, tuple(MultiplierPeriod(*period, Fraction(1)) for period in periods))
    assert raised.value.code == code


def test_nonsense_is_refused_where_it_is_made() -> None:
    with pytest.raises(InvalidInstallation, match="period"):
        installation(10, 10)
    with pytest.raises(InvalidInstallation, match="step-not-positive"):
        installation(step_milliwh=Fraction(0))
    with pytest.raises(InvalidInstallation, match="modulus-too-small"):
        installation(modulus=1)
    with pytest.raises(InvalidInstallation, match="multiplier-not-positive"):
        MultiplierPeriod(0, None, Fraction(-1))
    with pytest.raises(InvalidInstallation, match="multiplier-period"):
        MultiplierPeriod(5, 4, Fraction(1))
