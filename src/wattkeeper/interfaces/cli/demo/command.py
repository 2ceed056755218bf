"""`wattkeeper demo`, with `--check` for the proof."""

import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from wattkeeper.bootstrap.plants import PLANTS

LABELS = {
    "memories": "Fetching memories · 读取电表存储",
    "lived": "Living two days · 运行两天",
}


def demo(
    check: Annotated[bool, typer.Option("--check", help="run the proof unattended and exit")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the proof as one JSON object")] = False,
    plant: Annotated[str, typer.Option(help=f"plant a fault the check must see: {', '.join(PLANTS)}")] = "",
    small: Annotated[bool, typer.Option("--small", help="check a quarter of the street")] = False,
    port: Annotated[int, typer.Option(help="port of the pages")] = 8000,
    folder: Annotated[Path, typer.Option(help="data folder of the demonstration")] = Path("var/demo"),
) -> None:
    """Show a simulated street read by Wattkeeper, or prove that nothing of it was lost."""
    signal.signal(signal.SIGTERM, _interrupt)
    if not check:
        from wattkeeper.interfaces.cli.demo.run import run_demo

        folder.mkdir(parents=True, exist_ok=True)
        run_demo(folder.resolve(), port=port)
        return
    raise typer.Exit(_check(plant, is_small=small, as_json=as_json))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _check(plant: str, *, is_small: bool, as_json: bool) -> int:
    from wattkeeper.interfaces.cli.demo.check import run_check

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks = {name: bar.add_task(label, total=None) for name, label in LABELS.items()}
        report = run_check(
            plant=plant,
            is_small=is_small,
            on_progress=lambda name, done, total: bar.update(tasks[name], completed=done, total=total),
        )
    if as_json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
    else:
        for name, value in report.items():
            console.print(f"{name:22} {value}")
    return 0 if report["ok"] else 1
