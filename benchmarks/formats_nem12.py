"""NEM12: values read exactly per CPU second, against the fastest of two independent readers in the same run.

    python benchmarks/formats_nem12.py [--values 1000000]

Three shapes of file: 30 and 5 minutes over 60 days, and the market's daily files (a 200 record for each day).
Ours gives exact integers, each equal to the generator's; the peers' floats must round to the same. At least
three times the fastest peer on every shape, or exit 2; exit 1 when a value is wrong.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import aemo_mdff_reader
import nemreader
import numpy as np
from formats_rig import best_of, finish_ratio, make_nem12

from wattkeeper.formats.nem12 import read_nem12

SHAPES = {"30 minutes, 60 days": (30, 60), "5 minutes, 60 days": (5, 60), "30 minutes, 1 day": (30, 1)}
RATIO_LEAST = 3.0


def main() -> None:
    """Run, check, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--values", type=int, default=1_000_000)
    options = parser.parse_args()
    shapes = {name: measure(options.values, *shape) for name, shape in SHAPES.items()}
    ratio = min(shape["ratio"] for shape in shapes.values())
    is_right = all(shape["is_exact"] for shape in shapes.values())
    finish_ratio(
        claim="NEM12 values read exactly per CPU second",
        figure=min(shape["ours"] for shape in shapes.values()),
        unit="values/CPU-s",
        ratio=ratio,
        ratio_least=RATIO_LEAST,
        n=options.values,
        shapes=shapes,
        is_right=is_right,
    )


def measure(values_count: int, minutes: int, days_count: int) -> dict[str, Any]:
    """Return values per CPU second of each reader for one shape of file, and whether all values are equal."""
    meters_count = max(1, values_count // (days_count * 1440 // minutes))
    content, truth_wh = make_nem12(meters_count, days_count, minutes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.csv"
        path.write_bytes(content)
        ours_s, parsed = best_of(lambda: read_nem12(path.read_bytes()))
        exact = np.concatenate([block.value_milliwh for block in parsed.blocks])
        is_exact = parsed.errors == [] and np.array_equal(exact, truth_wh * 1000)
        del parsed, exact
        columns_s, columns = best_of(lambda: aemo_mdff_reader.parse_to_columns(str(path)), 2)
        is_exact &= np.array_equal(np.rint(np.array(columns["Value"]) * 1000).astype(np.int64), truth_wh)
        del columns
        rows_s, count = best_of(lambda: sum(1 for _row in aemo_mdff_reader.parse(str(path))), 1)
        is_exact &= count == len(truth_wh)
        objects_s, data = best_of(lambda: nemreader.read_nem_file(str(path)), 1)
        held = [row.read_value for nmi in data.readings.values() for rows in nmi.values() for row in rows]
        is_exact &= np.array_equal(np.rint(np.array(held) * 1000).astype(np.int64), truth_wh)
    count = len(truth_wh)
    peers = {
        "aemo-mdff-reader columns": round(count / columns_s),
        "aemo-mdff-reader rows": round(count / rows_s),
        "nemreader": round(count / objects_s),
    }
    ours = round(count / ours_s)
    return {
        "ours": ours,
        **peers,
        "ratio": round(ours / max(peers.values()), 2),
        "n": count,
        "is_exact": bool(is_exact),
    }


if __name__ == "__main__":
    main()
