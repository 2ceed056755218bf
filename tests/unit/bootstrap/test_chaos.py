"""Any seed of kills, stops, jumps of clocks and repeated deliveries leaves what a quiet day leaves."""

import random
from collections import Counter
from collections.abc import Iterable

import pytest
from django.db import transaction

from pipeline_chaos import Chaos, live, pieces_of, quiet
from relational import People, fast_passwords, make_street, ours, services, store, street
from unit.data.test_pipeline_ports import batch_of, channels
from wattkeeper.bootstrap import pipeline_held
from wattkeeper.bootstrap.pipeline_single import StoreMeasurements
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.collection.models import DirtyWindow, Run
from wattkeeper.pipeline.ports import MeasurementRows

__all__ = ["channels", "fast_passwords", "make_street", "ours", "services", "store", "street"]
REGRESSIONS = (135,)  # seeds that failed once
PART_COUNT = 200  # seeds; a part can be run alone


def differing(
    people: People,
    channel_ids: list[int],
    seeds: Iterable[int],
    plant: str = "",
    *,
    is_one_enough: bool = False,
) -> tuple[list[int], Counter[str]]:
    """Return the seeds whose end differs from a quiet day's, or the first, and what happened until then."""
    tenant_id, bad, happened = people.tenant.id, [], Counter[str]()
    DirtyWindow.objects.all().delete()
    Finding.objects.all().delete()
    batches = [batch_of(tenant_id, channel_id) for channel_id in channel_ids]
    with transaction.atomic():
        expected = quiet(Chaos(tenant_id, batches, random.Random(0)))
        transaction.set_rollback(True)
    for seed in seeds:
        chance = random.Random(seed)
        pieces = [piece for batch in batches for piece in pieces_of(batch, chance)]
        chance.shuffle(pieces)
        chaos = Chaos(tenant_id, pieces, chance, plant)
        with transaction.atomic():
            if live(chaos) != expected:
                bad.append(seed)
            transaction.set_rollback(True)
        happened.update(chaos.happened)
        if bad and is_one_enough:
            break
    return bad, happened


def test_a_few_seeds_and_all_that_failed_once(ours: People, channels: list[int]) -> None:
    bad, happened = differing(ours, channels, [*range(3), *REGRESSIONS])
    assert bad == []
    assert happened["stopped"]
    assert happened["delivered again"]


@pytest.mark.slow
def test_some_seeds(ours: People, channels: list[int]) -> None:
    bad, happened = differing(ours, channels, range(100, 120))
    assert bad == []
    assert happened["refused"], "nobody was ever taken over"


@pytest.mark.soak
def test_a_hundred_seeds(ours: People, channels: list[int]) -> None:
    assert differing(ours, channels, range(100, 200))[0] == []


@pytest.mark.soak
@pytest.mark.parametrize("first", range(1000, 3000, PART_COUNT))
def test_two_thousand_seeds(ours: People, channels: list[int], first: int) -> None:
    assert differing(ours, channels, range(first, first + PART_COUNT))[0] == []


@pytest.mark.slow
def test_a_delivery_that_is_not_told_again_is_seen(ours: People, channels: list[int]) -> None:
    assert differing(ours, channels, range(12), "not told again", is_one_enough=True)[0]


@pytest.mark.slow
def test_values_numbered_when_they_are_written_are_seen(
    ours: People, channels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: no fence, and what a stale run writes stands over what was derived since."""

    def append_late(self: StoreMeasurements, run_id: int, rows: MeasurementRows) -> None:
        run = Run.objects.get(id=run_id)
        run.pk = None  # its copy is the newest
        run.save()
        StoreMeasurements.append(self, run.pk, rows)

    monkeypatch.setattr(pipeline_held.Holding, "require", lambda self: None)
    monkeypatch.setattr(pipeline_held.Holding, "mark_again", lambda self, lost: None)
    monkeypatch.setattr(pipeline_held.HeldMeasurements, "append", append_late)
    seeds = range(398, 438)  # from one on that is known to see it
    assert differing(ours, channels, seeds, is_one_enough=True)[0]
