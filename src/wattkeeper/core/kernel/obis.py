"""OBIS codes: six groups ``A-B:C.D.E*F`` (IEC 62056-6-1)."""

import re
from dataclasses import dataclass

_TEXT = re.compile(r"(\d{1,3})-(\d{1,3}):(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\*(\d{1,3}))?")


@dataclass(frozen=True, slots=True, order=True)
class Obis:
    """One OBIS code; `f` is 255 where it is not used."""

    a: int
    b: int
    c: int
    d: int
    e: int
    f: int = 255

    @classmethod
    def parse(cls, text: str) -> "Obis":
        """Return the code written as ``1-0:1.8.0`` or ``1-0:1.8.0*255`` or ``1.0.1.8.0.255``.

        :raises ValueError: if `text` is none of these
        """
        match = _TEXT.fullmatch(text)
        groups = [int(g) for g in (match.groups("255") if match else text.split("."))]
        if len(groups) != 6 or any(not 0 <= group <= 255 for group in groups):
            raise ValueError(f"not an OBIS code: {text!r}")
        return cls(*groups)

    @classmethod
    def from_bytes(cls, octets: bytes) -> "Obis":
        """Return the code of six octets.

        :raises ValueError: if there are not six
        """
        if len(octets) != 6:
            raise ValueError("an OBIS code has six octets")
        return cls(*octets)

    def to_bytes(self) -> bytes:
        """Return the six octets."""
        return bytes((self.a, self.b, self.c, self.d, self.e, self.f))

    def __str__(self) -> str:
        text = f"{self.a}-{self.b}:{self.c}.{self.d}.{self.e}"
        return text if self.f == 255 else f"{text}*{self.f}"
