"""`wattkeeper verify`: recount and reconcile everything; 0 when nothing is wrong, 1 when something is."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from wattkeeper.bootstrap import data_folder
from wattkeeper.interfaces.cli.language import current_language
from wattkeeper.interfaces.cli.own_store import store_of
from wattkeeper.interfaces.cli.progress import ProgressLine
from wattkeeper.interfaces.cli.shell import JsonOption, open_shell
from wattkeeper.interfaces.messages import sentence

if TYPE_CHECKING:
    from wattkeeper.store.verify import Check, Fault

FOUND_CODE = 1


def verify(
    sample: Annotated[
        int | None, typer.Option(help="derive so many series of each organisation again; else all")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that nothing is lost, doubled, moved or changed; say what is, where, and what was not proved."""
    with store_of(data_folder()):
        checks = _run(sample, is_told=not as_json)
    if as_json:
        typer.echo(json.dumps(_plain(checks), ensure_ascii=False))
    raise typer.Exit(FOUND_CODE if any(check.faults for check in checks) else 0)


def _run(sample: int | None, *, is_told: bool) -> "list[Check]":
    shell = open_shell(with_store=True)
    from wattkeeper.actions.operations import verify as operation
    from wattkeeper.bootstrap.pipeline_ports import pipeline_ports

    store = shell.services.store
    assert store is not None
    checks = []
    with ProgressLine() as line:
        for check in operation.verify(
            services=shell.services,
            now=shell.now,
            ports_of=lambda tenant_id: pipeline_ports(store, tenant_id, shell.services.now),
            sample_count=sample,
            on_progress=lambda name, done, total: line(_code(name), done, total),
        ):
            checks.append(check)
            if is_told:
                line.clear()
                _tell(check)
    return checks


def _code(name: str) -> str:
    """Return the code of what a check proves."""
    return f"verify.{name.replace('.', '-')}"


def _tell(check: "Check") -> None:
    name = sentence(_code(check.name), {}, current_language())
    params = {"name": name, "examined": check.examined_count, "faults": len(check.faults)}
    typer.echo(sentence("verify.told", params, current_language()))
    for fault in check.faults:
        typer.echo(f"  ✗ {_said(fault)}")
    for fault in check.unproved:
        typer.echo(f"  ? {_said(fault)}")


def _said(fault: "Fault") -> str:
    return f"{sentence(fault.code, fault.place, current_language())} [{fault.code}]"


def _plain(checks: "list[Check]") -> dict[str, object]:
    return {
        "is_proved": not any(check.faults for check in checks),
        "checks": [asdict(check) for check in checks],
    }
