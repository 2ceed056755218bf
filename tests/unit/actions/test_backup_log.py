"""A backup that grows old is a finding, and a new one closes it."""

from datetime import timedelta

from relational import NOW, People
from wattkeeper.actions.operations.backup_log import note, watch_backups
from wattkeeper.actions.services import Services
from wattkeeper.data.alarms.models import Finding

AGE_MAX = timedelta(hours=26)  # what is promised, whatever the code says


def rules(state: str = "OPEN") -> list[str]:
    return sorted(Finding.objects.filter(state=state).values_list("rule", flat=True))


def test_who_never_made_one_here_is_not_told(ours: People, services: Services) -> None:
    assert watch_backups(services.data_folder, NOW) == 0
    assert not rules()


def test_old_backups_and_old_drills_are_told_until_they_are_new(ours: People, services: Services) -> None:
    folder = services.data_folder
    note(folder, backed_up_at=NOW - AGE_MAX)
    assert watch_backups(folder, NOW) == 0
    for _ in range(2):
        assert watch_backups(folder, NOW + timedelta(seconds=1)) == 2
        assert rules() == ["operations.backup-old", "operations.drill-old"]
    note(folder, backed_up_at=NOW)
    watch_backups(folder, NOW + timedelta(hours=1))
    note(folder, restored_at=NOW)
    watch_backups(folder, NOW + timedelta(hours=1))
    assert not rules()
    later = NOW + AGE_MAX + timedelta(hours=1)
    note(folder, backed_up_at=later)
    assert watch_backups(folder, later) == 1
    assert rules() == ["operations.drill-old"]
