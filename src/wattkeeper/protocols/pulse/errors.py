"""What can be wrong with a pulse message: a stable dotted code and its parameters, never a sentence."""

from typing import Any


class PulseError(ValueError):
    """Raised when bytes are no pulse message; nothing of them is used."""

    def __init__(self, code: str, /, **params: object) -> None:
        self.code = code
        self.params: dict[str, Any] = params
        super().__init__(f"{code} {params}" if params else code)
