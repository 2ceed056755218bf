"""Faults of a line, drawn from a seed: answers lost, doubled, damaged, late, and garbage before them.

How an answer may be damaged is the protocol's matter: a line that carries no check sum of its own is damaged
only where the receiver can notice, since over TCP nothing else happens either.
"""

from collections import Counter
from collections.abc import Callable
from random import Random

Damage = Callable[[bytes, Random], bytes]


class LineFaults:
    """The fate of each answer of one link. `per_mille`: how many are lost, doubled, damaged, each."""

    def __init__(self, *, seed: int, link: str, per_mille: int, damage: Damage) -> None:
        self.counts: Counter[str] = Counter()
        self._random = Random(f"{seed}:{link}")
        self._per_mille = per_mille
        self._damage = damage
        self._late: list[bytes] = []

    def pass_on(self, answer: bytes) -> list[bytes]:
        """Return what really goes out in place of `answer`."""
        self.counts["answers"] += 1
        late, self._late = self._late, []
        draw = self._random.randrange(1000)
        width = self._per_mille
        if draw < width:
            self.counts["lost"] += 1
            return late
        if draw < 2 * width:
            self.counts["duplicated"] += 1
            return [*late, answer, answer]
        if draw < 3 * width:
            self.counts["damaged"] += 1
            return [*late, self._damage(answer, self._random)]
        if 4 * draw < 13 * width:
            self.counts["late"] += 1
            self._late = [answer]
            return late
        if 4 * draw < 14 * width:
            self.counts["garbage"] += 1
            return [*late, self._random.randbytes(self._random.randrange(1, 24)), answer]
        return [*late, answer]

    def forget(self) -> None:
        """Drop what was late: its connection is gone."""
        self._late = []


def damage_anywhere(frame: bytes, random: Random) -> bytes:
    """Return `frame` with one byte changed; for frames whose check covers all of them."""
    return _change(frame, random.randrange(len(frame)), random)


def damage_modbus_header(frame: bytes, random: Random) -> bytes:
    """Return a Modbus TCP frame with a byte of its transaction, protocol or unit changed."""
    return _change(frame, random.choice((0, 1, 2, 3, 6)), random)


def damage_wrapper(frame: bytes, random: Random) -> bytes:
    """Return a DLMS wrapper frame changed in its ports, or in its text where that is authenticated."""
    is_ciphered = len(frame) > 24 and frame[8] in range(0xC8, 0xD0)
    choices = range(8 + 8, len(frame)) if is_ciphered and random.random() < 0.7 else (0, 1, 2, 3, 4, 5)
    return _change(frame, random.choice(choices), random)


def damage_json_line(frame: bytes, random: Random) -> bytes:
    """Return a line with one byte that no text has."""
    at = random.randrange(max(len(frame) - 1, 1))
    return frame[:at] + b"\xff" + frame[at + 1 :]


def _change(frame: bytes, at: int, random: Random) -> bytes:
    return frame[:at] + bytes((frame[at] ^ random.randrange(1, 256),)) + frame[at + 1 :]
