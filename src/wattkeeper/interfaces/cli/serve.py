"""`wattkeeper serve`: the whole of Wattkeeper on this machine."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from wattkeeper.bootstrap import data_folder
from wattkeeper.bootstrap.prepare import prepare
from wattkeeper.core.kernel.addresses import is_loopback
from wattkeeper.data.installation import note_installation
from wattkeeper.interfaces.workers.supervisor import Supervisor, end_when_told, run_until_stopped
from wattkeeper.interfaces.workers.tls import Tls, choose


def serve(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="port to listen on")] = 8000,
    tls_cert: Annotated[Path | None, typer.Option(help="certificate chain, PEM")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="its private key, PEM")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="plain HTTP on an address that others reach")
    ] = False,
) -> None:
    """Run store, head-end, worker and pages until stopped; over TLS on any address but loopback."""
    folder = data_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    console = Console(stderr=True)
    now = datetime.now(UTC)
    tls = choose(folder, host, certificate=tls_cert, key=tls_key, is_insecure=insecure, now=now)
    supervisor = Supervisor(folder, host=host, port=port, environment={}, tls=tls)
    end_when_told()
    try:
        supervisor.take_folder()
        made = prepare(folder, now=now, on_key_made=tell_key_file)
        supervisor.start()
        note_installation(folder)  # the store has made its folder by now
        console.print(f"[bold]Wattkeeper · 电表管家[/bold]  {supervisor.url}")
        _tell_security(console, host, tls)
        if made is not None:
            tell_administrator(console, made)
        run_until_stopped(supervisor)
    finally:
        supervisor.stop()


def _tell_security(console: Console, host: str, tls: Tls | None) -> None:
    """Say how far the pages can be trusted on the way."""
    if tls is None and not is_loopback(host):
        console.print("Plain HTTP: passwords can be read on the way. · 明文 HTTP,口令可能被窃听。")
    elif tls is not None and tls.is_own:
        console.print(f"Own certificate, SHA-256 · 自签证书指纹: {tls.fingerprint}")


def tell_key_file(path: Path) -> None:
    """Say that there is a key now, and what it is for."""
    console = Console(stderr=True, soft_wrap=True)
    console.print(f"Key file made · 已生成密钥文件: [bold]{path}[/bold]")
    console.print(
        "Names, contacts and device keys are sealed with it. Keep a copy elsewhere: nothing else opens them."
    )
    console.print("姓名、联系方式和设备密钥均由它加密。请另存一份副本：没有它，谁也无法解密。")


def tell_administrator(console: Console, made: tuple[str, str]) -> None:
    """Show the first administrator's name and password, this once."""
    console.print(f"Administrator · 管理员: [bold]{made[0]}[/bold]   password · 密码: [bold]{made[1]}[/bold]")
    console.print("Shown once; change it after the first log-in. · 仅显示一次,请登录后修改。")
