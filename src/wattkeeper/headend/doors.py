"""Every port where devices dial in, kept open as the plan has them."""

import asyncio
from collections import Counter
from collections.abc import Coroutine

import structlog

from wattkeeper.headend.dial_in import DialIn, parse_dial_in
from wattkeeper.headend.dialled_wire import DialledWire
from wattkeeper.headend.door import Door, DoorLimits
from wattkeeper.headend.errors import LinkDown
from wattkeeper.headend.families import MakeDriver
from wattkeeper.headend.identify import Identifier, Verdict
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.ports import Clock, LinkPlan, PlanPort, ReportPort, Stranger
from wattkeeper.headend.slot import Slot
from wattkeeper.headend.strangers import SAID_MAX_BYTES, Strangers
from wattkeeper.headend.waiting import Waiting

_BACKLOG_COUNT = 4096
_RETRY_REAL_S = 5.0
_TELLING_MAX_COUNT = 50
_log = structlog.get_logger(__name__)
Address = tuple[str, int]


class Doors:
    """The ports, the links that wait at each, and what is told of those who were not let in."""

    def __init__(
        self,
        clock: Clock,
        plan: PlanPort,
        report: ReportPort,
        make_driver: MakeDriver,
        metrics: HeadendMetrics,
        limits: DoorLimits,
    ) -> None:
        self._clock = clock
        self._metrics = metrics
        self._limits = limits
        self._identifier = Identifier(plan, make_driver, metrics)
        self._strangers = Strangers(report, metrics)
        self._slots: dict[int, Slot] = {}
        self._by_port: dict[int, Waiting] = {}
        self._wanted: Counter[Address] = Counter()  # how many links wait at each
        self._taken: set[Address] = set()  # ports that somebody else holds
        self._open: dict[Address, tuple[Door, asyncio.Server]] = {}
        self._changed = asyncio.Event()
        self._telling: set[asyncio.Task[None]] = set()
        self._settling: set[asyncio.Task[None]] = set()

    def add(self, plan: LinkPlan) -> Slot:
        """Return the place of a link; its port is opened by `run`."""
        try:
            slot = Slot(plan, parse_dial_in(plan.endpoint))
        except LinkDown as error:
            slot = Slot(plan, None, error.code)
        self._slots[plan.link_id] = slot
        if slot.dial_in is not None:
            self._by_port.pop(slot.dial_in.port, None)
            self._wanted[_address(slot.dial_in)] += 1
            self._see(slot)
        self._changed.set()
        return slot

    def update(self, slot: Slot, plan: LinkPlan) -> None:
        """Take over the devices of a link whose endpoint is the same."""
        slot.plan = plan
        if slot.dial_in is not None:
            self._by_port.pop(slot.dial_in.port, None)

    def remove(self, slot: Slot) -> None:
        """Let go of a link's place and connection."""
        slot.release()
        self._slots.pop(slot.plan.link_id, None)
        if slot.dial_in is not None:
            self._by_port.pop(slot.dial_in.port, None)
            self._wanted[_address(slot.dial_in)] -= 1
        self._changed.set()

    async def run(self) -> None:
        """Keep the ports open that links wait at, for ever; a port that is taken is tried again."""
        try:
            while True:
                self._changed.clear()
                is_complete = await self._follow()
                try:
                    async with asyncio.timeout(None if is_complete else _RETRY_REAL_S):
                        await self._changed.wait()
                except TimeoutError:
                    continue
        finally:
            for address in list(self._open):
                await self._close(address)

    async def _follow(self) -> bool:
        """Open and close as the links ask; whether every port that is wanted is open."""
        wanted = {address for address, count in self._wanted.items() if count}
        for address in self._open.keys() - wanted:
            await self._close(address)
        results = [await self._ensure_open(address) for address in sorted(wanted - self._open.keys())]
        return all(results)

    async def _ensure_open(self, address: Address) -> bool:
        door = self._door(address[1])
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: DialledWire(door), *address, backlog=_BACKLOG_COUNT, reuse_address=True
            )
        except OSError as error:
            self._note(address, is_taken=True)
            _log.error("headend.listen-refused", host=address[0], port=address[1], reason=str(error))
            return False
        self._open[address] = door, server
        self._note(address, is_taken=False)
        _log.info("headend.listening", host=address[0], port=address[1])
        return True

    async def _close(self, address: Address) -> None:
        door, server = self._open.pop(address)
        server.close()
        await door.close()

    def _note(self, address: Address, *, is_taken: bool) -> None:
        (self._taken.add if is_taken else self._taken.discard)(address)
        for slot in self._slots.values():
            self._see(slot)

    def _see(self, slot: Slot) -> None:
        if slot.dial_in is not None:
            is_taken = _address(slot.dial_in) in self._taken
            slot.door_error_code = "headend.listen-refused" if is_taken else None

    def _door(self, port: int) -> Door:
        return Door(
            port,
            waiting=self._waiting_at,
            identifier=self._identifier,
            metrics=self._metrics,
            tell=self._tell,
            on_adopted=self._settle,
            limits=self._limits,
        )

    def _waiting_at(self, port: int) -> Waiting:
        if port not in self._by_port:
            slots = self._slots.values()
            at_port = [slot for slot in slots if slot.dial_in is not None and slot.dial_in.port == port]
            self._by_port[port] = Waiting(at_port)
        return self._by_port[port]

    def _tell(self, door: Door, wire: DialledWire, verdict: Verdict, said: bytes) -> None:
        """A storm of strangers is counted, not told one by one."""
        self._metrics.count("strangers")
        if len(self._telling) >= _TELLING_MAX_COUNT:
            return
        plan = None if verdict.slot is None else verdict.slot.plan
        waiting = self._waiting_at(door.port)
        stranger = Stranger(
            port=door.port,
            peer=wire.peer,
            at=self._clock.now(),
            error_code=verdict.error_code or "",
            tenant_ids=waiting.tenant_ids if plan is None else (plan.tenant_id,),
            link_id=None if plan is None else plan.link_id,
            said=b"" if waiting.is_secret(said) else said[:SAID_MAX_BYTES],
            serial_number=verdict.serial_number,
        )
        self._start(self._telling, self._strangers.tell(stranger))

    def _settle(self, slot: Slot, wire: DialledWire) -> None:
        port = slot.dial_in.port if slot.dial_in is not None else 0
        _log.info("headend.dialled-in", link=slot.plan.name, peer=wire.peer)
        now = self._clock.now()
        self._start(self._settling, self._strangers.settle(slot.plan.link_id, wire.peer, port, now))

    def _start(self, tasks: set[asyncio.Task[None]], work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def _address(dial_in: DialIn) -> Address:
    return dial_in.host, dial_in.port
