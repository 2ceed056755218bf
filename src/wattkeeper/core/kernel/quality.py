"""Quality of a value: where it came from, what is known against it, how it was made.

Three integers, stored beside every value. Raw values are immutable; a missing value is a row that says
MISSING, or no row, never zero.
"""

from enum import IntEnum, IntFlag


class Provenance(IntEnum):
    """Where a value came from: exactly one."""

    MISSING = 0
    MEASURED = 1
    ESTIMATED = 2
    EDITED = 3
    DERIVED = 4
    PROJECTED = 5


class Flag(IntFlag):
    """What is known about a value: any number of these."""

    NONE = 0
    VALIDATED = 1
    SUSPECT = 2
    CLOCK_INVALID = 4
    CLOCK_ADJUSTED = 8
    POWER_LOST = 16
    DST_AMBIGUOUS = 32
    ROLLOVER = 64
    LATE = 128
    DUPLICATE = 256
    REGISTER_BRACKETED = 512  # an estimate scaled to the advance between two actual register reads
    ACCEPTED = 1024  # failed a check and was shown to be real: *verified*, where it is VALIDATED too


UNTRUSTED = Flag.SUSPECT | Flag.CLOCK_INVALID
"""Of a read that nobody vouches for, value or instant: it was stamped far ahead of our clock."""


class Method(IntEnum):
    """How an estimate was made; NONE for what was measured."""

    NONE = 0
    LINEAR = 1
    LIKE_DAY = 2
    AVERAGE_LIKE_DAY = 3
    EVEN_SPREAD = 4
    EXCHANGE = 5  # an interval that a meter exchange or multiplier change cuts, summed from both parts
    CHECK_METER = 6
    NETWORK_BALANCE = 7  # from the other flows of the node
    PREVIOUS_YEAR = 8
    CLASS_PROFILE = 9
    KNOWN_ZERO = 10  # disconnected, or dark on both sides
    FLAT_LINE = 11  # the one good neighbour of a short gap
    DAILY_AVERAGE = 12  # average daily load of the last actual period
    UNFILLED = 13  # of a MISSING value: nothing to estimate it from yet; looked at again when there is


NO_INTERVAL = 1023
"""Flags of a MISSING row where no interval of its series begins any more: stores give none of these back.

All the flags of the releases that did not know it: they read such a row as one that is missing.
"""


class Source(IntEnum):
    """Which answer of a device, file or person a raw read is. A higher number wins at the same instant."""

    LIVE = 1
    PUSH = 2
    FREEZE_MONTHLY = 3
    FREEZE_DAILY = 4
    PROFILE = 5
    FILE = 6
    FIELD = 7  # read off the display by a person: removal and installation reads of an exchange
