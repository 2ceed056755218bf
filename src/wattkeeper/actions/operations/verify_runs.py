"""When each run was recorded and could be read, and what made it: all that is known `as of` rests on it."""

from wattkeeper.data.collection.models import Run
from wattkeeper.data.collection.queries import record_mix
from wattkeeper.store.verify import Check


def check_runs(check: Check) -> None:
    """Every run began and could be read when it said so, and was made by the rules and release it named."""
    undated = 0
    for run in Run.objects.order_by("id").iterator(2000):
        check.examined_count += 1
        if run.record_mix is None:
            undated += 1
        elif run.record_mix != record_mix(run):
            check.fault(
                "verify.run-moved",
                run_id=run.id,
                recorded=run.recorded_at.isoformat(),
                stored=run.stored_at.isoformat() if run.stored_at else "-",
                rule_set=run.rule_set,
                code_version=run.code_version,
            )
    if undated:
        check.cannot("verify.runs-undated", runs=undated, of=check.examined_count)
