"""What can be wrong with DL/T 645 bytes: a stable dotted code and its parameters, never a sentence."""

from typing import Any


class Dlt645Error(ValueError):
    """Base of every error this protocol raises."""

    def __init__(self, code: str, /, **params: object) -> None:
        self.code = code
        self.params: dict[str, Any] = params
        super().__init__(f"{code} {params}" if params else code)


class FrameError(Dlt645Error):
    """Raised when bytes cannot become a frame, however many more arrive."""


class ChecksumMismatch(FrameError):
    """Raised when a frame is whole but damaged."""


class ContentError(Dlt645Error):
    """Raised when a frame is sound but its data field is not what its service says."""
