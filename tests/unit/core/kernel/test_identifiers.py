"""Check digits, by the worked examples that the standards' bodies published."""

import pytest

from wattkeeper.core.kernel.identifiers import bare_nmi, is_malo_wrong, malo_check_digit, nmi_check_digit

# AEMO, NMI Procedure, worked examples. A published reader counts the other characters twice: 7 for the first.
_NMIS = (
    "20019857328 20019857336 30756218758 30756218766 43168540059 43168540067 63058884446 63508884442 "
    "70018883338 71020000017 NAAAMYS5826 NBBBX111100 NBBBX111118 NCCC5194955 NGGG0000554 QAAAVZZZZZ3 "
    "QCDWW000102 SMVEW000858 VAAA0000657 VAAA0000665 VAAA0000672 VAAASTY5768 VCCCX000091 VEEEX000091 "
    "VKTS7861502 VKTS8671505 VKTS8716507 VKTS8761057 VKTS8761503 VKTS8765108 1234C6789A3"
)
_MALOS = "41373559241 51238696781 56789012345 52935155442 51481308448 51481308456"


@pytest.mark.parametrize("nmi", _NMIS.split())
def test_national_metering_identifiers(nmi: str) -> None:
    assert nmi_check_digit(nmi[:-1]) == int(nmi[-1])
    assert bare_nmi(nmi) == nmi[:-1]
    assert bare_nmi(nmi.lower()) == nmi[:-1].lower()
    for digit in set("0123456789") - {nmi[-1]}:
        assert bare_nmi(nmi[:-1] + digit) is None


@pytest.mark.parametrize(
    "text", ["", "2001985732", "NMI 1", "ABCDEFGHIJK", "200198573288", "METER-PNT-1", "²" * 11]
)
def test_what_has_no_check_digit_stays(text: str) -> None:
    assert bare_nmi(text) == text


@pytest.mark.parametrize("malo", _MALOS.split())
def test_market_locations(malo: str) -> None:
    assert malo_check_digit(malo) == int(malo[-1])
    assert [is_malo_wrong(malo[:-1] + digit) for digit in "0123456789"].count(False) == 1
    swapped = malo[0] + malo[2] + malo[1] + malo[3:]
    assert is_malo_wrong(swapped) == (malo[1] != malo[2])


@pytest.mark.parametrize(
    "text", ["", "4137355924", "413735592410", "01373559240", "DE001", "41373559B41", "²" * 11]
)
def test_what_is_no_market_location_is_not_wrong(text: str) -> None:
    assert not is_malo_wrong(text)
