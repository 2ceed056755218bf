"""`wattkeeper decode`: captured frames in, one JSON line a frame out. Stateless; keeps and sends nothing."""

import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

import typer

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.language import current_language
from wattkeeper.interfaces.cli.tools.captures import KEY_NAMES, Capture, Piece, read_capture
from wattkeeper.interfaces.messages import sentence

PROTOCOLS = ("dlt645", "dlms", "modbus")
INPUT_MAX_BYTES = 64 * 1024 * 1024
COMPARED_MAX_BYTES = 1024 * 1024
KEY_ALIASES = {
    "key": "guek",
    "ek": "guek",
    "encryption_key": "guek",
    "ak": "gak",
    "authentication_key": "gak",
    "system_title": "server_title",
    "client_system_title": "client_title",
}
KEYS = ("frame", "protocol", "address", "service", "readings", "error")

Row = Mapping[str, Any]

_PIECE_ERRORS = (WattkeeperError, ValueError, LookupError, ArithmeticError, RecursionError)


def decode(
    protocol: Annotated[str, typer.Argument(help="dlt645, dlms or modbus")],
    file: Annotated[str, typer.Argument(help="a file, or - for standard input")] = "-",
    key: Annotated[
        list[str] | None, typer.Option("--key", help="NAME=HEX, any number of times (guek=..., gak=...)")
    ] = None,
    map_: Annotated[
        str, typer.Option("--map", help="what Modbus registers mean: a registers.toml, or FILE#NAME")
    ] = "",
) -> None:
    """Decode captured frames: one JSON line a frame. Exit 0 only if every frame was decoded."""
    if protocol not in PROTOCOLS:
        _fail("decode.unknown-protocol", name=protocol, names=", ".join(PROTOCOLS))
    keys = _parse_keys(key or [])
    options = {"registers": _read_map(map_)} if map_ and protocol == "modbus" else {}
    capture = read_capture(_read(file))
    if not any(piece.data or piece.problem for piece in capture.pieces):
        _fail("decode.empty", file=repr(file))
    try:
        is_clean = _print_rows(_decode(_Reader(protocol, keys, options), capture))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    raise typer.Exit(0 if is_clean else 1)


def _parse_keys(texts: Iterable[str]) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for text in texts:
        name, separator, digits = text.partition("=")
        name = name.strip().lower().replace("-", "_")
        if not separator or not name:
            _fail("decode.bad-key")
        name = KEY_ALIASES.get(name, name)
        if name not in KEY_NAMES:
            _fail("decode.unknown-key", name=name, names=", ".join(KEY_NAMES))
        try:
            keys[name] = bytes.fromhex(digits.replace(":", ""))
        except ValueError:
            _fail("decode.bad-key")
    return keys


def _read(file: str) -> bytes:
    try:
        if file == "-":
            content = sys.stdin.buffer.read(INPUT_MAX_BYTES + 1)
        else:
            with Path(file).open("rb") as stream:
                content = stream.read(INPUT_MAX_BYTES + 1)
    except OSError as error:
        _fail("decode.unreadable", file=repr(file), reason=error.strerror or type(error).__name__)
    except ValueError as error:
        _fail("decode.unreadable", file=repr(file), reason=str(error))
    if len(content) > INPUT_MAX_BYTES:
        _fail("decode.too-large", file=repr(file))
    return content


def _read_map(place: str) -> Mapping[int, Any]:
    from wattkeeper.interfaces.cli.tools.register_maps import read_map

    file, _, name = place.partition("#")
    try:
        return read_map(_read(file), name)
    except WattkeeperError as error:
        _fail(error.code, **error.params, file=repr(file))


class _Reader(NamedTuple):
    """How pieces are decoded: `options` are for `decode_chunks` of this protocol."""

    protocol: str
    keys: Mapping[str, bytes]
    options: Mapping[str, Any]


def _decode(reader: _Reader, capture: Capture) -> Iterable[Row]:
    """Return the rows; where frames may be wrapped over lines, whichever reading has fewer errors."""
    pieces = capture.pieces
    size_bytes = sum(len(piece.data) for piece in pieces)
    if capture.wrapped is None or size_bytes > COMPARED_MAX_BYTES:
        return _decode_pieces(reader, pieces)
    by_line = list(_decode_pieces(reader, pieces))
    if not any(row["error"] for row in by_line):
        return by_line
    as_one = list(_decode_pieces(reader, capture.wrapped))
    return as_one if _count_errors(as_one) < _count_errors(by_line) else by_line


def _decode_pieces(reader: _Reader, pieces: Iterable[Piece]) -> Iterator[Row]:
    """Yield the rows of all pieces; those with keys of their own are a conversation of their own."""
    for own_keys, group in groupby(pieces, key=lambda piece: piece.keys):
        yield from _decode_group(reader._replace(keys={**own_keys, **reader.keys}), list(group))


def _decode_group(reader: _Reader, pieces: Sequence[Piece]) -> Iterator[Row]:
    describe = import_module(f"wattkeeper.protocols.{reader.protocol}.describe")
    options = {**reader.options, **_learn(describe, pieces, reader.keys)}
    problems: list[Piece] = []
    last: list[bytes] = [b""]
    chunks = _sound_chunks(pieces, problems, last)
    is_done = False
    while not is_done:
        try:
            for row in describe.decode_chunks(chunks, reader.keys, **options):
                yield from _drained(reader.protocol, problems)
                yield row
            is_done = True
        except _PIECE_ERRORS as error:
            yield _error_row(reader.protocol, last[0].hex(), getattr(error, "code", "decode.failed"))
    yield from _drained(reader.protocol, problems)


def _learn(describe: Any, pieces: Iterable[Piece], keys: Mapping[str, bytes]) -> dict[str, Any]:
    """Return what a protocol can learn from the whole before it decodes; nothing from a large capture."""
    chunks = [piece.data for piece in pieces]
    if not hasattr(describe, "learn") or sum(map(len, chunks)) > COMPARED_MAX_BYTES:
        return {}
    try:
        return {"known": describe.learn(chunks, keys)}
    except _PIECE_ERRORS:
        return {}


def _sound_chunks(pieces: Iterable[Piece], problems: list[Piece], last: list[bytes]) -> Iterator[bytes]:
    """Yield the bytes of sound pieces; put the others into `problems`, and what was yielded into `last`."""
    for piece in pieces:
        if piece.problem:
            problems.append(piece)
        elif piece.data:
            last[0] = piece.data
            yield piece.data


def _drained(protocol: str, problems: list[Piece]) -> Iterator[Row]:
    while problems:
        piece = problems.pop(0)
        yield _error_row(protocol, piece.text[:200], piece.problem)


def _error_row(protocol: str, text: str, code: str) -> Row:
    message = sentence(code if code.startswith("decode.") else "decode.failed")
    error = {"code": code, "message": message, "params": {}}
    return {
        "frame": text,
        "protocol": protocol,
        "address": None,
        "service": None,
        "readings": [],
        "error": error,
    }


def _count_errors(rows: Iterable[Row]) -> int:
    return sum(1 for row in rows if row["error"])


def _print_rows(rows: Iterable[Row]) -> bool:
    """Print each row; return whether none of them is an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    is_clean = True
    for row in rows:
        is_clean = is_clean and not row["error"]
        told = {name: row[name] for name in KEYS}
        if row["error"]:
            told["error"] = _told(row["error"])
        print(json.dumps(told, ensure_ascii=False))
    sys.stdout.flush()
    return is_clean


def _told(error: Mapping[str, Any]) -> dict[str, str]:
    """Return code and message; the protocols speak English, other languages have their sentences."""
    language, message = current_language(), error["message"]
    if language != "en":
        details = ", ".join(f"{name}: {value}" for name, value in error["params"].items())
        message = sentence(error["code"], error["params"], language) + (f" ({details})" if details else "")
    return {"code": error["code"], "message": message}


def _fail(code: str, **params: object) -> NoReturn:
    print(f"{code}: {sentence(code, params, current_language())}", file=sys.stderr)
    raise typer.Exit(2)
