"""What a DLMS server shows: COSEM objects (IEC 62056-6-2) as getters, setters and methods.

Getters return A-XDR fragments of `encoding`; setters and methods take decoded values. All of them refuse by
raising `ServiceRefused("...", result=DataAccessResult....)`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from wattkeeper.protocols.dlms import date_time
from wattkeeper.protocols.dlms.apdus import Access, Descriptor
from wattkeeper.protocols.dlms.axdr import Value
from wattkeeper.protocols.dlms.encoding import (
    array,
    boolean,
    double_long_unsigned,
    enum,
    integer,
    length,
    long,
    long_unsigned,
    octet_string,
    structure,
)
from wattkeeper.protocols.dlms.errors import ServiceRefused
from wattkeeper.protocols.dlms.obis import Obis, ObisLike
from wattkeeper.protocols.dlms.services import DataAccessResult

CLASS_DATA = 1
CLASS_REGISTER = 3
CLASS_PROFILE = 7
CLASS_CLOCK = 8
CLASS_ASSOCIATION = 15
CLASS_DISCONNECT_CONTROL = 70

CLOCK = Obis(0, 0, 1, 0, 0)
LOGICAL_DEVICE_NAME = Obis(0, 0, 42, 0, 0)
SERIAL_NUMBER = Obis(0, 0, 96, 1, 0)
INVOCATION_COUNTER = Obis(0, 0, 43, 1, 0)
DISCONNECT_CONTROL = Obis(0, 0, 96, 3, 10)
LOAD_PROFILE = Obis(1, 0, 99, 1, 0)
CURRENT_ASSOCIATION = Obis(0, 0, 40, 0, 0)

Getter = Callable[[], bytes]
Setter = Callable[[Value], None]
Method = Callable[[Value], bytes]


@dataclass(frozen=True, slots=True)
class Column:
    """A captured attribute of a profile; data index 0 is the whole attribute."""

    class_id: int
    obis: ObisLike
    attribute: int = 2
    data_index: int = 0

    def encode(self) -> bytes:
        """Return the capture object definition."""
        return structure(
            long_unsigned(self.class_id),
            octet_string(self.obis.to_bytes()),
            integer(self.attribute),
            long_unsigned(self.data_index),
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile generic (class 7), first column the clock.

    `rows_between(from_s, to_s)` returns the stored records with from_s <= stamp <= to_s (UTC seconds, None is
    open), oldest first, one A-XDR fragment a column. `zone` reads instants without deviation.
    """

    columns: tuple[Column, ...]
    rows_between: Callable[[int | None, int | None], Sequence[Sequence[bytes]]]
    interval_s: int = 900
    capacity_count: int = 65_535
    zone: tzinfo = UTC

    def buffer(self, access: Access | None) -> bytes:
        """
        Return attribute 2, whole, by range (selector 1) or by entry (selector 2).

        :raises ServiceRefused: if the access is none of these
        """
        if access is None:
            return _rows(self.rows_between(None, None))
        if access.selector == 1:
            return self._by_range(access.parameter)
        if access.selector == 2:
            return self._by_entry(access.parameter)
        raise refused(DataAccessResult.SCOPE_OF_ACCESS_VIOLATED)

    def _by_range(self, parameter: Value) -> bytes:
        if not isinstance(parameter, list) or len(parameter) != 4:
            raise refused(DataAccessResult.TYPE_UNMATCHED)
        restricting, starts_at, ends_at, selected = parameter
        if self._column_index(restricting) != 0 or not isinstance(selected, list):
            raise refused(DataAccessResult.SCOPE_OF_ACCESS_VIOLATED)
        indexes = [self._column_index(column) for column in selected]
        rows = self.rows_between(self._instant(starts_at), self._instant(ends_at))
        return _rows([[row[i] for i in indexes] for row in rows] if indexes else rows)

    def _by_entry(self, parameter: Value) -> bytes:
        numbers = (
            [number for number in parameter if isinstance(number, int)] if isinstance(parameter, list) else []
        )
        if len(numbers) != 4:
            raise refused(DataAccessResult.TYPE_UNMATCHED)
        first, last, left, right = numbers
        if first < 1 or left < 1 or min(numbers) < 0:
            raise refused(DataAccessResult.SCOPE_OF_ACCESS_VIOLATED)
        rows = self.rows_between(None, None)[first - 1 : last or None]
        return _rows([row[left - 1 : right or None] for row in rows])

    def _column_index(self, definition: Value) -> int:
        for index, column in enumerate(self.columns):
            if definition == [column.class_id, column.obis.to_bytes(), column.attribute, column.data_index]:
                return index
        raise refused(DataAccessResult.SCOPE_OF_ACCESS_VIOLATED)

    def _instant(self, octets: Value) -> int | None:
        if not isinstance(octets, bytes):
            raise refused(DataAccessResult.TYPE_UNMATCHED)
        return date_time.to_utc_s(octets, zone=self.zone)


def refused(result: int) -> ServiceRefused:
    """Return the error a getter, setter or method raises to refuse with `result`."""
    return ServiceRefused("dlms.refused", result=result)


def _rows(rows: Sequence[Sequence[bytes]]) -> bytes:
    return b"\x01" + length(len(rows)) + b"".join(structure(*row) for row in rows)


@dataclass(slots=True)
class ObjectModel:
    """The attributes and methods of a logical device. The `add_` methods fill in whole objects."""

    getters: dict[Descriptor, Getter] = field(default_factory=dict)
    setters: dict[Descriptor, Setter] = field(default_factory=dict)
    methods: dict[Descriptor, Method] = field(default_factory=dict)
    profiles: dict[Obis, Profile] = field(default_factory=dict)

    def add_data(self, obis: ObisLike, get: Getter) -> None:
        """Add a Data object (class 1), for names, serial numbers and counters."""
        self._add(CLASS_DATA, obis, {2: get})

    def add_register(self, obis: ObisLike, get: Getter, *, scaler: int, unit: int) -> None:
        """Add a Register (class 3); the quantity is value * 10**scaler in `unit` (30 is Wh)."""
        scaler_unit = structure(integer(scaler), enum(unit))
        self._add(CLASS_REGISTER, obis, {2: get, 3: lambda: scaler_unit})

    def add_clock(
        self,
        get_s: Callable[[], int],
        set_s: Callable[[int], None],
        *,
        deviation_min: int = 0,
        obis: ObisLike = CLOCK,
    ) -> None:
        """Add a Clock (class 8) that shows and takes UTC seconds, in local time of `deviation_min`."""

        def set_time(value: Value) -> None:
            if not isinstance(value, bytes):
                raise refused(DataAccessResult.TYPE_UNMATCHED)
            at_s = date_time.to_utc_s(value, zone=UTC)
            if at_s is None:
                raise refused(DataAccessResult.TYPE_UNMATCHED)
            set_s(at_s)

        self._add(
            CLASS_CLOCK,
            obis,
            {
                2: lambda: octet_string(date_time.encode(get_s(), deviation_min=deviation_min)),
                3: lambda: long(deviation_min),
                4: lambda: b"\x11\x00",
            },
        )
        self.setters[Descriptor(CLASS_CLOCK, Obis.of(obis), 2)] = set_time

    def add_profile(self, profile: Profile, obis: ObisLike = LOAD_PROFILE) -> None:
        """Add a Profile generic (class 7)."""
        self.profiles[Obis.of(obis)] = profile
        self._add(
            CLASS_PROFILE,
            obis,
            {
                2: lambda: profile.buffer(None),
                3: lambda: array(*(column.encode() for column in profile.columns)),
                4: lambda: double_long_unsigned(profile.interval_s),
                5: lambda: enum(1),
                6: lambda: profile.columns[0].encode(),
                7: lambda: double_long_unsigned(len(profile.rows_between(None, None))),
                8: lambda: double_long_unsigned(profile.capacity_count),
            },
        )

    def add_disconnect_control(
        self,
        get_state: Callable[[], int],
        disconnect: Callable[[], None],
        reconnect: Callable[[], None],
        *,
        control_mode: int = 1,
        obis: ObisLike = DISCONNECT_CONTROL,
    ) -> None:
        """Add a Disconnect control (class 70). `get_state`: 0 off, 1 connected, 2 ready to reconnect.

        In control modes 1, 3, 5 and 6 `reconnect` only makes ready, in 2 and 4 it connects.
        """
        self._add(
            CLASS_DISCONNECT_CONTROL,
            obis,
            {
                2: lambda: boolean(get_state() == 1),
                3: lambda: enum(get_state()),
                4: lambda: enum(control_mode),
            },
        )
        for index, act in ((1, disconnect), (2, reconnect)):
            self.methods[Descriptor(CLASS_DISCONNECT_CONTROL, Obis.of(obis), index)] = _command(act)

    def _add(self, class_id: int, obis: ObisLike, getters: dict[int, Getter]) -> None:
        code = Obis.of(obis)
        name = octet_string(code.to_bytes())
        self.getters[Descriptor(class_id, code, 1)] = lambda: name
        for attribute, get in getters.items():
            self.getters[Descriptor(class_id, code, attribute)] = get


def _command(act: Callable[[], None]) -> Method:
    def method(_value: Value) -> bytes:
        act()
        return b""

    return method
