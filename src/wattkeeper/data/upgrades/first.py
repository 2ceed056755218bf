"""The schema of an empty database, made at once: what all steps lead to, without the ways between.

Step by step Django renders, again and again, every model that hangs together with the one it touches, and
here all of them do. What all steps lead to is known without that: the models after the last one, and what
steps did in Python (the rules of `data.rules`; what only moves rows is `elidable`) in their order. Both ways
make the same schema on every engine, but for the order of some columns: tests/conformance/test_operations.py.
"""

from django.db import transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations import RunPython


def make_at_once(executor: MigrationExecutor) -> None:
    """Make all tables and rules of this release in an empty database and record each step as taken."""
    connection, loader = executor.connection, executor.loader
    steps = [step for step, _ in executor.migration_plan(loader.graph.leaf_nodes(), clean_start=True)]
    state = loader.project_state()
    with connection.schema_editor() as editor:
        for model in state.apps.get_models():
            if model._meta.can_migrate(connection):
                editor.create_model(model)
        # Django puts off nothing, as None, for a conditional constraint of a table with a default on MariaDB
        editor.deferred_sql = [sql for sql in editor.deferred_sql if sql is not None]
    # that editor ended with what it had put off: foreign keys, indexes
    with connection.schema_editor() as editor:
        for step in steps:
            for operation in step.operations:
                if isinstance(operation, RunPython) and not operation.elidable:
                    operation.database_forwards(step.app_label, editor, state, state)
    with transaction.atomic(connection.alias):
        for step in steps:
            executor.recorder.record_applied(step.app_label, step.name)
