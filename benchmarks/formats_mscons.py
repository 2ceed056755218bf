"""MSCONS: segments read per CPU second, against pydifact in the same run.

    python benchmarks/formats_mscons.py [--values 35040]

A year of quarter hours; ours gives exact integers with times and qualities, each equal to the generator's,
pydifact's QTY segments must hold the same texts. At least three times its segments, or exit 2;
exit 1 when a value is wrong.
"""

import argparse
import warnings
from typing import Any

import numpy as np
from formats_rig import best_of, finish_ratio, make_mscons
from pydifact.segmentcollection import Interchange

from wattkeeper.formats.mscons import read_mscons

RATIO_LEAST = 3.0


def main() -> None:
    """Run, check, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--values", type=int, default=35_040)
    options = parser.parse_args()
    content, truth_wh = make_mscons(options.values)
    segments_count = content.count(b"'") - content.count(b"?'")
    ours_s, parsed = best_of(lambda: read_mscons(content))
    is_right = parsed.errors == [] and np.array_equal(parsed.blocks[0].value_milliwh, truth_wh * 1000)
    is_right &= bool((np.diff(parsed.blocks[0].starts_at_s) == 900).all())
    peer_s, texts = best_of(lambda: peer_values(content), 1)
    is_right &= [round(float(text) * 1000) for text in texts] == truth_wh.tolist()
    ratio = round(peer_s / ours_s, 2)
    finish_ratio(
        claim="MSCONS segments read per CPU second",
        figure=round(segments_count / ours_s),
        unit="segments/CPU-s",
        pydifact=round(segments_count / peer_s),
        ratio=ratio,
        ratio_least=RATIO_LEAST,
        n=segments_count,
        is_right=bool(is_right),
    )


def peer_values(content: bytes) -> list[str]:
    """Return the values' texts as pydifact has them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interchange: Any = Interchange.from_str(content.decode("latin-1"))
        return [segment.elements[0][1] for segment in interchange.segments if segment.tag == "QTY"]


if __name__ == "__main__":
    main()
