"""Lines of captures and logs: which part of a line is the frame, and what was written around it.

Stripped from the front, as often as they come: instants (``2026-11-01 12:00:00,123``, ``[12:00:00]``), levels
and tags (``DEBUG``, ``[uart:12]``) and directions (``TX``, ``recv:``, ``>>>``, ``收←``, ``Rx:000012-``).
A log line without bytes is talk between the frames. Arrays (``0x68, 0x1``) and literals (``b'h\\\\x01'``) are
read out of the code around them.
"""

import ast
import re

_COMMENT = re.compile(r"(#|//|;|<--).*")
_TIME = r"(?:[01]?\d|2[0-3]):[0-5]\d:[0-5]\d(?:[.,]\d{1,9}|:\d{3})?"
_BARE_TIME = re.compile(r"\d\d:\d\d:\d\d")
_DATE = r"(?:\d{4}[-/.]\d\d?[-/.]\d\d?|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s+\d\d?)"
_STAMP = rf"(?:{_DATE}[T\s]+)?{_TIME}(?:\s?Z|\s?[+-]\d\d:?\d\d)?"
_PREFIX = re.compile(
    rf"""(?: \[{_STAMP}\] | {_STAMP}(?=[\s\]>|,)-]|$)
    | \+?\d+[.,]\d+\s?m?s?(?=[\s:])                                  # seconds since something
    | [\[(](?=[^\])\n]{{0,60}}[^0-9A-Fa-f\s\])xX,:-])[^\])\n]{{1,60}}[\])]  # [tag:12], (20 bytes)
    | \[[0-9A-Fa-f]\]                                                # [D]
    | (?:DEBUG|INFO|WARN(?:ING)?|ERROR|TRACE|VERBOSE|NOTICE)\b
    )[\s:|,-]*""",
    re.VERBOSE | re.IGNORECASE,
)
_DIRECTION = re.compile(
    r"""(?:\d{6}-)?
    (?: (?:[TR]XD?|SEND(?:ING)?|SENT|RECV|RECEIV(?:ED?|ING)|READ|WRITE|REQ(?:UEST)?|RESP(?:ONSE)?|ANSWER
          |PROCESSING|FRAME|DATA|HEX|[PA]DU|BYTES)(?![A-Za-z])
      | 发送?|接?收到? | [-=]+> | <[-=]+ | [→←] | >{1,3} | <{1,3}(?![0-9A-Fa-f]) )
    (?: \s*\(\d+\s*(?:bytes?|B)?\) | \s*\[?\d+\s*(?:bytes?|octets?)\]? | :\d{6}- )?
    [\s:：=◇◆]*""",
    re.VERBOSE | re.IGNORECASE,
)
_TAIL = " \t\r\f□■◇◆"
_PREFIX_COUNT_MAX = 12
_SHORT = re.compile(r"\b0x([0-9A-Fa-f])\b", re.IGNORECASE)
_ARRAY = re.compile(r"0x[0-9A-Fa-f]{1,2}\b", re.IGNORECASE)
_LITERAL = re.compile(r"""b'(?:[^'\\]|\\.)*'|b"(?:[^"\\]|\\.)*\"""")
_SEPARATORS = re.compile(r"0x|\\x?|[\s,:_|\-\[\]{}<>\"']", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9A-Fa-f]*")
_TOKEN = re.compile(r"(?:0x)?[0-9A-Fa-f]{2}(?:[:-]?[0-9A-Fa-f]{2})*")
_RUN_MIN_BYTES = 4
_TOKEN_MIN_BYTES = 10  # a number of a meter has fewer


def without_comment(line: str) -> str:
    """Return `line` up to its comment."""
    return _COMMENT.sub("", line)


def is_digits(text: str) -> bool:
    """Whether `text` is hexadecimal digits and nothing else."""
    return _DIGITS.fullmatch(text) is not None


def frame_digits(line: str) -> str | None:
    """Return the digits of the bytes in `line`, other text if it should hold some, None if it is talk."""
    literal = _LITERAL.search(line)
    if literal is not None:
        return _literal_digits(literal[0])
    rest, is_log = _without_prefixes(without_comment(line).rstrip(_TAIL))
    rest = _SHORT.sub(r"0x0\1", rest)
    digits = _SEPARATORS.sub("", rest)
    if is_digits(digits):
        return digits or None
    array = _ARRAY.findall(rest)
    if len(array) > 1:
        return _SEPARATORS.sub("", "".join(array))
    return _digits_in_log(rest, digits) if is_log else digits


def _literal_digits(text: str) -> str:
    """Return the digits of a Python bytes literal, `text` itself if it is none."""
    try:
        octets = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
    return octets.hex() if isinstance(octets, bytes) else text


def _digits_in_log(rest: str, digits: str) -> str | None:
    tokens = [token for token in rest.split() if _TOKEN.fullmatch(token.rstrip(","))]
    run, token_count = _longest_run(rest)
    if len(run) // 2 >= (_RUN_MIN_BYTES if token_count > 1 else _TOKEN_MIN_BYTES):
        return run
    return digits if len(tokens) > 1 else None


def _without_prefixes(line: str) -> tuple[str, bool]:
    """Return what stands behind the marks of a log, and whether there were any."""
    rest, is_log = line.strip(), False
    for _ in range(_PREFIX_COUNT_MAX):
        match = _PREFIX.match(rest) or _DIRECTION.match(rest)
        if match is None:
            break
        is_all = match.end() == len(rest)
        if is_all and not is_log and _BARE_TIME.fullmatch(rest):
            break  # three octets, by all that can be seen
        rest, is_log = rest[match.end() :], True
    return rest, is_log


def _longest_run(text: str) -> tuple[str, int]:
    """Return the digits of the longest run of hexadecimal tokens, and how many tokens it has."""
    best, best_count = "", 0
    digits, count = "", 0
    for token in text.split():
        is_hex = _TOKEN.fullmatch(token.rstrip(",")) is not None
        digits = digits + _SEPARATORS.sub("", token) if is_hex else ""
        count = count + 1 if is_hex else 0
        if len(digits) > len(best):
            best, best_count = digits, count
    return best, best_count
