"""`wattkeeper keys`: prove, exchange and, where they are lost, give up what the secrets are sealed with."""

from typing import Annotated, Any

import typer

from wattkeeper.bootstrap import setup_django
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.language import spoken
from wattkeeper.interfaces.cli.shell import TenantOption, open_shell, print_counts

app = typer.Typer(no_args_is_help=True, help="Keys: what names, contacts and device keys are sealed with.")


@app.command()
def make() -> None:
    """Make the key file, at WATTKEEPER_KEY_FILE or in the data folder, where there is none; print its id."""
    setup_django()
    from wattkeeper.actions.keys.ready_keys import make_key_file
    from wattkeeper.data.sealing.master import read_master
    from wattkeeper.data.sealing.vault import master_path

    make_key_file()
    typer.echo(f"{master_path()} {read_master(master_path()).key_id}")


@app.command()
def check() -> None:
    """Prove that the key file opens everything; print its place and id, and columns that are still plain."""
    setup_django()
    from wattkeeper.actions.keys.ready_keys import check_keys
    from wattkeeper.data.sealing.master import read_master
    from wattkeeper.data.sealing.sweep import find_plain
    from wattkeeper.data.sealing.vault import master_path

    count = check_keys()
    typer.echo(f"{master_path()} {read_master(master_path()).key_id}, {spoken('keys')} {count}")
    for column in find_plain():
        typer.echo(f"{spoken('plain')}: {column}")


@app.command()
def rotate(
    new_master: Annotated[bool, typer.Option("--new-master", help="a new key file too")] = False,
    tenant: TenantOption = "",
) -> None:
    """Make new keys and seal everything anew, while the installation runs. Cut off, `keys seal` goes on."""
    shell = open_shell(tenant)
    from wattkeeper.actions.keys.rotate_keys import rotate_keys

    with typer.progressbar(length=1, label=spoken("keys"), file=typer.get_text_stream("stderr")) as bar:
        done = rotate_keys(
            actor=shell.actor,
            now=shell.now,
            services=shell.services,
            has_new_master=new_master,
            on_progress=lambda done_count, total_count: _show(bar, done_count, total_count),
        )
    print_counts(keys=done.keys_count, rows=done.rows_count, destroyed=done.destroyed_count)


@app.command()
def seal(tenant: TenantOption = "") -> None:
    """Seal what is still plain or under an older key: goes on with a rotation that was cut off."""
    shell = open_shell(tenant)
    from wattkeeper.actions.keys.rotate_keys import go_on

    with typer.progressbar(length=1, label=spoken("keys"), file=typer.get_text_stream("stderr")) as bar:
        rows_count, destroyed_count = go_on(
            actor=shell.actor,
            now=shell.now,
            services=shell.services,
            on_progress=lambda done_count, total_count: _show(bar, done_count, total_count),
        )
    print_counts(rows=rows_count, destroyed=destroyed_count)


@app.command()
def abandon(
    yes: Annotated[bool, typer.Option("--yes", help="the key file is lost for good")] = False,
    tenant: TenantOption = "",
) -> None:
    """Empty all that a lost key file sealed, so that the installation starts again without it."""
    if not yes:
        raise WattkeeperError("keys.not-sure")
    shell = open_shell(tenant)
    from wattkeeper.actions.keys.abandon_keys import abandon_keys

    print_counts(values=abandon_keys(actor=shell.actor, now=shell.now))


def _show(bar: Any, done_count: int, total_count: int) -> None:
    bar.length = max(total_count, 1)
    bar.update(done_count - bar.pos)
