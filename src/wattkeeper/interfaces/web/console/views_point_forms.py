"""Usage points: add, edit, copy, retire, multiplier, what feeds them, their tariff."""

from functools import partial
from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from wattkeeper.actions.registry.add_usage_point import add_usage_point
from wattkeeper.actions.registry.change_multiplier import change_multiplier
from wattkeeper.actions.registry.copy_usage_point import copy_usage_point
from wattkeeper.actions.registry.edit_usage_point import edit_usage_point
from wattkeeper.actions.registry.erase_customer import erase_customer
from wattkeeper.actions.registry.retire_usage_point import retire_usage_point
from wattkeeper.actions.registry.set_topology import set_topology
from wattkeeper.actions.tariffs.end_contract import end_contract
from wattkeeper.actions.tariffs.reopen_contract import reopen_contract
from wattkeeper.actions.tariffs.set_contract import set_contract
from wattkeeper.actions.tariffs.withdraw_contract import withdraw_contract
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.billing.contracts import contract_before
from wattkeeper.data.registry.models import UsagePoint
from wattkeeper.interfaces.web.console.form_page import About, FormPage, answer_about, answer_form
from wattkeeper.interfaces.web.console.forms import UsagePointForm, with_site
from wattkeeper.interfaces.web.console.forms_work import (
    AtForm,
    ConfirmForm,
    ContractForm,
    CopyForm,
    MultiplierForm,
    ParentForm,
    UntilForm,
    WithdrawForm,
    local_now,
)
from wattkeeper.interfaces.web.console.show import asked_id
from wattkeeper.interfaces.web.console.visit import Visit, found, page


@page(Role.OPERATOR)
def usage_point_add(visit: Visit) -> HttpResponse:
    """Add a usage point to a site."""

    def make(**sent: Any) -> UsagePointForm:
        form = UsagePointForm(**sent)
        with_site(form, visit.tenant_id, asked_id(visit, "site"))
        return form

    def add(fields: dict[str, Any]) -> str:
        site = fields.pop("site")
        return _url(add_usage_point(**_who(visit), site_id=site.id, **fields))

    return answer_form(
        visit,
        FormPage(
            title=_("Add a usage point"),
            back_url=reverse("console:usage_points"),
            back_label=_("Usage points"),
            button_label=_("Add"),
            make=make,
            do=add,
        ),
    )


@page(Role.OPERATOR)
def usage_point_edit(visit: Visit, usage_point_id: int) -> HttpResponse:
    """Edit a usage point."""
    point = _own(visit, usage_point_id)

    def edit(fields: dict[str, Any]) -> str:
        edit_usage_point(**_who(visit), usage_point_id=usage_point_id, **fields)
        return _url(usage_point_id)

    make = partial(UsagePointForm, instance=point)
    return answer_about(visit, _about(point), _("Edit the usage point"), _("Save"), make, edit)


@page(Role.OPERATOR)
def usage_point_copy(visit: Visit, usage_point_id: int) -> HttpResponse:
    """Add a usage point like this one."""
    point = _own(visit, usage_point_id)

    def copy(fields: dict[str, Any]) -> str:
        return _url(copy_usage_point(**_who(visit), usage_point_id=usage_point_id, **fields))

    lead = _("The customer, the protection and the meter stay with the original.")
    return answer_about(visit, _about(point), _("Copy the usage point"), _("Copy"), CopyForm, copy, lead=lead)


@page(Role.OPERATOR)
def usage_point_retire(visit: Visit, usage_point_id: int) -> HttpResponse:
    """Retire a usage point without a meter."""
    point = _own(visit, usage_point_id)

    def retire(_fields: dict[str, Any]) -> str:
        retire_usage_point(**_who(visit), usage_point_id=usage_point_id)
        return _url(usage_point_id)

    lead = _("Its readings and bills stay for ever.")
    return answer_about(
        visit,
        _about(point),
        _("Retire the usage point"),
        _("Retire"),
        ConfirmForm,
        retire,
        lead=lead,
        is_dangerous=True,
    )


@page(Role.OPERATOR)
def usage_point_multiplier(visit: Visit, usage_point_id: int) -> HttpResponse:
    """Change the multiplier, now or back-dated."""
    point = _own(visit, usage_point_id)

    def change(fields: dict[str, Any]) -> str:
        change_multiplier(**_who(visit), usage_point_id=usage_point_id, **fields)
        return _url(usage_point_id)

    make = partial(MultiplierForm, initial=_at_now(visit))
    lead = _("Current ratio times voltage ratio. Everything from then on is derived again.")
    return answer_about(
        visit, _about(point), _("Change the multiplier"), _("Change"), make, change, lead=lead
    )


@page(Role.OPERATOR)
def usage_point_parent(visit: Visit, usage_point_id: int) -> HttpResponse:
    """Say through which usage point this one is fed."""
    point = _own(visit, usage_point_id)

    def set_parent(fields: dict[str, Any]) -> str:
        parent = fields["parent"]
        parent_id = parent.id if parent else None
        set_topology(**_who(visit), child_id=usage_point_id, parent_id=parent_id, at=fields["at"])
        return _url(usage_point_id)

    make = partial(ParentForm, tenant_id=visit.tenant_id, initial=_at_now(visit))
    return answer_about(visit, _about(point), _("Say what feeds it"), _("Save"), make, set_parent)


@page(Role.ADMINISTRATOR)
def usage_point_tariff(visit: Visit, usage_point_id: int) -> HttpResponse:
    """Say by which tariff this point is billed."""
    point = _own(visit, usage_point_id)

    def set_tariff(fields: dict[str, Any]) -> str:
        tariff_id = fields.pop("tariff").id
        set_contract(**_who(visit), usage_point_id=usage_point_id, tariff_id=tariff_id, **fields)
        return _url(usage_point_id)

    make = partial(ContractForm, tenant_id=visit.tenant_id, initial=_at_now(visit))
    return answer_about(visit, _about(point), _("Set the tariff"), _("Save"), make, set_tariff)


@page(Role.ADMINISTRATOR)
def usage_point_erase_customer(visit: Visit, usage_point_id: int) -> HttpResponse:
    """Erase who the customer of this point is."""
    point = _own(visit, usage_point_id)

    def erase(_fields: dict[str, Any]) -> str:
        erase_customer(**_who(visit), usage_point_id=usage_point_id)
        return _url(usage_point_id)

    lead = _(
        "Name and contacts of the customer, the name of the usage point and what was said of its findings are"
        " erased and cannot be brought back. Readings and bills stay, of the code alone. Backups that were"
        " made before hold the names until they are deleted."
    )
    title, button = _("Erase the customer"), _("Erase")
    return answer_about(visit, _about(point), title, button, ConfirmForm, erase, lead=lead, is_dangerous=True)


@page(Role.ADMINISTRATOR)
def usage_point_end_contract(visit: Visit, usage_point_id: int) -> HttpResponse:
    """End the contract of this point."""
    point = _own(visit, usage_point_id)

    def end(fields: dict[str, Any]) -> str:
        end_contract(**_who(visit), usage_point_id=usage_point_id, at=fields["at"])
        return _url(usage_point_id)

    make = partial(AtForm, initial=_at_now(visit))
    lead = _("From then on nobody is billed for this usage point until a tariff is set again.")
    title = _("End the contract")
    return answer_about(visit, _about(point), title, title, make, end, lead=lead)


@page(Role.ADMINISTRATOR)
def usage_point_reopen_contract(visit: Visit, usage_point_id: int) -> HttpResponse:
    """Let the contract of this point that ended go on."""
    point = _own(visit, usage_point_id)

    def reopen(fields: dict[str, Any]) -> str:
        reopen_contract(**_who(visit), usage_point_id=usage_point_id, **fields)
        return _url(usage_point_id)

    lead = _(
        "Days that were taken back because it ended are proposed to be billed again. A month that has no bill"
        " is billed once that is asked for."
    )
    title = _("Take back the contract's end")
    return answer_about(visit, _about(point), title, title, UntilForm, reopen, lead=lead)


@page(Role.ADMINISTRATOR)
def usage_point_withdraw_contract(visit: Visit, usage_point_id: int, contract_id: int) -> HttpResponse:
    """Take away a contract of this point that nothing was billed under."""
    point = _own(visit, usage_point_id)
    contract = found(point.contracts.filter(id=contract_id).first(), "contract", contract_id)

    def withdraw(fields: dict[str, Any]) -> str:
        withdraw_contract(**_who(visit), usage_point_id=usage_point_id, contract_id=contract_id, **fields)
        return _url(usage_point_id)

    make = WithdrawForm if contract_before(contract) else ConfirmForm
    lead = _("Nothing was billed under it: it is as if it had never been. The audit keeps what it was.")
    title, button = _("Withdraw the contract"), _("Withdraw")
    return answer_about(visit, _about(point), title, button, make, withdraw, lead=lead, is_dangerous=True)


def _about(point: UsagePoint) -> About:
    return About(_url(point.id), point.name, point.site.time_zone)


def _own(visit: Visit, usage_point_id: int) -> UsagePoint:
    rows = UsagePoint.objects.select_related("site").filter(tenant_id=visit.tenant_id, id=usage_point_id)
    return found(rows.first(), "usage-point", usage_point_id)


def _who(visit: Visit) -> dict[str, Any]:
    return {"actor": visit.actor, "now": visit.services.now()}


def _at_now(visit: Visit) -> dict[str, Any]:
    return {"at": local_now(visit.services.now())}


def _url(usage_point_id: int) -> str:
    return reverse("console:usage_point", args=[usage_point_id])
