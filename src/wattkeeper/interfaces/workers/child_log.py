"""Why a child ended: what it said last in its log."""

import json
from contextlib import suppress
from pathlib import Path

from wattkeeper.core.kernel.errors import WattkeeperError


def why_it_ended(role: str, log: Path, begins_bytes: int) -> WattkeeperError:
    """Return a child's own refusal, if its log ends with one since it was started, else where to look."""
    with suppress(OSError, ValueError, KeyError, IndexError, TypeError), log.open("rb") as told:
        told.seek(begins_bytes)
        params = json.loads(told.read().splitlines()[-1])
        if params.pop("event") == "role.refused":
            return WattkeeperError(params.pop("code"), **params)
    return WattkeeperError("serve.child-failed", child=role, log=str(log))
