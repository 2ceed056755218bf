"""A page with one form: shown, checked, done by one action; a refusal is told beside the field."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.functional import Promise

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.web.console.show import main_zone, say, show
from wattkeeper.interfaces.web.console.visit import Visit

Make = Callable[..., forms.BaseForm]
Do = Callable[[dict[str, Any]], str | HttpResponse]
Text = str | Promise
INVALID = 422


@dataclass(frozen=True, slots=True)
class FormPage:
    """What a form page says and does. `do` gets the cleaned data and returns where to go next, or a file."""

    title: Text
    back_url: str
    back_label: Text
    button_label: Text
    make: Make
    do: Do
    lead: Text = ""
    is_dangerous: bool = False
    zone: str | None = None
    template: str = "form.html"
    facts: tuple[tuple[Text, Text], ...] = ()


@dataclass(frozen=True, slots=True)
class About:
    """What a form is about: the page of a thing, its name, the zone of its times."""

    url: str
    name: str
    zone: str


def answer_about(
    visit: Visit,
    about: About,
    title: Text,
    button_label: Text,
    make: Make,
    do: Do,
    *,
    lead: Text = "",
    is_dangerous: bool = False,
) -> HttpResponse:
    """Return a form about a thing, or where its action leads; back is the thing's own page."""
    form_page = FormPage(
        title=title,
        back_url=about.url,
        back_label=about.name,
        button_label=button_label,
        make=make,
        do=do,
        lead=lead,
        is_dangerous=is_dangerous,
        zone=about.zone,
    )
    return answer_form(visit, form_page)


def answer_form(visit: Visit, page: FormPage) -> HttpResponse:
    """Return the form, or where its action leads; local times are read in the page's zone."""
    zone = page.zone or main_zone(visit.tenant_id)
    with timezone.override(ZoneInfo(zone)):
        form, done = _handle(visit, page)
    if done is not None:
        return redirect(done) if isinstance(done, str) else done
    context = {
        "page": page,
        "form": form,
        "is_multipart": form.is_multipart(),
    }
    return show(visit, page.template, context, zone=zone, status=INVALID if form.errors else 200)


def _handle(visit: Visit, page: FormPage) -> tuple[forms.BaseForm, str | HttpResponse | None]:
    request = visit.request
    if request.method != "POST":
        return page.make(), None
    form = page.make(data=request.POST, files=request.FILES)
    if not form.is_valid():
        return form, None
    try:
        return form, page.do(form.cleaned_data)
    except WattkeeperError as error:
        _tell(form, error)
        return form, None


def _tell(form: forms.BaseForm, error: WattkeeperError) -> None:
    field = error.params.get("field")
    form.add_error(field if isinstance(field, str) and field in form.fields else None, say(error))
