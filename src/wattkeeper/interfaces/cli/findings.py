"""`wattkeeper finding`: groups, list, comment, close; of one, or of a whole group."""

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.language import current_language, spoken
from wattkeeper.interfaces.cli.shell import (
    AsOfOption,
    JsonOption,
    TenantOption,
    asked_instant,
    open_shell,
    print_rows,
)
from wattkeeper.interfaces.evidence import tell_evidence, tell_subject

if TYPE_CHECKING:
    from wattkeeper.data.alarms.groups import GroupKey
    from wattkeeper.data.alarms.queries import FindingRow

app = typer.Typer(no_args_is_help=True, help="What rules found.")
ALL_STATES = "ALL"
FindingId = Annotated[int, typer.Argument(help="the finding's id, as list shows it")]
State = Annotated[str, typer.Option(help="OPEN, CLOSED or ALL")]


@app.command()
def groups(
    state: State = "OPEN",
    rule: str | None = None,
    search: str = "",
    as_of: AsOfOption = "",
    limit: int = 50,
    offset: int = 0,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """List findings, those of one rule at one meter together."""
    shell = open_shell(tenant)
    from wattkeeper.data.alarms.groups import list_finding_groups

    page = list_finding_groups(
        tenant_id=shell.tenant_id,
        state=None if state == ALL_STATES else state,
        rule=rule,
        search=search,
        as_of=asked_instant(as_of),
        offset_index=offset,
        limit_count=limit,
    )
    rows = [
        {
            "key": str(group.key),
            "rule": group.key.rule,
            "where": group.meter_serial_number
            or group.usage_point_code
            or tell_subject(group.key.subject_key, current_language()),
            "findings_count": group.findings_count,
            "open_count": group.open_count,
            "first_at": group.first_at,
            "last_at": group.last_at,
        }
        for group in page.items
    ]
    columns = ("key", "where", "findings_count", "open_count", "first_at", "last_at")
    print_rows(rows, columns, as_json=as_json, nothing=spoken("Nothing found."))


@app.command("list")
def list_(
    state: State = "OPEN",
    rule: str | None = None,
    group: Annotated[str, typer.Option(help="a group's key")] = "",
    as_of: AsOfOption = "",
    limit: int = 50,
    offset: int = 0,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """List each finding, newest first."""
    shell = open_shell(tenant)
    from wattkeeper.data.alarms.queries import list_findings

    page = list_findings(
        tenant_id=shell.tenant_id,
        state=None if state == ALL_STATES else state,
        rule=rule,
        group=parse_group(group) if group else None,
        as_of=asked_instant(as_of),
        offset_index=offset,
        limit_count=limit,
    )
    columns = (
        "finding_id",
        "rule",
        "meter_serial_number",
        "usage_point_code",
        "state",
        "starts_at",
        "ends_at",
        "evidence",
    )
    rows = page.items if as_json else [{**asdict(row), "evidence": _told(row)} for row in page.items]
    print_rows(rows, columns, as_json=as_json, nothing=spoken("Nothing found."))


@app.command()
def comment(finding_id: FindingId, text: str, tenant: TenantOption = "") -> None:
    """Comment on a finding."""
    shell = open_shell(tenant)
    from wattkeeper.actions.findings.comment_finding import comment_finding

    typer.echo(comment_finding(actor=shell.actor, now=shell.now, finding_id=finding_id, text=text))


@app.command()
def close(finding_id: FindingId, text: str, tenant: TenantOption = "") -> None:
    """Close a finding with a word on why."""
    shell = open_shell(tenant)
    from wattkeeper.actions.findings.close_finding import close_finding

    close_finding(actor=shell.actor, now=shell.now, finding_id=finding_id, comment=text)


@app.command("close-group")
def close_group(
    key: Annotated[str, typer.Argument(help="the group's key, as groups shows it")],
    text: str,
    tenant: TenantOption = "",
) -> None:
    """Close the open findings of a group with a word on why; print how many those were."""
    shell = open_shell(tenant)
    from wattkeeper.actions.findings.close_findings import close_findings
    from wattkeeper.data.alarms.groups import newest_finding_id

    up_to_id = newest_finding_id(tenant_id=shell.tenant_id)
    keys = [parse_group(key)]
    typer.echo(close_findings(actor=shell.actor, now=shell.now, keys=keys, up_to_id=up_to_id, comment=text))


def _told(row: "FindingRow") -> str:
    told = tell_evidence(row.evidence, current_language(), datetime.isoformat)
    return "; ".join(f"{name}: {value}" for name, value in told)


def parse_group(text: str) -> "GroupKey":
    """Return the group that a key names.

    :raises WattkeeperError: ``findings.group-unknown``
    """
    from wattkeeper.data.alarms.groups import GroupKey

    key = GroupKey.parse(text)
    if key is None:
        raise WattkeeperError("findings.group-unknown", key=text)
    return key
