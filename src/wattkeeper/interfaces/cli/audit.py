"""`wattkeeper audit`: prove that nobody changed the audit chain."""

import typer

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.shell import TenantOption, open_shell

app = typer.Typer(no_args_is_help=True, help="The audit chain.")


@app.callback()
def begin() -> None:
    """Audit verbs."""


@app.command()
def verify(tenant: TenantOption = "") -> None:
    """Check every record and signed head; print the newest number and hash, to be kept elsewhere."""
    shell = open_shell(tenant)
    from wattkeeper.actions.operations.audit_heads import prove_chain
    from wattkeeper.data.audit.chain import newest_hash

    proof = prove_chain(shell.services.data_folder, shell.tenant_id)
    for fault in proof.faults:
        first, last = fault.first_sequence, fault.last_sequence
        raise WattkeeperError("audit.chain-broken", sequence=first, last=last, kind=fault.kind)
    sequence, newest = newest_hash(shell.tenant_id)
    typer.echo(f"{sequence} {newest}")


@app.command("new-key")
def make_key() -> None:
    """Make a new signing key for one that is lost; what the old one signed stays proved."""
    shell = open_shell()
    from wattkeeper.actions.operations.audit_heads import new_key
    from wattkeeper.actions.operations.record import record_operation
    from wattkeeper.data.installation import note_installation

    public_key = new_key(shell.services.data_folder)
    note_installation(shell.services.data_folder)
    detail = {"public_key": public_key}
    record_operation(actor=shell.actor, now=shell.now, what="audit-key-made", detail=detail)
    typer.echo(public_key)
