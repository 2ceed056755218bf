"""`wattkeeper store`: the readings store's schema."""

from typing import Annotated

import typer

from wattkeeper.store.cluster_ddl import cluster_retunings, cluster_statements

app = typer.Typer(no_args_is_help=True, help="The readings store.")


@app.callback()
def begin() -> None:
    """Store verbs."""


@app.command()
def init() -> None:
    """Make the tables that are not there yet on the ClickHouse server of WATTKEEPER_READINGS."""
    from wattkeeper.bootstrap import open_store
    from wattkeeper.store.client import HttpReadingStore

    store = open_store()
    assert isinstance(store, HttpReadingStore)
    store.make_tables()


@app.command()
def ddl(
    cluster: Annotated[str, typer.Option(help="name of the cluster in the servers' configuration")],
    database: Annotated[str, typer.Option(help="database of the tables")] = "wattkeeper",
    retune: Annotated[
        bool, typer.Option("--retune", help="bring tables of an earlier release to the settings of this one")
    ] = False,
) -> None:
    """Print the statements that make the schema on a replicated, sharded ClickHouse cluster."""
    for statement in (cluster_retunings if retune else cluster_statements)(cluster, database):
        typer.echo(f"{statement};\n")
