"""Check digits of the names of metering points: energy under a wrong name is another's."""

_NMI_LENGTH, _MALO_LENGTH = 10, 11


def nmi_check_digit(nmi: str) -> int:
    """Return the check digit of a National Metering Identifier's ten characters.

    The ASCII code of every other character, from the last on, counts twice; the digits of all codes are added
    up. AEMO, National Metering Identifier Procedure, appendix "NMI checksum", by its worked examples.
    """
    codes = [ord(one) * (1 + index % 2) for index, one in enumerate(nmi.upper())]
    return -sum(int(digit) for code in codes for digit in str(code)) % 10


def bare_nmi(text: str) -> str | None:
    """Return an NMI without its check digit, where it has one; None where that is wrong."""
    if len(text) != _NMI_LENGTH + 1 or not (text.isascii() and text.isalnum() and text[-1].isdigit()):
        return text
    bare = text[:_NMI_LENGTH]
    return bare if int(text[-1]) == nmi_check_digit(bare) else None


def malo_check_digit(malo: str) -> int:
    """Return the check digit of the first ten digits of a German market location's number.

    Digits at even places count twice. BDEW, Anwendungshilfe Marktlokations-Identifikationsnummer, 2017.
    """
    return -sum(int(digit) * (1 + index % 2) for index, digit in enumerate(malo[: _MALO_LENGTH - 1])) % 10


def is_malo_wrong(text: str) -> bool:
    """Whether a text has the form of a market location's number, eleven digits, but not its check digit."""
    has_form = len(text) == _MALO_LENGTH and text.isascii() and text.isdigit() and text[0] != "0"
    return has_form and int(text[-1]) != malo_check_digit(text)
