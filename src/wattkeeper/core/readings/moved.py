"""How much energy a read of a register can have moved from one side of it to the other, or made up."""

from collections.abc import Iterable


def most_moved_counts(ways: Iterable[tuple[int, int]], register_modulus: int | None) -> int:
    """Return the longest of the ways between values of a register, in its counts; 0 for none.

    `ways`: from what it showed before to what was read, and from there to what it showed after; a register
    with a modulus goes the shorter way round. Without the read its energy is told by those two alone, so none
    of it moves farther.
    """
    lengths = [abs(last - first) for first, last in ways]
    if register_modulus is not None:
        lengths = [min(length, abs(register_modulus - length)) for length in lengths]
    return max(lengths, default=0)
