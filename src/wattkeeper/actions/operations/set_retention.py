"""Say how long readings of a kind stay in the store, and then in the archive's files."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.collection.models import Retention
from wattkeeper.data.collection.retention import own_rules

Kind = Retention.Kind
# a year's tiers and the estimates of a gap look back that far
LEAST_MONTHS_COUNT = {Kind.FRAMES: 1, Kind.READS: 1, Kind.VALUES: 13}
MOST_MONTHS_COUNT = 1200
SET_VERB = "operations.set-retention"


@audited(SET_VERB, role=Role.ADMINISTRATOR)
def set_retention(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    kind: str,
    store_months_count: int | None,
    file_months_count: int | None,
) -> None:
    """
    Keep readings of a kind so many months beside the running one; None: for good.

    `file_months_count` counts from the same month: the files are destroyed so many months after it.

    :raises WattkeeperError: ``operations.retention-*``
    """
    if kind not in Kind.values:
        raise WattkeeperError("operations.retention-kind", kind=kind, kinds=list(Kind.values))
    _check(Kind(kind), store_months_count, file_months_count)
    before = next(rule for rule in own_rules(actor.tenant_id) if rule.kind == kind)
    own = Retention.objects.filter(tenant_id=actor.tenant_id, kind=kind)
    if store_months_count is None:
        own.delete()
    else:
        Retention.objects.update_or_create(
            tenant_id=actor.tenant_id,
            kind=kind,
            defaults={"store_months_count": store_months_count, "file_months_count": file_months_count},
        )
    entry.subject = f"retention:{kind}"
    entry.detail = {
        "store_months": [before.store_months_count, store_months_count],
        "file_months": [before.file_months_count, file_months_count],
    }


def _check(kind: Retention.Kind, store_months_count: int | None, file_months_count: int | None) -> None:
    least = LEAST_MONTHS_COUNT[kind]
    if store_months_count is None:
        if file_months_count is not None:
            raise WattkeeperError("operations.retention-no-files", field="file_months_count")
        return
    if not least <= store_months_count <= MOST_MONTHS_COUNT:
        raise WattkeeperError(
            "operations.retention-span", least=least, most=MOST_MONTHS_COUNT, field="store_months_count"
        )
    if file_months_count is not None and not store_months_count < file_months_count <= MOST_MONTHS_COUNT:
        raise WattkeeperError(
            "operations.retention-files",
            least=store_months_count + 1,
            most=MOST_MONTHS_COUNT,
            field="file_months_count",
        )
