"""Money: whole minor units of one currency, never a float."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

_BY_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF"
        " CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG"
        " HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU"
        " MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR"
        " SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED"
        " VES WST XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
MINOR_DIGITS = {code: digits for digits, codes in _BY_DIGITS.items() for code in codes.split()}
"""Decimals of the minor unit of each currency that is paid with (ISO 4217, list one)."""


@dataclass(frozen=True, slots=True)
class Money:
    """`amount_minor` cents (fen, øre ...) of `currency` (ISO 4217)."""

    amount_minor: int
    currency: str

    def __str__(self) -> str:
        digits = MINOR_DIGITS[self.currency]
        return f"{Decimal(self.amount_minor).scaleb(-digits):.{digits}f} {self.currency}"


def fraction_to_minor(amount: Fraction, currency: str) -> int:
    """Return the exact `amount` (major units) rounded half up, away from zero, to whole minor units."""
    scaled: Fraction = abs(amount) * 10 ** MINOR_DIGITS[currency]
    rounded = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return rounded if amount >= 0 else -rounded
