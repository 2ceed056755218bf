"""The facts that readings need of the registry, by shape; `core.registry` has the types that fit."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol


class MultiplierFact(Protocol):
    """A period of one multiplier, ``[starts_at_s, ends_at_s)``."""

    @property
    def starts_at_s(self) -> int: ...
    @property
    def ends_at_s(self) -> int | None: ...
    @property
    def ratio(self) -> Fraction: ...


class ResetFact(Protocol):
    """At `at_s` a register was set from `value_before`, None where nobody read it, to `value_after`."""

    @property
    def at_s(self) -> int: ...
    @property
    def value_before(self) -> int | None: ...
    @property
    def value_after(self) -> int: ...


class InstallationFact(Protocol):
    """A period ``[starts_at_s, ends_at_s)`` in which one channel measured a series."""

    @property
    def channel_id(self) -> int: ...
    @property
    def starts_at_s(self) -> int: ...
    @property
    def ends_at_s(self) -> int | None: ...
    @property
    def step_milliwh(self) -> Fraction: ...
    @property
    def register_modulus(self) -> int | None: ...
    @property
    def multipliers(self) -> Sequence[MultiplierFact]: ...
    @property
    def resets(self) -> Sequence[ResetFact]: ...
