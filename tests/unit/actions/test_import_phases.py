"""Phases of one meter in files of their own: none is mixed with another, nor with all of them."""

from collections.abc import Sequence

import pytest

from relational import People, make_people
from unit.actions.test_import_lengths import ALWAYS, DAY, FIRST_AT, bring, file_of
from unit.actions.test_import_registers import derive
from wattkeeper.actions.collection import file_meters
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.registry.models import Channel, Series, Tenant
from wattkeeper.store.memory import MemoryReadingStore

PART, SECOND = "imports.part-not-kept", "imports.second-channel"


def file_of_phase(code: str, *, interval_s: int = 1800) -> str:
    """Return what one phase took: 4 kWh a day, where all take 12."""
    return file_of(interval_s, channel=f"import-phase-{code}").replace(",0.250000,", ",0.083333,")


A, B, ALL = file_of_phase("128"), file_of_phase("65"), file_of(1800)
REGISTER_A, REGISTER = file_of_phase("128", interval_s=0), file_of(0)


def bring_all(
    services: Services, store: MemoryReadingStore, files: Sequence[str]
) -> tuple[list[str], int, int]:
    """Return the codes of errors, how many reads are kept, and what was used in three days, Wh."""
    own = make_people(f"{Tenant.objects.count()}")
    codes = [code for content in files for code in bring(own, services, content)]
    derive(own, store)
    channel_ids = list(Channel.objects.filter(tenant=own.tenant).values_list("id", flat=True))
    reads = store.raw_reads(own.tenant.id, channel_ids, *ALWAYS)
    series_id = Series.objects.get(tenant=own.tenant).id
    bounds_s = [to_seconds(FIRST_AT), to_seconds(FIRST_AT + 3 * DAY)]
    (used,) = store.daily_energy(own.tenant.id, [series_id], bounds_s)[series_id]
    return codes, len(reads.value), used // 1000


@pytest.mark.parametrize("files", [(A, B), (B, A)], ids=["A first", "B first"])
def test_another_phase_is_refused_not_mixed(
    db: None, services: Services, store: MemoryReadingStore, files: Sequence[str]
) -> None:
    assert bring_all(services, store, files) == ([PART], 3 * 48, 11_999)


@pytest.mark.parametrize(
    ("files", "codes", "used_wh"),
    [((A, ALL), [SECOND], 11_999), ((ALL, A), [PART], 36_000)],
    ids=["A first", "A last"],
)
def test_profiles_of_one_phase_and_of_all_are_not_mixed(
    db: None,
    services: Services,
    store: MemoryReadingStore,
    files: Sequence[str],
    codes: list[str],
    used_wh: int,
) -> None:
    assert bring_all(services, store, files) == (codes, 3 * 48, used_wh)


@pytest.mark.parametrize(
    ("files", "codes"), [((REGISTER_A, REGISTER), [SECOND]), ((REGISTER, REGISTER_A), [PART])]
)
def test_registers_of_one_phase_and_of_all_are_not_mixed(
    db: None, services: Services, store: MemoryReadingStore, files: Sequence[str], codes: list[str]
) -> None:
    assert bring_all(services, store, files)[:2] == (codes, 4)


def test_phases_that_are_mixed_are_caught(
    db: None, services: Services, store: MemoryReadingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_meters, "keep_phase", lambda *_: None)  # the planted fault
    assert bring_all(services, store, (A, ALL, B))[0] == []


def test_a_channel_of_an_earlier_release_goes_on(ours: People, services: Services) -> None:
    """Nothing said which phase it counts: the first that a file names is it."""
    bring(ours, services, A)
    Channel.objects.update(phase_code=None)
    assert bring(ours, services, A) == []
    assert Channel.objects.get().phase_code == 128
    assert bring(ours, services, B) == [PART]
