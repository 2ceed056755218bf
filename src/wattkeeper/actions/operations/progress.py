"""How far a long operation is, for whoever watches."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many of it are done and of how many; 0 of 0 where nobody counts."""


def unwatched(_what: str, _done_count: int, _total_count: int) -> None:
    """Nobody watches."""
