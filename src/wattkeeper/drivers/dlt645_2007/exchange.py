"""One request and its answer: which frame matches, what a refusal means, how follow-up frames join."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from wattkeeper.drivers.api import Answer as FrameAnswer
from wattkeeper.drivers.api import AnswerDamaged, DeviceRefused, Request, Steps
from wattkeeper.protocols.dlt645.errors import Dlt645Error
from wattkeeper.protocols.dlt645.frame import Frame, decode_frame, encode_frame
from wattkeeper.protocols.dlt645.services import (
    Answer,
    Function,
    Read,
    ReadMore,
    Refusal,
    decode_answer,
    encode_read,
    encode_read_more,
)

FOLLOW_UPS_MAX = 255


@dataclass(frozen=True, slots=True)
class Line:
    """The meter at the other end: its address and how many FE wake it."""

    address: str
    wake_up_count: int

    def ask(
        self, frame: Frame, is_match: Callable[[Answer], bool], *, is_question: bool = False
    ) -> Steps[tuple[int, Answer]]:
        """
        Send one frame; return the index of the frame that answered, and what it says.

        :raises DeviceRefused: if the meter answers that it will not
        """
        request = Request(
            encode_frame(frame, self.wake_up_count),
            lambda octets: self._matches(octets, frame.function, is_match),
            is_question=is_question,
        )
        answered: FrameAnswer = yield request
        with damage_named():
            answer = self._decode(answered.frame)
        if answer.refusal is not None:
            name = answer.refusal.name or str(answer.refusal.value)
            raise DeviceRefused(
                "dlt645.refused", function=frame.function, refusal=name, refusal_code=int(answer.refusal)
            )
        return answered.frame_index, answer

    def read(
        self, request: Read, is_match: Callable[[Answer], bool] | None = None
    ) -> Steps[tuple[int, bytes]]:
        """Read one identifier with all its follow-up frames; return the last frame's index and the data."""

        def matches(answer: Answer) -> bool:
            return answer.di == request.di and (is_match is None or is_match(answer))

        asked = encode_read(self.address, request)
        frame_index, answer = yield from self.ask(asked, matches, is_question=True)
        data = answer.data
        sequence = 0
        while answer.has_more:
            sequence += 1
            if sequence > FOLLOW_UPS_MAX:
                raise AnswerDamaged("dlt645.too-long", bytes=len(data))
            frame_index, answer = yield from self._read_more(ReadMore(request.di, sequence))
            data += answer.data
        return frame_index, data

    def _read_more(self, request: ReadMore) -> Steps[tuple[int, Answer]]:
        return self.ask(
            encode_read_more(self.address, request),
            lambda answer: answer.di == request.di and answer.sequence == request.sequence,
            is_question=True,
        )

    def _matches(self, octets: bytes, function: int, is_match: Callable[[Answer], bool]) -> bool:
        try:
            answer = self._decode(octets)
        except Dlt645Error:
            return False
        return answer.function == function and (answer.refusal is not None or is_match(answer))

    def _decode(self, octets: bytes) -> Answer:
        frame, answer = _decode(octets)
        if frame.address != self.address:
            raise Dlt645Error("dlt645.not-an-answer", bytes=len(octets))
        return answer


@lru_cache(maxsize=8)
def _decode(octets: bytes) -> tuple[Frame, Answer]:
    """A frame is looked at to see whether it matches, and again for what it says."""
    decoded = decode_frame(octets)
    if decoded is None or not decoded[0].is_answer:
        raise Dlt645Error("dlt645.not-an-answer", bytes=len(octets))
    return decoded[0], decode_answer(decoded[0])


def is_absent_answer(refused: DeviceRefused) -> bool:
    """Return whether a meter refused because it has no such data."""
    code = refused.params.get("refusal_code")
    return isinstance(code, int) and bool(code & Refusal.NO_SUCH_DATA)


def is_empty(answer: Answer) -> bool:
    """Return whether an answer carries nothing, as those to writing and control do."""
    return not answer.data and answer.function in (Function.WRITE, Function.CONTROL)


@contextmanager
def damage_named() -> Iterator[None]:
    """Turn an error of the protocol into `AnswerDamaged`."""
    try:
        yield
    except Dlt645Error as error:
        raise AnswerDamaged(error.code, is_permanent=False, **error.params) from error
