"""`wattkeeper serve`: the whole of Wattkeeper on this machine."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from wattkeeper.bootstrap import data_folder
from wattkeeper.bootstrap.prepare import prepare
from wattkeeper.interfaces.workers.supervisor import Supervisor, run_until_stopped


def serve(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on")] = 8000,
) -> None:
    """Run store, head-end, worker and pages until stopped."""
    folder = data_folder()
    console = Console(stderr=True)
    supervisor = Supervisor(folder, host=host, port=port, environment={})
    try:
        supervisor.take_folder()
        made = prepare(folder, now=datetime.now(UTC))
        supervisor.start()
        console.print(f"[bold]Wattkeeper · 电表管家[/bold]  {supervisor.url}")
        if made is not None:
            tell_administrator(console, made)
        run_until_stopped(supervisor)
    finally:
        supervisor.stop()


def tell_administrator(console: Console, made: tuple[str, str]) -> None:
    """Show the first administrator's name and password, this once."""
    console.print(f"Administrator · 管理员: [bold]{made[0]}[/bold]   password · 密码: [bold]{made[1]}[/bold]")
    console.print("Shown once; change it after the first log-in. · 仅显示一次,请登录后修改。")
