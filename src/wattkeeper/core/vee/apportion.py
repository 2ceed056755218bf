"""Share a known energy over intervals by a shape, exact to the last milliwatt-hour."""

from collections.abc import Sequence

from wattkeeper.core.kernel.errors import WattkeeperError


class UnableToEstimate(WattkeeperError):
    """Raised when no honest estimate exists."""


def apportion(shape: Sequence[int], energy_milliwh: int) -> list[int]:
    """Return shares of `energy_milliwh` in proportion to `shape`, by largest remainder; the earlier wins a
    tie.

    The shares always sum to the energy. A shape of zeros spreads it evenly (rule E4).

    :raises UnableToEstimate: if the energy or a part of the shape is negative, or there is nothing to share
    over
    """
    if energy_milliwh < 0:
        raise UnableToEstimate("vee.negative-energy", energy_milliwh=energy_milliwh)
    if not shape or min(shape) < 0:
        raise UnableToEstimate("vee.no-shape")
    total = sum(shape)
    if total == 0:
        shape, total = [1] * len(shape), len(shape)
    quotas = [divmod(part * energy_milliwh, total) for part in shape]
    shares = [whole for whole, _ in quotas]
    by_remainder = sorted(range(len(shape)), key=lambda i: (-quotas[i][1], i))
    for i in by_remainder[: energy_milliwh - sum(shares)]:
        shares[i] += 1
    return shares
