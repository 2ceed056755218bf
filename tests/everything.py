"""One of everything that a tenant may have, for tests that nobody of another tenant gets at it."""

from datetime import timedelta

from relational import LONG_AGO, NOW, People, Street, install_first
from wattkeeper.actions.accounts.create_api_key import create_api_key
from wattkeeper.actions.services import Services
from wattkeeper.data.accounts.models import User
from wattkeeper.data.alarms.queries import FindingDraft, keep_findings
from wattkeeper.data.billing.models import Bill, BillLine, RebillProposal, Tariff, TariffVersion
from wattkeeper.data.collection.models import FieldRead, ImportMapping, Job
from wattkeeper.data.commands.models import Command
from wattkeeper.data.registry.models import Channel, Series, Site, UsagePoint
from wattkeeper.data.vee.models import Assignment, ReadWithdrawal, SeriesGroup, StoredEdit, StoredRuleSet
from wattkeeper.data.virtual.models import AccuracyCheck, Node
from wattkeeper.formats.mapping import PLAIN


def everything_of(people: People, street: Street, services: Services) -> dict[str, int]:
    """Make one of everything for a tenant and return the ids by path parameter."""
    install_first(people, street, services)
    tenant_id = people.tenant.id
    draft = FindingDraft(tenant_id, "vee.spike", "series:1", LONG_AGO, usage_point_id=street.point_id)
    keep_findings([draft], now=NOW)
    tariff = Tariff.objects.create(tenant_id=tenant_id, code="T", name="T")
    version = TariffVersion.objects.create(tariff=tariff, valid_from_date=NOW.date(), document={})
    bill = Bill.objects.create(
        tenant_id=tenant_id,
        usage_point_id=street.point_id,
        tariff_version=version,
        document_key=f"k{tenant_id}",
        starts_at=LONG_AGO,
        ends_at=NOW,
        currency="CNY",
        total_minor=1,
        energy_milliwh=1,
        run_id=1,
        document={},
        issued_at=NOW,
    )
    BillLine.objects.create(
        bill=bill,
        position=1,
        component="c",
        label_code="l",
        quantity="1",
        unit="kWh",
        unit_price="1",
        amount_minor=1,
    )
    command = Command.objects.create(
        tenant_id=tenant_id,
        meter_id=street.meter_id,
        kind="DISCONNECT",
        state="REQUESTED",
        reason="unpaid",
        idempotency_key="k",
        requested_by_id=people.operator.user_id,
        requested_at=NOW,
        valid_until=NOW,
    )
    job = Job.objects.create(tenant_id=tenant_id, kind="import", started_at=NOW, heartbeat_at=NOW)
    assert people.viewer.user_id is not None
    create_api_key(actor=people.administrator, now=NOW, user_id=people.viewer.user_id, name="theirs")
    key = User.objects.get(id=people.viewer.user_id).api_keys.get()
    plain = PLAIN.to_json()
    mapping = ImportMapping.objects.create(tenant_id=tenant_id, name="m", content=plain, changed_at=NOW)
    series = Series.objects.get(tenant_id=tenant_id)
    return {
        **virtual_of(people, street),
        **rules_of(people, series),
        "site_id": street.site_id,
        "usage_point_id": street.point_id,
        "link_id": street.link_id,
        "meter_id": street.meter_id,
        "series_id": series.id,
        "tariff_id": tariff.id,
        "bill_id": bill.id,
        "proposal_id": proposal_of(bill).id,
        "position": 1,
        "command_id": command.id,
        "withdrawal_id": withdrawal_of(people, street).id,
        "finding_id": people.tenant.finding_set.get().id,
        "job_id": job.id,
        "mapping_id": mapping.id,
        "user_id": people.viewer.user_id,
        "api_key_id": key.id,
    }


def virtual_of(people: People, street: Street) -> dict[str, int]:
    """Make a virtual meter, a group and a standing comparison."""
    site = Site.objects.get(id=street.site_id)
    point = UsagePoint.objects.create(
        tenant=people.tenant, site=site, code="V", name="v", kind=UsagePoint.Kind.VIRTUAL
    )
    node = Node.objects.create(tenant=people.tenant, kind=Node.Kind.AREA, code="A", name="a")
    check = AccuracyCheck.objects.create(
        tenant=people.tenant, main_id=street.point_id, main_class="1", reference_class="1", base_power_w=1000
    )
    return {"virtual_meter_id": point.id, "group_id": node.id, "check_id": check.id}


def rules_of(people: People, series: Series) -> dict[str, int]:
    """Make a rule set, a group of series judged by it and an edit."""
    group = SeriesGroup.objects.create(tenant=people.tenant, code="g")
    rules = StoredRuleSet.objects.create(
        tenant=people.tenant, code="r", document={"code": "r"}, recorded_at=NOW, made_by="a"
    )
    assignment = Assignment.objects.create(
        tenant=people.tenant,
        group=group,
        rule_set=rules,
        starts_date=NOW.date(),
        recorded_at=NOW,
        made_by="a",
    )
    edit = StoredEdit.objects.create(
        tenant=people.tenant,
        series=series,
        starts_at=LONG_AGO,
        ends_at=LONG_AGO + timedelta(minutes=15),
        energy_milliwh=[1],
        rejected_milliwh=[None],
        changed_milliwh=1,
        reason_code=51,
        state=StoredEdit.State.PENDING,
        author_id=people.operator.user_id,
        recorded_at=NOW,
    )
    return {
        "series_group_id": group.id,
        "rule_set_id": rules.id,
        "assignment_id": assignment.id,
        "edit_id": edit.id,
    }


def withdrawal_of(people: People, street: Street) -> ReadWithdrawal:
    """Note a read of the meter's first register and ask for its withdrawal."""
    channel = Channel.objects.filter(meter_id=street.meter_id).earliest("id")
    read = FieldRead.objects.create(
        tenant=people.tenant, channel=channel, measured_at=LONG_AGO, value_count=1, recorded_at=NOW
    )
    return ReadWithdrawal.objects.create(
        tenant=people.tenant,
        field_read=read,
        changed_milliwh=1,
        reason="misread",
        state=StoredEdit.State.PENDING,
        author_id=people.operator.user_id,
        recorded_at=NOW,
    )


def proposal_of(bill: Bill) -> RebillProposal:
    """Propose to bill again."""
    return RebillProposal.objects.create(
        tenant_id=bill.tenant_id, bill=bill, data_version="v", energy_milliwh=1, raised_at=NOW, looked_at=NOW
    )
