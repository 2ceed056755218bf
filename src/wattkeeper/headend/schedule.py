"""When to try what again: aligned polls, back-off with jitter, and little time for the dead."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LINK_RETRY_MIN_S = 5.0
LINK_RETRY_MAX_S = 300.0
DEVICE_RETRY_MIN_S = 30.0
DEVICE_RETRY_MAX_S = 600.0
FAILURES_UNTIL_DEAD_COUNT = 3
POLLS_PER_TRY_OF_THE_DEAD_COUNT = 4


def next_multiple(now: datetime, period_s: int) -> datetime:
    """Return the first multiple of `period_s` (since the epoch) after `now`."""
    return _EPOCH + ((now - _EPOCH) // timedelta(seconds=period_s) + 1) * timedelta(seconds=period_s)


def backoff_s(failures_count: int, *, least_s: float, most_s: float, dice: random.Random) -> float:
    """Return the wait after the n-th failure in a row: doubling, capped, less up to a quarter by lot."""
    doubled_s = least_s * 2.0 ** min(failures_count - 1, 16)
    return float(min(most_s, doubled_s)) * (1.0 - 0.25 * dice.random())


@dataclass(slots=True)
class LinkBackoff:
    """Whether a link may be tried; at most five minutes of clock time between two tries."""

    dice: random.Random
    failures_count: int = 0
    retry_at: datetime | None = None

    def fail(self, now: datetime) -> None:
        """Note a failure."""
        self.failures_count += 1
        wait_s = backoff_s(
            self.failures_count, least_s=LINK_RETRY_MIN_S, most_s=LINK_RETRY_MAX_S, dice=self.dice
        )
        self.retry_at = now + timedelta(seconds=wait_s)

    def recover(self) -> None:
        """Note a success."""
        self.failures_count = 0
        self.retry_at = None

    def may_try(self, now: datetime) -> bool:
        """Whether a try is due; none is farther away than the longest wait, if the clock was set back."""
        is_beyond = self.retry_at is not None and self.retry_at - now > timedelta(seconds=LINK_RETRY_MAX_S)
        return self.retry_at is None or now >= self.retry_at or is_beyond


@dataclass(slots=True)
class Cadence:
    """When one device is due. After three failures in a row it is tried each fourth poll, once."""

    poll_s: int
    poll_at: datetime
    dice: random.Random = field(repr=False)
    failures_count: int = 0
    retry_at: datetime | None = None
    polls_since_try_count: int = 0

    @property
    def is_dead(self) -> bool:
        """Whether the device has been silent so often that it may no longer take much of its bus."""
        return self.failures_count >= FAILURES_UNTIL_DEAD_COUNT

    def due_at(self) -> datetime:
        """When the device is due next."""
        return self.poll_at if self.retry_at is None else min(self.poll_at, self.retry_at)

    def is_beyond(self, now: datetime) -> bool:
        """Whether the next poll is farther away than polls are apart: the clock was set back."""
        return self.poll_at - now > timedelta(seconds=self.poll_s)

    def begin(self, now: datetime) -> bool:
        """Note that `now` has been reached; whether the device is to be tried."""
        if now < self.poll_at and not self.is_beyond(now):
            return self.retry_at is not None and now >= self.retry_at
        self.poll_at = next_multiple(now, self.poll_s)
        if not self.is_dead:
            return True
        self.polls_since_try_count += 1
        if self.polls_since_try_count < POLLS_PER_TRY_OF_THE_DEAD_COUNT:
            return False
        self.polls_since_try_count = 0
        return True

    def fail(self, now: datetime) -> None:
        """Note a failed try; a retry before the next poll unless the device is taken for dead."""
        self.failures_count += 1
        wait_s = backoff_s(
            self.failures_count, least_s=DEVICE_RETRY_MIN_S, most_s=DEVICE_RETRY_MAX_S, dice=self.dice
        )
        retry_at = now + timedelta(seconds=wait_s)
        self.retry_at = None if self.is_dead or retry_at >= self.poll_at else retry_at

    def succeed(self) -> None:
        """Note a success."""
        self.failures_count = 0
        self.retry_at = None
        self.polls_since_try_count = 0
