"""Whether a store that was started says where it is: no other one's word is taken for it, or taken away."""

import json
from contextlib import suppress
from pathlib import Path


def told_in(address: Path) -> str:
    """Return what a store wrote there, nothing where there is none."""
    with suppress(FileNotFoundError):
        return address.read_text()
    return ""


def has_told(address: Path, pid: int | None, before: str) -> bool:
    """Whether the store of that process has written where it is since `before` was told there.

    An earlier one may have left its word, and have had the same process id.
    """
    told = told_in(address)
    return told not in ("", before) and bool(json.loads(told)["pid"] == pid)
