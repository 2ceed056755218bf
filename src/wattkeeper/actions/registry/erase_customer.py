"""Erase who the customer of a usage point is."""

from datetime import datetime

from django.db.models import Q

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import keep, own
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.alarms.models import Finding, FindingComment
from wattkeeper.data.registry.models import UsagePoint


@audited("registry.erase-customer", role=Role.ADMINISTRATOR)
def erase_customer(entry: Entry, *, actor: Actor, now: datetime, usage_point_id: int) -> int:
    """
    Erase the customer's name and contacts, the words they are found by, and what was said of the findings
    there; return how many comments that were. The usage point is called by its code.

    Readings and bills stay: they name a usage point, nobody. The audit says that it was done.

    :raises WattkeeperError: ``registry.not-found``
    """
    point = own(UsagePoint, usage_point_id, actor=actor)
    point.name, point.customer_name = point.code, ""
    keep(point)
    own_keys = [f"series:{series_id}" for series_id in point.series.values_list("id", flat=True)]
    meters = point.installations.values("meter_id")
    about = Q(usage_point=point) | Q(usage_point=None, meter_id__in=meters) | Q(subject_key__in=own_keys)
    findings = Finding.objects.filter(about, tenant_id=point.tenant_id).values("id")
    comments_count = FindingComment.objects.filter(finding_id__in=findings).update(text=None, plain_text="")
    entry.subject = f"usage-point:{point.id}"
    entry.detail = {"comments": comments_count}
    return comments_count
