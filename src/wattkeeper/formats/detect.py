"""Which format a file is, from its first bytes."""

from typing import Literal

NEM12_RECORDS = (b"100,", b"200,", b"300,")


def detect_format(head: bytes) -> Literal["nem12", "csv"]:
    """Return the format the first bytes of a file speak for; the reader says what is wrong with the rest."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return "nem12" if start.startswith(NEM12_RECORDS) else "csv"
