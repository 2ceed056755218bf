"""Add a version of a tariff."""

from datetime import datetime
from typing import Any

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import keep
from wattkeeper.actions.tariffs.changed_holidays import mark_changed_holidays
from wattkeeper.core.kernel.content import content_sha256
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import local_midnight
from wattkeeper.core.tariffs.parse import parse_tariff
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.billing.holidays import Holidays
from wattkeeper.data.billing.models import Contract, Tariff, TariffVersion
from wattkeeper.data.billing.rebills import mark_repriced


@audited("tariffs.add-version", role=Role.ADMINISTRATOR)
def add_tariff_version(
    entry: Entry, *, actor: Actor, now: datetime, name: str, document: dict[str, Any]
) -> int:
    """
    Keep a tariff document, valid from the date in it, and return the version's id.

    The tariff is made at its first version. A version is never edited: another follows it. Issued bills that
    it prices otherwise are proposed to be corrected.

    :raises WattkeeperError: ``tariffs.*`` with the `path` that is wrong, ``tariffs.number-taken``,
        ``tariffs.version-taken`` (the date)
    """
    parsed = parse_tariff(document)
    tariff = Tariff.objects.select_for_update().filter(tenant_id=actor.tenant_id, code=parsed.code).first()
    if tariff is None:
        tariff = Tariff(tenant_id=actor.tenant_id, code=parsed.code, name=name or parsed.code)
        keep(tariff)
    numbers = [each.document["version"] for each in tariff.versions.all()]
    if parsed.version in numbers:
        raise WattkeeperError("tariffs.number-taken", version=parsed.version, next=max(numbers) + 1)
    before = Holidays(actor.tenant_id).of_tariff(tariff.id)
    version = TariffVersion.objects.create(
        tariff=tariff, valid_from_date=parsed.valid_from_date, document=document
    )
    after = Holidays(actor.tenant_id).of_tariff(tariff.id)
    mark_changed_holidays(before, after, tenant_id=actor.tenant_id, now=now)
    mark_repriced(
        Contract.objects.filter(tariff=tariff), since=local_midnight(parsed.valid_from_date, parsed.zone)
    )
    entry.subject = f"tariff:{tariff.id}"
    entry.detail = {
        "version_id": version.id,
        "valid_from_date": parsed.valid_from_date,
        "document_sha256": content_sha256(document),
    }
    return version.id
