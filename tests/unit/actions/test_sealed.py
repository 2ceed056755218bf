"""What is sealed opens only whole, unchanged and with its own secret."""

import io
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.actions.operations import sealed
from wattkeeper.actions.operations.sealed import Kind, OpeningReader, SealingWriter, Secret
from wattkeeper.core.kernel.errors import WattkeeperError

KEY = Secret(Kind.KEY_FILE, bytes(range(32)))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "CHUNK_BYTES", 64)
    monkeypatch.setattr(sealed, "_N_LOG2", 4)


def seal(content: bytes, secret: Secret = KEY, piece: int = 50) -> bytes:
    target = io.BytesIO()
    writer = SealingWriter(target, secret)
    for start in range(0, len(content), piece):
        writer.write(content[start : start + piece])
    writer.close()
    return target.getvalue()


def unseal(content: bytes, secret: Secret = KEY) -> bytes:
    source: IO[bytes] = io.BytesIO(content)
    return OpeningReader(source, secret).read()


@settings(max_examples=60)
@given(content=st.binary(max_size=400), piece=st.integers(1, 200))
def test_what_went_in_comes_out(content: bytes, piece: int) -> None:
    assert unseal(seal(content, piece=piece)) == content


@pytest.mark.parametrize("size", [0, 63, 64, 65, 128, 129])
def test_every_flipped_bit_and_every_cut_is_seen(size: int) -> None:
    content = bytes(size)
    whole = seal(content)
    for index in range(len(whole)):
        damaged = bytearray(whole)
        damaged[index] ^= 1
        with pytest.raises(WattkeeperError):
            unseal(bytes(damaged))
        with pytest.raises(WattkeeperError):
            unseal(whole[:index])
    with pytest.raises(WattkeeperError):
        unseal(whole + b"\0")


def test_chunks_cannot_be_swapped_dropped_or_borrowed() -> None:
    head, chunk = 28, 64 + 16
    whole, other = seal(bytes(64 * 4)), seal(bytes(64 * 4))
    pieces = [whole[head + chunk * i : head + chunk * (i + 1)] for i in range(4)]
    for changed in (
        [pieces[1], pieces[0], *pieces[2:]],
        [pieces[0], *pieces[2:]],
        pieces[:3],
        [other[head : head + chunk], *pieces[1:]],
    ):
        with pytest.raises(WattkeeperError):
            unseal(whole[:head] + b"".join(changed))


def test_the_secret_has_to_be_the_one() -> None:
    passphrase = Secret(Kind.PASSPHRASE, b"correct horse battery")
    whole = seal(b"kept", passphrase)
    assert unseal(whole, passphrase) == b"kept"
    for wrong in (Secret(Kind.PASSPHRASE, b"correct horse batterz"), KEY):
        with pytest.raises(WattkeeperError):
            unseal(whole, wrong)
    for short in (b"eleven byte", b""):
        with pytest.raises(WattkeeperError):
            Secret(Kind.PASSPHRASE, short)
    with pytest.raises(WattkeeperError):
        Secret(Kind.KEY_FILE, bytes(31))


def test_the_same_content_is_never_sealed_the_same() -> None:
    assert seal(b"kept") != seal(b"kept")
    assert b"kept" not in seal(b"kept")
