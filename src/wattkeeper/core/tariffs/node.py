"""A cursor over a JSON document that knows where it is, so that an error names the wrong field."""

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import TypeVar

from wattkeeper.core.kernel.errors import WattkeeperError

_DECIMAL = re.compile(r"-?\d{1,12}(?:\.\d{1,12})?")
_CODE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_Choice = TypeVar("_Choice", bound=Enum)


class TariffInvalid(WattkeeperError):
    """Raised when a tariff document is wrong; `params["path"]` names the field: ``components[1].price``."""


class Node:
    """A value and its path. Every getter raises `TariffInvalid` with the path of what it refuses."""

    def __init__(self, value: object, path: str = "") -> None:
        self.value = value
        self.path = path

    def wrong(self, code: str, **params: object) -> TariffInvalid:
        """Return the error `tariffs.<code>` for this place."""
        return TariffInvalid(f"tariffs.{code}", is_permanent=True, path=self.path or ".", **params)

    def only(self, *names: str) -> "Node":
        """Return self, refusing any other field."""
        for name in self._fields():
            if name not in names:
                raise Node(None, self._child(str(name))).wrong("unknown-field")
        return self

    def has(self, name: str) -> bool:
        """Whether the field is there."""
        return name in self._fields()

    def get(self, name: str) -> "Node":
        """Return the field's node."""
        node = Node(self._fields().get(name), self._child(name))
        if name not in self._fields():
            raise node.wrong("missing-field")
        return node

    def entries(self) -> "Iterator[tuple[str, Node]]":
        """Yield the name and node of each field."""
        for name, value in self._fields().items():
            yield str(name), Node(value, self._child(str(name)))

    def items(self, *, at_most: int) -> "list[Node]":
        """Return the nodes of a list."""
        if not isinstance(self.value, list | tuple):
            raise self.wrong("wrong-type", expected="list")
        if len(self.value) > at_most:
            raise self.wrong("too-many", at_most=at_most)
        return [Node(value, f"{self.path}[{index}]") for index, value in enumerate(self.value)]

    def text(self) -> str:
        """Return a string."""
        if not isinstance(self.value, str):
            raise self.wrong("wrong-type", expected="text")
        return self.value

    def code(self) -> str:
        """Return an identifier: lower case letters, digits, dot, dash, underscore."""
        if not _CODE.fullmatch(self.text()):
            raise self.wrong("not-a-code")
        return self.text()

    def whole(self, *, least: int, most: int) -> int:
        """Return an integer in [least, most]."""
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            raise self.wrong("wrong-type", expected="integer")
        if not least <= self.value <= most:
            raise self.wrong("out-of-range", least=least, most=most)
        return self.value

    def decimal(self, *, places: int, may_be_negative: bool = False) -> Decimal:
        """Return an exact decimal, written as a string, of at most `places` decimals."""
        if not _DECIMAL.fullmatch(self.text()):
            raise self.wrong("not-a-decimal")
        value = Decimal(self.text())
        if -int(value.as_tuple().exponent) > places:
            raise self.wrong("too-many-decimals", at_most=places)
        if value < 0 and not may_be_negative:
            raise self.wrong("negative")
        return value

    def day(self) -> date:
        """Return a date written YYYY-MM-DD."""
        try:
            return date.fromisoformat(self.text())
        except ValueError:
            raise self.wrong("not-a-date") from None

    def choice(self, kind: type[_Choice]) -> _Choice:
        """Return the member of `kind` that is written here."""
        try:
            return kind(self.text())
        except ValueError:
            raise self.wrong("not-a-choice", choices=[member.value for member in kind]) from None

    def _fields(self) -> dict[str, object]:
        if not isinstance(self.value, dict):
            raise self.wrong("wrong-type", expected="object")
        return self.value

    def _child(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name
