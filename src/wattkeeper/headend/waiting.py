"""The links that wait at one port, found by address or registration packet without looking at each."""

import hashlib
from collections.abc import Iterable

from wattkeeper.headend.dial_in import plain_address
from wattkeeper.headend.slot import Slot


class Waiting:
    """An index of slots. Registration packets are looked up by digest, so that no timing tells of them."""

    def __init__(self, slots: Iterable[Slot] = ()) -> None:
        self._by_token: dict[bytes, list[Slot]] = {}
        self._by_host: dict[str, list[Slot]] = {}
        self._by_network: list[Slot] = []
        self._unbound: list[Slot] = []
        self._token_lengths: list[int] = []
        self.slots = [slot for slot in slots if slot.dial_in is not None and slot.plan.devices]
        for slot in self.slots:
            self._place(slot)

    @property
    def has_tokens(self) -> bool:
        """Whether some link is known by its registration packet."""
        return bool(self._by_token)

    @property
    def token_max_bytes(self) -> int:
        """How long the longest registration packet is."""
        return max(self._token_lengths, default=0)

    @property
    def tenant_ids(self) -> tuple[int, ...]:
        """Whose links wait here, ascending."""
        return tuple(sorted({slot.plan.tenant_id for slot in self.slots}))

    def from_peer(self, peer: str) -> list[Slot]:
        """Return the links without registration packet that are bound to where somebody comes from."""
        wide = [slot for slot in self._by_network if slot.dial_in is not None and slot.dial_in.admits(peer)]
        return [*self._by_host.get(str(plain_address(peer)), ()), *wide]

    def unbound(self) -> list[Slot]:
        """Return the links that only a proved key opens."""
        return self._unbound

    def opened_by(self, received: bytes, peer: str) -> tuple[Slot, int] | None:
        """Return the link whose registration packet `received` begins with, and the packet's length."""
        for length in self._token_lengths:
            if len(received) < length:
                continue
            for slot in self._by_token.get(_digest(received[:length]), ()):
                if slot.dial_in is not None and slot.dial_in.admits(peer):
                    return slot, length
        return None

    def is_secret(self, said: bytes) -> bool:
        """Whether what somebody said is, begins with or is the beginning of a registration packet."""
        tokens = [
            slot.dial_in.token for slot in self.slots if slot.dial_in is not None and slot.dial_in.token
        ]
        return bool(said) and any(said.startswith(token) or token.startswith(said) for token in tokens)

    def _place(self, slot: Slot) -> None:
        dial_in = slot.dial_in
        assert dial_in is not None
        if dial_in.token:
            self._by_token.setdefault(_digest(dial_in.token), []).append(slot)
            if len(dial_in.token) not in self._token_lengths:
                self._token_lengths = sorted([*self._token_lengths, len(dial_in.token)], reverse=True)
        elif not dial_in.networks:
            self._unbound.append(slot)
        elif any(network.num_addresses > 1 for network in dial_in.networks):
            self._by_network.append(slot)
        else:
            for network in dial_in.networks:
                self._by_host.setdefault(str(network.network_address), []).append(slot)


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
