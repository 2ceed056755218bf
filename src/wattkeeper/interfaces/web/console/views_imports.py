"""The import of files: sent, looked at, its columns named, tried, stored; mappings kept for the next one."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from wattkeeper.actions.collection.drafts import Draft, drop_draft, hold_draft, open_draft
from wattkeeper.actions.collection.import_file import try_import
from wattkeeper.actions.collection.mappings import get_mapping, list_mappings, remove_mapping, save_mapping
from wattkeeper.actions.collection.request_import import request_import
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.registry.models import Site
from wattkeeper.formats.api import FormatError, RowError
from wattkeeper.formats.archives import unpacked
from wattkeeper.formats.detect import detect_format
from wattkeeper.formats.encodings import ENCODINGS
from wattkeeper.formats.mapping import Mapping
from wattkeeper.formats.mapping_detect import Detection, detect_table
from wattkeeper.formats.mapping_roles import TableRules, decompose
from wattkeeper.formats.table_head import columns_of, detect_content, guess_delimiter, is_table, read_head
from wattkeeper.interfaces.messages import sentence
from wattkeeper.interfaces.reads.imports import about_block
from wattkeeper.interfaces.web.console.form_page import INVALID, FormPage, answer_form
from wattkeeper.interfaces.web.console.forms_import import (
    DELIMITERS,
    TIME_FORMATS,
    ColumnsForm,
    UploadForm,
    WholeForm,
    initial_of,
)
from wattkeeper.interfaces.web.console.forms_work import ConfirmForm
from wattkeeper.interfaces.web.console.show import main_zone, say, show
from wattkeeper.interfaces.web.console.tables import Cell, Table, at_cell, show_table
from wattkeeper.interfaces.web.console.visit import Visit, page

SHOWN_MAX_COUNT = 100
PREVIEW_COUNT = 6


@page(Role.OPERATOR)
def import_(visit: Visit) -> HttpResponse:
    """Take a file; nothing of it is stored before its columns were looked at."""

    def send(fields: dict[str, Any]) -> str:
        site = fields["site"]
        draft_id = hold_draft(
            actor=visit.actor,
            now=visit.services.now(),
            services=visit.services,
            content=fields["file"].chunks(),
            label=fields["file"].name,
            site_id=site.id if site else None,
        )
        return reverse("console:import_columns", args=[draft_id])

    form_page = FormPage(
        title=_("Import a file"),
        back_url=reverse("console:jobs"),
        back_label=_("Jobs"),
        button_label=_("Go on"),
        make=partial(UploadForm, tenant_id=visit.tenant_id),
        do=send,
        lead=_(
            "Next you see what was recognised, and can try it. Sending the same file again changes nothing."
        ),
    )
    return answer_form(visit, form_page)


@page(Role.OPERATOR)
def import_columns(visit: Visit, draft_id: str) -> HttpResponse:
    """Say what each column is, try it, keep it under a name, and import the file."""
    draft = open_draft(actor=visit.actor, services=visit.services, draft_id=draft_id)
    draft = replace(draft, content=unpacked(draft.content))
    do = visit.request.POST.get("do", "")
    if do == "drop":
        drop_draft(actor=visit.actor, services=visit.services, draft_id=draft_id)
        return redirect("console:import")
    form, questions = _form(visit, draft)
    answer: dict[str, Any] = {}
    if do in ("try", "import", "save") and form.is_valid():
        try:
            done = _do(visit, draft, form, do)
        except WattkeeperError as error:
            field = str(error.params.get("field", ""))
            form.add_error(field if field in form.fields else None, say(error))
        else:
            if isinstance(done, HttpResponse):
                return done
            answer = done
    context = {
        "draft": draft,
        "form": form,
        "is_table": isinstance(form, ColumnsForm),
        "format": detect_format(draft.content),
        "questions": questions,
        "mappings": [row.name for row in list_mappings(tenant_id=visit.tenant_id)],
        "chosen": visit.request.GET.get("mapping", ""),
        "time_formats": TIME_FORMATS,
        **answer,
    }
    return show(visit, "import_columns.html", context, status=INVALID if form.errors else 200)


@page(Role.OPERATOR)
def mappings(visit: Visit) -> HttpResponse:
    """List the mappings that were kept."""
    zone = main_zone(visit.tenant_id)
    rows = list_mappings(tenant_id=visit.tenant_id)
    table = Table(
        name="mappings",
        title=_("Columns of files"),
        columns=(_("Name"), _("Changed"), ""),
        rows=[
            (
                Cell(row.name),
                at_cell(row.changed_at, zone),
                Cell(_("Remove"), reverse("console:mapping_remove", args=[row.name])),
            )
            for row in rows
        ],
        add_url=reverse("console:import"),
        add_label=_("Import a file"),
    )
    return show_table(visit, table)


@page(Role.OPERATOR)
def mapping_remove(visit: Visit, name: str) -> HttpResponse:
    """Remove a kept mapping."""
    get_mapping(tenant_id=visit.tenant_id, name=name)

    def remove(_fields: dict[str, Any]) -> str:
        remove_mapping(actor=visit.actor, now=visit.services.now(), name=name)
        return reverse("console:mappings")

    form_page = FormPage(
        title=_("Remove these columns"),
        back_url=reverse("console:mappings"),
        back_label=_("Columns of files"),
        button_label=_("Remove"),
        make=ConfirmForm,
        do=remove,
        lead=name,
        is_dangerous=True,
    )
    return answer_form(visit, form_page)


def _do(visit: Visit, draft: Draft, form: forms.Form, do: str) -> HttpResponse | dict[str, Any]:
    """Do what a button says: where to go next, or what the page then shows."""
    mapping = form.mapping() if isinstance(form, ColumnsForm) else None
    name = form.cleaned_data.get("save_as", "").strip()
    if mapping is not None and (name or do == "save"):
        named = replace(mapping, name=name)
        save_mapping(actor=visit.actor, now=visit.services.now(), name=name, mapping=named)
    if do == "import":
        return _import(visit, draft, mapping, is_whole=form.cleaned_data["is_whole"])
    return {"saved": name} if do == "save" else _tried(visit, draft, mapping)


def _import(visit: Visit, draft: Draft, mapping: Mapping | None, *, is_whole: bool) -> HttpResponse:
    job_id = request_import(
        actor=visit.actor,
        now=visit.services.now(),
        services=visit.services,
        content=[draft.content],
        label=draft.label,
        site_id=draft.site_id,
        options=mapping,
        is_whole=is_whole,
    )
    drop_draft(actor=visit.actor, services=visit.services, draft_id=draft.draft_id)
    return redirect("console:job", job_id)


def _tried(visit: Visit, draft: Draft, mapping: Mapping | None) -> dict[str, Any]:
    result, blocks = try_import(
        actor=visit.actor,
        now=visit.services.now(),
        services=visit.services,
        content=draft.content,
        label=draft.label,
        site_id=draft.site_id,
        options=mapping,
    )
    return {
        "result": result,
        "errors_count": len(result.errors),
        "errors": _told(result.errors[:SHOWN_MAX_COUNT]),
        "blocks": [about_block(block) for block in blocks[:SHOWN_MAX_COUNT]],
        "blocks_count": len(blocks),
    }


def _told(errors: Sequence[RowError]) -> list[tuple[str, str]]:
    language = get_language() or "en"
    return [
        (f"{one.line}:{one.column}" if one.line else "", sentence(one.code, one.params, language))
        for one in errors
    ]


def _form(visit: Visit, draft: Draft) -> tuple[forms.Form, Sequence[str]]:
    """Return the page's form, and which of its fields a person has to confirm."""
    given = visit.request.POST if visit.request.method == "POST" else None
    if not is_table(draft.content):
        return WholeForm(given), ()
    if given is not None and given.get("do") != "refresh":
        columns = columns_of(_head(draft, given), _header_line(given))
        return ColumnsForm(given, columns=columns), ()
    detection = _detection(visit, draft, given)
    mapping, questions = (detection.mapping, detection.questions) if detection else (None, ("time",))
    rules = TableRules(
        delimiter=mapping.delimiter if mapping else guess_delimiter(draft.content),
        header_line=mapping.header_line if mapping else 1,
        encoding=mapping.encoding if mapping else "",
    )
    if given is not None:
        rules = replace(
            rules,
            delimiter=_delimiter(given),
            header_line=_header_line(given),
            encoding=_encoding(given),
        )
    head = read_head(draft.content, rules.delimiter, rules.encoding)
    columns = columns_of(head, rules.header_line, samples_count=3)
    if mapping is None:
        return ColumnsForm(columns=columns, initial=initial_of((), rules)), questions
    roles, found = decompose(mapping, columns)
    if "zone" in questions:
        found = replace(found, zone=_zone(visit, draft))
    told = replace(found, delimiter=rules.delimiter, header_line=rules.header_line, encoding=rules.encoding)
    return ColumnsForm(columns=columns, initial=initial_of(roles, told)), questions


def _detection(visit: Visit, draft: Draft, given: Any) -> Detection | None:
    """Return a kept mapping where one was chosen, else a guess; None where nothing can be made out."""
    name = visit.request.GET.get("mapping", "")
    if name and given is None:
        return Detection(get_mapping(tenant_id=visit.tenant_id, name=name), (), ())
    try:
        if given is None:
            return detect_content(draft.content)
        return detect_table(_head(draft, given), _delimiter(given))
    except FormatError as error:
        if error.code != "mapping.not-found":
            raise
        return None


def _zone(visit: Visit, draft: Draft) -> str:
    """Return the zone that times without an offset are most likely in: the site's."""
    site = Site.objects.filter(tenant_id=visit.tenant_id, id=draft.site_id or 0).first()
    return site.time_zone if site else main_zone(visit.tenant_id)


def _head(draft: Draft, given: Any) -> list[list[str]]:
    return read_head(draft.content, _delimiter(given), _encoding(given))


def _encoding(given: Any) -> str:
    text = given.get("encoding", "")
    return text if text in ENCODINGS else ""


def _delimiter(given: Any) -> str:
    text = given.get("delimiter", ",")
    return text if text in dict(DELIMITERS) else ","


def _header_line(given: Any) -> int:
    text = given.get("header_line", "1")
    return min(int(text), 100) if text.isdecimal() and len(text) < 4 else 1
