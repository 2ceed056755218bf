"""`wattkeeper rebill`: bills whose values changed: what is proposed, approved, rejected."""

from typing import Annotated

import typer

from wattkeeper.interfaces.cli.shell import JsonOption, TenantOption, open_shell, print_rows

app = typer.Typer(no_args_is_help=True, help="Bills whose values changed since they were issued.")
ProposalId = Annotated[int, typer.Argument(help="the proposal's id, as list shows it")]


@app.command("list")
def list_(
    state: Annotated[str, typer.Option(help="OPEN, APPROVED, REJECTED, OBSOLETE or ALL")] = "OPEN",
    limit: int = 50,
    offset: int = 0,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """List proposals, newest first."""
    shell = open_shell(tenant)
    from wattkeeper.data.billing.rebills import list_proposals

    page = list_proposals(
        tenant_id=shell.tenant_id,
        state=None if state == "ALL" else state,
        offset_index=offset,
        limit_count=limit,
    )
    columns = ("proposal_id", "bill_id", "usage_point_code", "state", "old_total_minor", "total_minor")
    print_rows(page.items, columns, as_json=as_json)


@app.command()
def approve(proposal_id: ProposalId, tenant: TenantOption = "") -> None:
    """Reverse the bill, issue the new one, and print that one's id."""
    shell = open_shell(tenant, with_store=True)
    from wattkeeper.actions.billing.propose_rebills import approve_rebill

    typer.echo(
        approve_rebill(actor=shell.actor, now=shell.now, services=shell.services, proposal_id=proposal_id)
    )


@app.command()
def reject(proposal_id: ProposalId, note: str, tenant: TenantOption = "") -> None:
    """Let the bill stay as it is, and say why."""
    shell = open_shell(tenant)
    from wattkeeper.actions.billing.propose_rebills import reject_rebill

    reject_rebill(actor=shell.actor, now=shell.now, proposal_id=proposal_id, note=note)
