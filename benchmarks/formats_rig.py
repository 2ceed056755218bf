"""What the benchmarks of formats share: files with a truth, CPU seconds, one JSON object."""

import platform
import resource
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, NoReturn

import numpy as np
from mdm_rig import finish, with_goals

RUNS = 3


def cpu_s() -> float:
    """Return user and system seconds of this process and its ended children."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def calib() -> float:
    """Return the CPU seconds of a fixed piece of work: how fast this machine is just now."""
    before = cpu_s()
    values = np.arange(2_000_000, dtype=np.int64)
    for _ in range(10):
        values = (values * 6364136223846793005 + 1442695040888963407) >> 1
    sum(i * i for i in range(1_000_000))
    return round(cpu_s() - before, 3)


def best_of(work: Callable[[], Any], runs: int = RUNS) -> tuple[float, Any]:
    """Return the fewest CPU seconds of some runs and what the last one returned."""
    least, result = float("inf"), None
    for _ in range(runs):
        result = None
        before = cpu_s()
        result = work()
        least = min(least, cpu_s() - before)
    return least, result


def finish_ratio(*, ratio_least: float, **figures: Any) -> NoReturn:
    """Print one JSON object, with the machine beside. A ratio within a run is no matter of noise: strict."""
    machine = {"python": platform.python_version(), "calib_s": calib()}
    finish(with_goals({**figures, **machine}, least={"ratio": ratio_least}), is_strict=True)


def make_nem12(meters_count: int, days_count: int, minutes: int) -> tuple[bytes, np.ndarray[Any, Any]]:
    """Return a file of generated kWh with three decimals, and its values in watt-hours, in its order."""
    rng = np.random.default_rng(minutes)
    values = np.minimum(rng.gamma(1.2, 400, (meters_count, days_count, 1440 // minutes)), 90_000).astype(
        np.int64
    )
    lines = ["100,NEM12,202601010000,MDP,RET"]
    days = [(date(2025, 1, 1) + timedelta(day)).strftime("%Y%m%d") for day in range(days_count)]
    for meter in range(meters_count):
        lines.append(f"200,{6_100_000_000 + meter},E1B1,1,E1,N1,M{meter:06d},kWh,{minutes},")
        for day, row in zip(days, values[meter].tolist(), strict=True):
            texts = ",".join(f"{value // 1000}.{value % 1000:03d}" for value in row)
            lines.append(f"300,{day},{texts},A,,,20260101003000,20260102003000")
    lines.append("900")
    return ("\r\n".join(lines) + "\r\n").encode(), values.ravel()


def make_mscons(values_count: int) -> tuple[bytes, np.ndarray[Any, Any]]:
    """Return an interchange of quarter hours with three decimals, and its values in watt-hours."""
    rng = np.random.default_rng(7)
    values = rng.gamma(1.2, 400, values_count).astype(np.int64)
    start = datetime(2025, 1, 1, tzinfo=UTC)
    stamps = [f"{start + timedelta(minutes=15 * k):%Y%m%d%H%M}?+00:303" for k in range(values_count + 1)]
    head = (
        "UNA:+.? 'UNB+UNOC:3+1:500+2:500+260101:1200+R1++TL'UNH+1+MSCONS:D:04B:UN:2.4c'BGM+7+R1+9'"
        "DTM+137:202601011200?+00:303'NAD+MS+1::293'NAD+MR+2::293'UNS+D'NAD+DP'LOC+172+DE0001'"
        "LIN+1'PIA+5+1-1?:1.29.0:SRW'"
    )
    parts = [head]
    for value, begin, end in zip(values.tolist(), stamps, stamps[1:], strict=False):
        parts.append(f"QTY+220:{value // 1000}.{value % 1000:03d}:KWH'DTM+163:{begin}'DTM+164:{end}'")
    parts.append(f"UNT+{3 * values_count + 11}+1'UNZ+1+R1'")
    return "".join(parts).encode(), values
