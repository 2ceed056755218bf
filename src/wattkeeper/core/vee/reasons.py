"""Why a value was edited: the reason codes of AEMO's meter data file format (MDFF 2.6, table of reasons)."""

FREE_TEXT = 0

REASON_CODES = frozenset(
    {
        *range(4),
        *range(5, 16),
        *range(17, 19),
        *range(20, 30),
        *range(31, 46),
        *range(47, 49),
        *range(51, 56),
        *range(60, 63),
        *range(64, 66),
        *range(67, 70),
        *range(71, 82),
        87,
        89,
        *range(100, 110),
    }
)
"""Codes in use; what is missing in between was withdrawn."""
