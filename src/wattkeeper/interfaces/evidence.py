"""What a finding saw, in words: names, and values with their units. No Django: the shell uses it.

A name is ``evidence.<key>`` of the catalogue of codes, a value that is a word is ``<key>.<value>``. A code is
told as its sentence, with what belongs to it.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.quality import Flag
from wattkeeper.interfaces.messages import places_of, sentence, template_of, word

CODES = ("code", "error_code", "reason")
# suffix: decimal digits to the unit that people read, and that unit
UNITS = {
    "_milliwh": (6, "kWh"),
    "_millivarh": (6, "kvarh"),
    "_permille": (1, "%"),
    "_ppm": (4, "%"),
    "_pct": (0, "%"),
    "_mv": (3, "V"),
    "_ma": (3, "A"),
    "_w": (0, "W"),
    "_s": (0, "s"),
}


def tell_evidence(
    evidence: Mapping[str, object], language: str, say_at: Callable[[datetime], str]
) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of all that a finding saw. `say_at` tells an instant in the reader's zone."""
    values = {
        key: _value(key, value, language, say_at)
        for key, value in evidence.items()
        if value not in ("", None) and key not in CODES
    }
    told: set[str] = set()
    for key in CODES:
        if evidence.get(key) and key not in told:
            code = str(evidence[key])
            own = places_of(template_of(code, language)) & evidence.keys()
            told |= own
            params = {name: values[name] if _is_instant(name) else evidence[name] for name in own}
            yield name_of(key, language), sentence(code, params, language)
    for key, text in values.items():
        if key not in told:
            yield name_of(key, language), text


def name_of(key: str, language: str) -> str:
    """Return what a key of evidence is called; the key where it has no name."""
    named = key.replace("_millivarh", "_milliwh")
    return word(f"evidence.{named}", language) or key


def tell_subject(subject_key: str, language: str) -> str:
    """Return in words what a finding is about that is about neither a meter nor a usage point."""
    kind, _, rest = subject_key.partition(":")
    whole = word(f"subject.{subject_key}", language)
    return (
        whole
        or f"{word(f'subject.{kind}', language) or kind} {word(f'what.{rest}', language) or rest}".strip()
    )


def tell_actor(actor: str, language: str) -> str:
    """Return in words who did something: from where, and the name."""
    origin, _, name = actor.partition(":")
    return f"{word(f'origin.{origin}', language) or origin} {name}"


def _value(key: str, value: object, language: str, say_at: Callable[[datetime], str]) -> str:
    text = str(value)
    if _is_instant(key):
        return say_at(from_seconds(value) if isinstance(value, int) else datetime.fromisoformat(text))
    if key == "flags":
        return ", ".join(word(f"flags.{flag.value}", language) or str(flag.name) for flag in Flag(int(text)))
    suffix = next((suffix for suffix in UNITS if key.endswith(suffix)), None)
    if suffix is None:
        return word(f"{_kind(key)}.{text}", language) or text
    digits, unit = UNITS[suffix]
    number = Decimal(text).scaleb(-digits).normalize()
    return f"{number:f} {word(f'unit.{unit}', language) or unit}"


def _kind(key: str) -> str:
    """Return what a value is a word of: ``kept_source`` and ``lost_source`` both of ``source``."""
    return next(
        (kind for kind in ("source", "rank_code") if key.endswith(kind)),
        "is" if key.startswith("is_") else key,
    )


def _is_instant(key: str) -> bool:
    return key == "at" or key.endswith(("_at", "_at_s"))
