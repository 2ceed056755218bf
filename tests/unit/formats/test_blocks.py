"""Columns of quality, as blocks hold them."""

import numpy as np

from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.formats.blocks import quality_columns


def test_a_flag_of_a_later_release_is_left_out() -> None:
    measured, nothing = np.full(3, int(Provenance.MEASURED)), np.full(3, int(Method.NONE))
    later = int(Flag.VALIDATED) | 2 * max(Flag)
    index, kinds = quality_columns(measured, np.array([1, later, 0]), nothing)
    assert kinds[index].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
