"""A register that was set to another value: two stretches of one installation, joined by what was told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings.facts import InstallationFact, MultiplierFact, ResetFact
from wattkeeper.core.readings.settle import take


@dataclass(frozen=True, slots=True)
class Part:
    """An installation between two resets of its register; `after` is the reset it begins with."""

    channel_id: int
    starts_at_s: int
    ends_at_s: int | None
    step_milliwh: Fraction
    register_modulus: int | None
    multipliers: Sequence[MultiplierFact]
    resets: Sequence[ResetFact] = ()
    after: ResetFact | None = None


def cut_at_resets(
    installation: InstallationFact, reads: ReadColumns | None
) -> Iterator[tuple[Part, ReadColumns | None]]:
    """Yield the parts of an installation with their reads, the told values among them as field reads.

    A read at the instant of a reset belongs to the part that begins there.
    """
    resets = (None, *installation.resets)
    for place, after in enumerate(resets):
        until = resets[place + 1] if place + 1 < len(resets) else None
        part = Part(
            installation.channel_id,
            installation.starts_at_s if after is None else after.at_s,
            installation.ends_at_s if until is None else until.at_s,
            installation.step_milliwh,
            installation.register_modulus,
            installation.multipliers,
            after=after,
        )
        yield part, reads if len(resets) == 1 else _reads_of(part, reads, until)


def _reads_of(part: Part, reads: ReadColumns | None, until: ResetFact | None) -> ReadColumns:
    own = ReadColumns.of([]) if reads is None else reads
    is_own = np.ones(len(own), dtype=np.bool_)
    told = []
    if part.after is not None:
        is_own &= own.measured_at_s >= part.after.at_s
        told.append((part.after.at_s, part.after.value_after, 0, int(Source.FIELD)))
    if until is not None:
        is_own &= own.measured_at_s < until.at_s
        if until.value_before is not None:
            told.append((until.at_s, until.value_before, 0, int(Source.FIELD)))
    own, extra = take(own, is_own), ReadColumns.of(told)
    columns = ("measured_at_s", "value", "flags", "source")
    return ReadColumns(*(np.concatenate((getattr(own, name), getattr(extra, name))) for name in columns))


def describe_reset(channel_id: int, reset: ResetFact) -> Finding:
    """Return the ``readings.register-reset`` finding of a reset; ``value_before`` is -1 if not known."""
    before = -1 if reset.value_before is None else reset.value_before
    evidence: dict[str, int | str] = {"value_before": before, "value_after": reset.value_after}
    return Finding("readings.register-reset", reset.at_s, reset.at_s + 1, evidence, channel_id=channel_id)
