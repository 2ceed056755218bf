"""Money: whole minor units of one currency, never a float."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

MINOR_DIGITS = {"CNY": 2, "EUR": 2, "USD": 2, "GBP": 2, "AUD": 2, "JPY": 0}


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """`amount_minor` cents (fen, øre ...) of `currency` (ISO 4217)."""

    amount_minor: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        if self.currency != other.currency:
            raise ValueError("two currencies do not add up")
        return Money(self.amount_minor + other.amount_minor, self.currency)

    def __str__(self) -> str:
        digits = MINOR_DIGITS[self.currency]
        return f"{Decimal(self.amount_minor).scaleb(-digits):.{digits}f} {self.currency}"


def to_minor(amount: Decimal, currency: str) -> int:
    """Return `amount` (major units) rounded half up to whole minor units of `currency`."""
    scaled = amount.scaleb(MINOR_DIGITS[currency])
    return int(scaled.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def fraction_to_minor(amount: Fraction, currency: str) -> int:
    """Return the exact `amount` (major units) rounded half up, away from zero, to whole minor units."""
    scaled: Fraction = abs(amount) * 10 ** MINOR_DIGITS[currency]
    rounded = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return rounded if amount >= 0 else -rounded
