"""The hand behind the scenes: a loopback port that takes one JSON object a line and answers with one.

    {"do": "press", "serial": S}                      -> {"ok": true, "closed": bool}
    {"do": "relay", "serial": S}                      -> {"ok": true, "relay_state_code": 0|1|2, ...}
    {"do": "display", "serial": S, "at_s": T?}        -> {"ok": true, "counts": n, "at_s": T, "stamp_s": T}
    {"do": "stats"}                                   -> {"ok": true, "links": {...}, "requests": {...}}
    {"do": "truth", "from_s": A, "to_s": B, "path": P} -> {"ok": true, "path": P}
    {"do": "stick", "serial": S, "stuck": bool}       -> {"ok": true}

Anything else: {"ok": false, "error": code}.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from wattkeeper.simulators.faults import LineFaults
from wattkeeper.simulators.line import LISTEN_ADDRESS
from wattkeeper.simulators.plant import Meter, Plant
from wattkeeper.simulators.truth import write_truth

Json = dict[str, object]
LINE_MAX_BYTES = 64 * 1024


class _Unfit(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Control:
    """Answers requests about the plant at the present instant."""

    def __init__(self, plant: Plant, faults: dict[str, LineFaults], now_s: Callable[[], int]) -> None:
        self._plant = plant
        self._faults = faults
        self._now_s = now_s
        self._server: asyncio.Server | None = None
        self._verbs: dict[object, Callable[[Json], Json]] = {
            "press": self._press,
            "relay": self._relay,
            "display": self._display,
            "stats": self._stats,
            "truth": self._truth,
            "stick": self._stick,
        }

    async def start(self) -> int:
        """Listen on loopback and return the port."""
        self._server = await asyncio.start_server(self._serve, LISTEN_ADDRESS, 0, limit=LINE_MAX_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    def answer(self, line: bytes) -> Json:
        """Return the answer to one line; never raises for what it says."""
        try:
            request = json.loads(line)
            verb = self._verbs.get(request.get("do")) if isinstance(request, dict) else None
            return (
                {"ok": False, "error": "control.unknown"} if verb is None else {"ok": True, **verb(request)}
            )
        except _Unfit as unfit:
            return {"ok": False, "error": unfit.code}
        except OSError as error:
            return {"ok": False, "error": "control.io", "reason": error.strerror}
        except (ValueError, TypeError, RecursionError):
            return {"ok": False, "error": "control.not-a-request"}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self.answer(line)).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError, asyncio.CancelledError):
            pass  # the other side went away or sent a line without end, or we stop
        finally:
            writer.close()

    def _meter(self, request: Json) -> Meter:
        meter = self._plant.meters.get(str(request.get("serial")))
        if meter is None:
            raise _Unfit("control.no-such-meter")
        return meter

    def _press(self, request: Json) -> Json:
        return {"closed": self._meter(request).press(self._now_s())}

    def _stick(self, request: Json) -> Json:
        self._meter(request).is_stuck = request.get("stuck", True) is True
        return {}

    def _relay(self, request: Json) -> Json:
        meter, now_s = self._meter(request), self._now_s()
        return {
            "relay_state_code": meter.relay_code(now_s),
            "is_switch_open": meter.is_switch_open(now_s),
            "is_stuck": meter.is_stuck,
            "power_w": int(meter.registers.power_w(now_s)),
            "events": [{"at_s": at_s, "event": event} for at_s, event in meter.relay_events],
        }

    def _display(self, request: Json) -> Json:
        """What a fitter reads off the display, also of a meter that was just removed."""
        registers = self._meter(request).registers
        at_s = _whole(request, "at_s") if "at_s" in request else self._now_s()
        return {"counts": registers.display(at_s), "at_s": at_s, "stamp_s": registers.clock_s(at_s)}

    def _stats(self, _request: Json) -> Json:
        return {
            "links": {name: dict(faults.counts) for name, faults in self._faults.items()},
            "requests": {serial: meter.requests_count for serial, meter in self._plant.meters.items()},
        }

    def _truth(self, request: Json) -> Json:
        from_s, to_s, path = _whole(request, "from_s"), _whole(request, "to_s"), request.get("path")
        if from_s >= to_s or from_s % 900 or to_s % 900 or to_s > self._now_s() or not isinstance(path, str):
            raise _Unfit("control.bad-span")
        write_truth(self._plant, from_s, to_s, Path(path))
        return {"path": path}


def _whole(request: Json, name: str) -> int:
    value = request.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 40:
        raise _Unfit("control.bad-number")
    return value
