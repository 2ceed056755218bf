"""Which way energy goes in a channel that a file has named."""

import re

_NEM12_EXPORT = re.compile(r"[BK][0-9A-Z]?", re.ASCII | re.IGNORECASE)  # not "Bezug", which is import


def is_export(channel: str) -> bool:
    """Whether a channel's name says export: NEM12's B, B1 ... or, reactive, K ..., or the word itself."""
    return bool(_NEM12_EXPORT.fullmatch(channel)) or "export" in channel.lower()
