"""`wattkeeper export`: stored values of usage points as a file of any format, with their quality."""

from typing import Annotated

import typer

from wattkeeper.formats.api import LossList
from wattkeeper.formats.files import write_file
from wattkeeper.interfaces.cli.shell import AsOfOption, TenantOption, asked_instant, open_shell, parse_date
from wattkeeper.interfaces.cli.tools.convert import FormatOption, find_format, print_losses, write_out


def export(
    first: Annotated[str, typer.Argument(help="the first local date")],
    last: Annotated[str, typer.Argument(help="the last local date")],
    to: FormatOption,
    point: Annotated[list[str] | None, typer.Option(help="code of a usage point; none: all")] = None,
    as_of: AsOfOption = "",
    output: Annotated[str, typer.Option("--output", "-o", help="a file, or - for standard output")] = "-",
    tenant: TenantOption = "",
) -> None:
    """Write stored values as a file. Exit 0 only if all of it is there and the format can hold it."""
    form, days = find_format(to), (parse_date(first), parse_date(last))
    shell = open_shell(tenant, with_store=True)
    from wattkeeper.interfaces.reads.exports import blocks_for

    assert shell.services.store is not None
    losses = LossList()
    blocks = blocks_for(
        form,
        shell.services.store,
        losses,
        data_folder=shell.services.data_folder,
        tenant_id=shell.tenant_id,
        codes=point or [],
        first=days[0],
        last=days[1],
        as_of=asked_instant(as_of),
    )
    write_out(output, write_file(form, blocks, losses))
    print_losses(output, losses)
    raise typer.Exit(1 if losses.all() else 0)
