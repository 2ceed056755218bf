"""Rule sets that nobody rewrites; one assignment a day and one group a series, on MariaDB as triggers."""

from django.db import migrations

from wattkeeper.data.rules import Refusal, enforce, immutable

_STANDING = """NEW.withdrawn_at IS NULL AND EXISTS (SELECT 1 FROM {table} other
    WHERE {same} AND other.withdrawn_at IS NULL AND other.id <> NEW.id)"""
_SAME_DAY = "other.group_id = NEW.group_id AND other.starts_date = NEW.starts_date"
_SAME_SERIES = "other.series_id = NEW.series_id"

RULES = [
    *immutable("vee_rule_set_immutable", "vee_storedruleset"),
    Refusal(
        "vee_assignment_once",
        "vee_assignment",
        "INSERT",
        _STANDING.format(table="vee_assignment", same=_SAME_DAY),
        vendors=("mysql",),
    ),
    Refusal(
        "vee_member_once",
        "vee_groupmember",
        "INSERT",
        _STANDING.format(table="vee_groupmember", same=_SAME_SERIES),
        vendors=("mysql",),
    ),
]


class Migration(migrations.Migration):

    dependencies = [("vee", "0001_tables")]
    operations = [enforce(RULES)]
