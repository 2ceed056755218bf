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
    """Check every record of the chain; print its newest number and hash, to be kept elsewhere."""
    shell = open_shell(tenant)
    from wattkeeper.data.audit.chain import find_break, newest_hash

    if (broken_at := find_break(shell.tenant_id)) is not None:
        raise WattkeeperError("audit.chain-broken", sequence=broken_at)
    sequence, newest = newest_hash(shell.tenant_id)
    typer.echo(f"{sequence} {newest}")
