"""Meters: add, edit, copy, install, exchange, remove, retire, delete."""

from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from wattkeeper.actions.registry.add_meter import add_meter
from wattkeeper.actions.registry.copy_meter import copy_meter
from wattkeeper.actions.registry.delete_meter import delete_meter
from wattkeeper.actions.registry.edit_meter import edit_meter
from wattkeeper.actions.registry.exchange_meter import exchange_meter
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.registry.note_read import note_read
from wattkeeper.actions.registry.remove_meter import remove_meter
from wattkeeper.actions.registry.retire_meter import retire_meter
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.registry.models import Meter
from wattkeeper.interfaces.web.console.form_page import About, FormPage, answer_about, answer_form
from wattkeeper.interfaces.web.console.forms import MeterForm, with_site
from wattkeeper.interfaces.web.console.forms_work import (
    AtForm,
    ConfirmForm,
    CopyMeterForm,
    ExchangeForm,
    InstallForm,
    NoteReadForm,
    RemoveForm,
    local_now,
)
from wattkeeper.interfaces.web.console.show import asked_id
from wattkeeper.interfaces.web.console.visit import Visit, found, page

_FIELDS = MeterForm.Meta.fields


@page(Role.OPERATOR)
def meter_add(visit: Visit) -> HttpResponse:
    """Add a meter to a site's stock."""

    def make(**sent: Any) -> MeterForm:
        form = MeterForm(tenant_id=visit.tenant_id, **sent)
        with_site(form, visit.tenant_id, asked_id(visit, "site"))
        return form

    def add(fields: dict[str, Any]) -> str:
        meter_id = add_meter(
            **_who(visit),
            services=visit.services,
            site_id=fields["site"].id,
            keys=fields["keys"],
            **_own_fields(fields),
        )
        return _url(meter_id)

    return answer_form(
        visit,
        FormPage(
            title=_("Add a meter"),
            back_url=reverse("console:meters"),
            back_label=_("Meters"),
            button_label=_("Add"),
            make=make,
            do=add,
        ),
    )


@page(Role.OPERATOR)
def meter_edit(visit: Visit, meter_id: int) -> HttpResponse:
    """Edit a meter; keys that are given replace the old ones."""
    meter = _own(visit, meter_id)

    def edit(fields: dict[str, Any]) -> str:
        edit_meter(
            **_who(visit),
            services=visit.services,
            meter_id=meter_id,
            keys=fields["keys"],
            **_own_fields(fields),
        )
        return _url(meter_id)

    make = partial(MeterForm, tenant_id=visit.tenant_id, instance=meter)
    return answer_about(visit, _about(meter), _("Edit the meter"), _("Save"), make, edit)


@page(Role.OPERATOR)
def meter_copy(visit: Visit, meter_id: int) -> HttpResponse:
    """Add a meter like this one."""
    meter = _own(visit, meter_id)

    def copy(fields: dict[str, Any]) -> str:
        return _url(copy_meter(**_who(visit), meter_id=meter_id, **fields))

    lead = _("The copy has the same driver, link and channels, and goes into stock. Keys are not copied.")
    return answer_about(visit, _about(meter), _("Copy the meter"), _("Copy"), CopyMeterForm, copy, lead=lead)


@page(Role.OPERATOR)
def meter_install(visit: Visit, meter_id: int) -> HttpResponse:
    """Install a meter at a usage point."""
    meter = _own(visit, meter_id)

    def install(fields: dict[str, Any]) -> str:
        install_meter(
            **_who(visit),
            services=visit.services,
            meter_id=meter_id,
            usage_point_id=fields["usage_point"].id,
            at=fields["at"],
            initial_read=fields["initial_read"] or None,
        )
        return _url(meter_id)

    make = partial(InstallForm, tenant_id=visit.tenant_id, initial=_at_now(visit))
    return answer_about(visit, _about(meter), _("Install the meter"), _("Install"), make, install)


@page(Role.OPERATOR)
def meter_exchange(visit: Visit, meter_id: int) -> HttpResponse:
    """Put another meter in this one's place."""
    meter = _own(visit, meter_id)

    def exchange(fields: dict[str, Any]) -> str:
        new_meter_id = fields["new_meter"].id
        exchange_meter(
            **_who(visit),
            services=visit.services,
            meter_id=meter_id,
            new_meter_id=new_meter_id,
            at=fields["at"],
            final_read=fields["final_read"],
            initial_read=fields["initial_read"],
        )
        return _url(new_meter_id)

    make = partial(ExchangeForm, tenant_id=visit.tenant_id, initial=_at_now(visit))
    lead = _("Both readings count: no energy is lost between the two meters.")
    return answer_about(
        visit, _about(meter), _("Exchange the meter"), _("Exchange"), make, exchange, lead=lead
    )


@page(Role.OPERATOR)
def meter_remove(visit: Visit, meter_id: int) -> HttpResponse:
    """Take a meter away from its usage point."""
    meter = _own(visit, meter_id)

    def remove(fields: dict[str, Any]) -> str:
        remove_meter(
            **_who(visit),
            services=visit.services,
            meter_id=meter_id,
            at=fields["at"],
            final_read=fields["final_read"] or None,
        )
        return _url(meter_id)

    make = partial(RemoveForm, initial=_at_now(visit))
    return answer_about(visit, _about(meter), _("Remove the meter"), _("Remove"), make, remove)


@page(Role.OPERATOR)
def meter_note_read(visit: Visit, meter_id: int) -> HttpResponse:
    """Note what a register of a meter showed."""
    meter = _own(visit, meter_id)

    def note(fields: dict[str, Any]) -> str:
        note_read(
            **_who(visit),
            services=visit.services,
            meter_id=meter_id,
            **{**fields, "set_to": fields["set_to"] or None},
        )
        return _url(meter_id)

    make = partial(NoteReadForm, initial=_at_now(visit))
    lead = _("What was noted last for an instant holds: a wrong first or last reading is corrected here.")
    return answer_about(visit, _about(meter), _("Note a reading"), _("Note"), make, note, lead=lead)


@page(Role.OPERATOR)
def meter_retire(visit: Visit, meter_id: int) -> HttpResponse:
    """Retire a meter; its readings stay."""
    meter = _own(visit, meter_id)

    def retire(fields: dict[str, Any]) -> str:
        retire_meter(**_who(visit), meter_id=meter_id, at=fields["at"])
        return _url(meter_id)

    make = partial(AtForm, initial=_at_now(visit))
    lead = _("It is read no longer; its readings and bills stay for ever.")
    return answer_about(
        visit, _about(meter), _("Retire the meter"), _("Retire"), make, retire, lead=lead, is_dangerous=True
    )


@page(Role.OPERATOR)
def meter_delete(visit: Visit, meter_id: int) -> HttpResponse:
    """Delete a meter that was never read."""
    meter = _own(visit, meter_id)

    def delete(_fields: dict[str, Any]) -> str:
        delete_meter(**_who(visit), meter_id=meter_id)
        messages.success(visit.request, gettext("The meter is deleted."))
        return reverse("console:meters")

    lead = _("Only a meter entered by mistake, that was never read, can be deleted.")
    return answer_about(
        visit,
        _about(meter),
        _("Delete the meter"),
        _("Delete"),
        ConfirmForm,
        delete,
        lead=lead,
        is_dangerous=True,
    )


def _about(meter: Meter) -> About:
    return About(_url(meter.id), meter.serial_number, meter.site.time_zone)


def _own(visit: Visit, meter_id: int) -> Meter:
    rows = Meter.objects.select_related("site").filter(tenant_id=visit.tenant_id, id=meter_id)
    return found(rows.first(), "meter", meter_id)


def _who(visit: Visit) -> dict[str, Any]:
    return {"actor": visit.actor, "now": visit.services.now()}


def _own_fields(fields: dict[str, Any]) -> dict[str, Any]:
    own = {name: fields[name] for name in _FIELDS if name != "link"}
    return {**own, "link_id": fields["link"].id if fields["link"] else None}


def _at_now(visit: Visit) -> dict[str, Any]:
    return {"at": local_now(visit.services.now())}


def _url(meter_id: int) -> str:
    return reverse("console:meter", args=[meter_id])
