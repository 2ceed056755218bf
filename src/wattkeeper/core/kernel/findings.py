"""Findings: what a rule noticed, with the evidence it saw. A finding never changes a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field

DECIDED_BY = "decided_by"


def decided_by(what: str) -> dict[str, str]:
    """Return the evidence that a person decided what a finding asks; it is kept, and closed for as long."""
    return {DECIDED_BY: what}


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation of `rule` (``readings.conflict``, ``vee.spike``) over ``[starts_at_s, ends_at_s)``.

    `channel_id` or `series_id` name the subject where the rule knows it. `evidence` holds plain integers and
    texts, so that it can be stored and shown as it is.
    """

    rule: str
    starts_at_s: int
    ends_at_s: int
    evidence: Mapping[str, int | str] = field(default_factory=dict)
    channel_id: int | None = None
    series_id: int | None = None

    @property
    def key(self) -> tuple[str, int, int, int, int]:
        """What makes a finding the same as one recorded before; -1 where it has no such subject."""
        channel_id = -1 if self.channel_id is None else self.channel_id
        series_id = -1 if self.series_id is None else self.series_id
        return (self.rule, series_id, channel_id, self.starts_at_s, self.ends_at_s)
