"""What tells a document from any other: its content, however a database keeps it."""

from hashlib import sha256
from json import dumps


def content_sha256(document: object) -> str:
    """Return the SHA-256, in hex, of a document's content: the same whatever the order of its fields.

    Documents hold whole numbers, texts and nothing else that is no list or field: every database gives them
    back as they were.
    """
    text = dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
