"""`wattkeeper rebill`: bills whose values changed: what is proposed, approved, rejected."""

from typing import Annotated

import typer

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.shell import JsonOption, TenantOption, open_shell, print_one, print_rows

app = typer.Typer(no_args_is_help=True, help="Bills whose values changed since they were issued.")
ProposalId = Annotated[int, typer.Argument(help="the proposal's id, as list shows it")]
Version = Annotated[str, typer.Argument(help="of the figures that were seen, as list and show tell it")]


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
    columns = (
        *("proposal_id", "version", "bill_id", "usage_point_code", "state", "reason"),
        *("old_total_minor", "total_minor", "currency"),
    )
    print_rows(page.items, columns, as_json=as_json)


@app.command()
def show(proposal_id: ProposalId, tenant: TenantOption = "") -> None:
    """Show a proposal: what was billed, what it would be now, and the version of these figures."""
    shell = open_shell(tenant)
    from wattkeeper.data.billing.rebills import get_proposal

    row = get_proposal(tenant_id=shell.tenant_id, proposal_id=proposal_id)
    if row is None:
        raise WattkeeperError("registry.not-found", kind="rebill-proposal", id=proposal_id)
    print_one(row)


@app.command()
def approve(proposal_id: ProposalId, version: Version, tenant: TenantOption = "") -> None:
    """Reverse the bill, issue what replaces it, and print the new bills' ids."""
    shell = open_shell(tenant, with_store=True)
    from wattkeeper.actions.billing.propose_rebills import approve_rebill

    new_ids = approve_rebill(
        actor=shell.actor,
        now=shell.now,
        services=shell.services,
        proposal_id=proposal_id,
        version=version,
    )
    for new_id in new_ids:
        typer.echo(new_id)


@app.command()
def reject(proposal_id: ProposalId, version: Version, note: str, tenant: TenantOption = "") -> None:
    """Let the bill stay as it is, and say why."""
    shell = open_shell(tenant)
    from wattkeeper.actions.billing.propose_rebills import reject_rebill

    reject_rebill(actor=shell.actor, now=shell.now, proposal_id=proposal_id, version=version, note=note)
