"""What can be wrong with Modbus bytes: a stable dotted code and its parameters, never a sentence."""

from typing import Any


class ModbusError(ValueError):
    """Base of every error this protocol raises."""

    def __init__(self, code: str, /, **params: object) -> None:
        self.code = code
        self.params: dict[str, Any] = params
        super().__init__(f"{code} {params}" if params else code)


class FrameError(ModbusError):
    """Raised when bytes cannot become a frame, however many more arrive."""


class ChecksumMismatch(FrameError):
    """Raised when an RTU frame is whole but damaged."""


class ContentError(ModbusError):
    """Raised when a frame is sound but its content is not what its function says, or a value does not fit."""
