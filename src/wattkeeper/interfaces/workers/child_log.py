"""The log of a child: why it ended is what it said last there; how long it may grow."""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from wattkeeper.core.kernel.errors import WattkeeperError

LOG_MAX_BYTES = 10 << 20


def why_it_ended(role: str, log: Path, begins_bytes: int) -> WattkeeperError:
    """Return a child's own refusal, if its log ends with one since it was started, else where to look."""
    with suppress(OSError, ValueError, KeyError, IndexError, TypeError), log.open("rb") as told:
        told.seek(begins_bytes)
        params = json.loads(told.read().splitlines()[-1])
        if params.pop("event") == "role.refused":
            return WattkeeperError(params.pop("code"), **params)
    return WattkeeperError("serve.child-failed", child=role, log=str(log))


def turn_over(log: Path) -> bool:
    """Begin a log anew that is longer than `LOG_MAX_BYTES`; return whether it was.

    The child that writes it goes on at its beginning; the last `LOG_MAX_BYTES` of what it held stand in
    ``<name>.1`` until the next time, where there is room for them.
    """
    with suppress(OSError):
        if log.stat().st_size <= LOG_MAX_BYTES:
            return False
        former = log.with_name(f"{log.name}.1")
        try:
            with log.open("rb") as told, former.open("wb") as kept:
                shutil.copymode(log, former)
                told.seek(-LOG_MAX_BYTES, os.SEEK_END)
                shutil.copyfileobj(told, kept)
        except OSError:  # a full disk
            former.unlink(missing_ok=True)
        os.truncate(log, 0)
        return True
    return False
