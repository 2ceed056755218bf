"""Migrations only expand: the release before still runs on the schema that they leave."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from releases import steps_taken
from wattkeeper.data.upgrades.versions import OLDEST_SERVED, SCHEMA_VERSION

GONE = (
    *(migrations.RemoveField, migrations.DeleteModel, migrations.RenameField, migrations.RenameModel),
    *(migrations.AlterModelTable, migrations.RunSQL),
)
LABELS = frozenset(
    {"accounts", "registry", "collection", "billing", "commands", "alarms", "audit", "upgrades", "virtual"}
    | {"vee", "console"}
)
# a constraint on rows that the release before writes as well, and why it can't break them
EXPLAINED: dict[tuple[str, str], str] = {
    ("accounts", "0003_sealed"): "contacts of the framework's user stay empty: no release ever wrote one",
    (
        "billing",
        "0013_key_of_a_tenant",
    ): "in place of one that allowed less: no key twice in any organisation",
}


def contracting(operation: Any, state: ProjectState, app: str, old: set[tuple[str, str]]) -> str | None:
    """Return why the release before could not run after this operation, None if it could.

    `old`: (app, model) of what that release knows; what is new since then may change as it likes.
    """
    name = getattr(operation, "old_name", "") if isinstance(operation, migrations.RenameModel) else ""
    model = (app, str(name or getattr(operation, "model_name", getattr(operation, "name", ""))).lower())
    if isinstance(operation, migrations.RunSQL):
        return "raw SQL: write an operation that can be judged"
    if model not in old:
        return None
    if isinstance(operation, GONE):
        return f"{type(operation).__name__} {model[1]}"
    if isinstance(operation, migrations.AddField):
        return _why_not_added(operation)
    if isinstance(operation, migrations.AlterField):
        before = state.models[model].fields[operation.name]
        return _why_not_altered(before, operation.field, operation.name)
    if isinstance(operation, migrations.AddConstraint | migrations.AlterUniqueTogether):
        return f"a new constraint on {model[1]}"
    return None


def _why_not_added(operation: migrations.AddField) -> str | None:
    field = operation.field
    if field.null or field.many_to_many or field.db_default is not models.NOT_PROVIDED:
        return None
    return f"{operation.name} must be given: null=True or db_default"


def _why_not_altered(before: Any, after: Any, name: str) -> str | None:
    if before.null and not after.null:
        return f"{name} may no longer be null"
    if before.get_internal_type() != after.get_internal_type():
        return f"{name} changes its type"
    if (before.max_length or 0) > (after.max_length or 0):
        return f"{name} gets shorter"
    return f"{name} becomes unique" if after.unique and not before.unique else None


def faults_of(loader: MigrationLoader, taken: set[tuple[str, str]]) -> Iterator[str]:
    """Yield each contracting step that is not in `taken`."""
    graph = loader.graph
    before = loader.project_state([key for key in graph.nodes if key in taken])
    old = set(before.models)
    state = before.clone()
    for key in graph._generate_plan(graph.leaf_nodes(), at_end=True):
        if key in taken:
            continue
        for operation in graph.nodes[key].operations:
            why = contracting(operation, state, key[0], old)
            if why is not None and key not in EXPLAINED:
                yield f"{key[0]}.{key[1]}: {why}"
            operation.state_forwards(key[0], state)


def test_new_steps_only_expand() -> None:
    faults = [
        fault for fault in faults_of(MigrationLoader(None), steps_taken()) if fault.split(".")[0] in LABELS
    ]
    assert not faults


def test_steps_after_a_release_are_a_new_schema_version() -> None:
    ours = {key for key in MigrationLoader(None).disk_migrations if key[0] in LABELS}
    assert steps_taken() <= set(MigrationLoader(None).disk_migrations), "a step of a release is never removed"
    assert OLDEST_SERVED < SCHEMA_VERSION or ours == {key for key in steps_taken() if key[0] in LABELS}


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (migrations.RemoveField("job", "label"), "RemoveField job"),
        (migrations.DeleteModel("Job"), "DeleteModel job"),
        (migrations.RenameField("job", "label", "title"), "RenameField job"),
        (migrations.RenameModel("Job", "Work"), "RenameModel job"),
        (migrations.RunSQL("DROP TABLE collection_job"), "raw SQL: write an operation that can be judged"),
        (
            migrations.AddField("job", "rank", models.IntegerField(default=0)),
            "rank must be given: null=True or db_default",
        ),
        (migrations.AlterField("job", "ended_at", models.DateTimeField()), "ended_at may no longer be null"),
        (migrations.AlterField("job", "label", models.CharField(max_length=9)), "label gets shorter"),
        (migrations.AlterField("job", "label", models.TextField()), "label changes its type"),
        (
            migrations.AlterField("job", "label", models.CharField(max_length=200, unique=True)),
            "label becomes unique",
        ),
        (
            migrations.AddConstraint("job", models.UniqueConstraint(fields=["kind"], name="x")),
            "a new constraint on job",
        ),
    ],
)
def test_a_contracting_step_is_seen(operation: Any, why: str) -> None:
    state = MigrationLoader(None).project_state()
    assert contracting(operation, state, "collection", set(state.models)) == why


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("job", "rank", models.IntegerField(null=True)),
        migrations.AddField("job", "rank", models.IntegerField(db_default=0)),
        migrations.AlterField("job", "label", models.CharField(max_length=300)),
        migrations.RemoveField("news", "label"),
    ],
)
def test_an_expanding_step_passes(operation: Any) -> None:
    state = MigrationLoader(None).project_state()
    assert contracting(operation, state, "collection", set(state.models)) is None
