"""OBIS codes (IEC 62056-6-1): six groups, written ``A-B:C.D.E*F``, six octets on the wire."""

from typing import NamedTuple, Protocol

from wattkeeper.protocols.dlms.errors import ApduDamaged


class ObisLike(Protocol):
    """Whatever can say its six octets: our own or a caller's type of OBIS code."""

    def to_bytes(self) -> bytes:
        """Return the six octets."""
        ...


class Obis(NamedTuple):
    """One code; `f` is 255 where it is not used."""

    a: int
    b: int
    c: int
    d: int
    e: int
    f: int = 255

    @classmethod
    def from_bytes(cls, octets: bytes) -> "Obis":
        """
        Return the code of six octets.

        :raises ApduDamaged: if there are not six
        """
        if len(octets) != 6:
            raise ApduDamaged("dlms.bad-obis", byte_count=len(octets))
        return cls(*octets)

    @classmethod
    def of(cls, code: ObisLike) -> "Obis":
        """Return the code that a caller's type holds."""
        return cls.from_bytes(code.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the six octets."""
        return bytes(self)

    def __str__(self) -> str:
        text = f"{self.a}-{self.b}:{self.c}.{self.d}.{self.e}"
        return text if self.f == 255 else f"{text}*{self.f}"
