"""Which way energy goes in a channel that a file has named, and of which rate it is."""

import re

_NEM12_EXPORT = re.compile(r"[BK][0-9A-Z]?", re.ASCII | re.IGNORECASE)  # not "Bezug", which is import
_RATE = re.compile(r"(.+) T([1-4])", re.ASCII)


def split_rate(channel: str) -> tuple[str, str]:
    """Return the stream of a channel and the rate that it counts alone: E1 and 2 of ``E1 T2``; "" for all."""
    found = _RATE.fullmatch(channel)
    return (found[1], found[2]) if found else (channel, "")


def is_export(channel: str) -> bool:
    """Whether a channel's name says export: NEM12's B, B1 ... or, reactive, K ..., or the word itself."""
    return bool(_NEM12_EXPORT.fullmatch(channel)) or "export" in channel.lower()
