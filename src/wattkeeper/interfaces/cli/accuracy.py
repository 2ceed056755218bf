"""`wattkeeper accuracy`: is the meter right? Standing comparisons and their reports."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from wattkeeper.interfaces.cli.shell import JsonOption, TenantOption, open_shell, print_rows

if TYPE_CHECKING:
    from wattkeeper.data.virtual.accuracy import AccuracyRow
    from wattkeeper.data.virtual.models import AccuracyResult

app = typer.Typer(no_args_is_help=True, help="Meters beside check meters, or beside their sub-meters.")
CheckId = Annotated[int, typer.Argument(help="the comparison's id")]
FIGURES = (
    "verdict",
    "error_ppm",
    "limit_ppm",
    "uncertainty_ppm",
    "confidence_ppm",
    "steps_count",
    "interval_count",
    "to_at",
)


@app.command("list")
def list_(verdict: str = "", tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """List comparisons with what their newest reports say."""
    shell = open_shell(tenant)
    from wattkeeper.data.virtual.accuracy import list_checks

    rows = [_row(check) for check in list_checks(tenant_id=shell.tenant_id, verdict=verdict or None)]
    print_rows(rows, ("check_id", "main", "reference", *FIGURES), as_json=as_json)


@app.command()
def show(check_id: CheckId, tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """List the reports of a comparison, newest first."""
    shell = open_shell(tenant)
    from wattkeeper.core.kernel.errors import WattkeeperError
    from wattkeeper.data.virtual.accuracy import get_check, list_results

    if get_check(tenant_id=shell.tenant_id, check_id=check_id) is None:
        raise WattkeeperError("registry.not-found", kind="accuracy-check", id=check_id)
    rows = [{"from_at": row.from_at, **_figures(row), "bands": row.bands} for row in list_results(check_id)]
    print_rows(rows, ("from_at", *FIGURES), as_json=as_json)


@app.command()
def add(
    main: Annotated[str, typer.Argument(help="code of the usage point of the meter in question")],
    base_power_w: Annotated[int, typer.Option(help="its basic or rated power, primary")],
    reference: Annotated[
        str, typer.Option(help="code of the check meter's point; none: its sub-meters")
    ] = "",
    main_class: Annotated[
        str, typer.Option(help="1, 2, 1 CT, 2 CT, 0.1S, 0.2S, 0.5S, reactive 2 or 3")
    ] = "1",
    reference_class: str = "0.5S",
    loss_ppm: Annotated[int, typer.Option(help="energy lost between them")] = 0,
    window_days: int = 30,
    tenant: TenantOption = "",
) -> None:
    """Add a comparison and print its id."""
    shell = open_shell(tenant)
    from wattkeeper.actions.virtual.accuracy_checks import add_accuracy_check
    from wattkeeper.data.lookups import find_usage_point_id

    typer.echo(
        add_accuracy_check(
            actor=shell.actor,
            now=shell.now,
            main_id=find_usage_point_id(shell.tenant_id, main),
            reference_id=find_usage_point_id(shell.tenant_id, reference) if reference else None,
            main_class=main_class,
            reference_class=reference_class,
            base_power_w=base_power_w,
            loss_ppm=loss_ppm,
            window_days=window_days,
        )
    )


@app.command()
def judge(check_id: CheckId, tenant: TenantOption = "") -> None:
    """Judge a comparison now and print how many reports that made: 0 where nothing was measured by all."""
    shell = open_shell(tenant, with_store=True)
    from wattkeeper.actions.virtual.judge_accuracy import judge_accuracy

    assert shell.services.store is not None
    typer.echo(
        judge_accuracy(shell.services.store, tenant_id=shell.tenant_id, now=shell.now, check_id=check_id)
    )


@app.command()
def retire(check_id: CheckId, tenant: TenantOption = "") -> None:
    """End a comparison; its reports stay."""
    shell = open_shell(tenant)
    from wattkeeper.actions.virtual.accuracy_checks import retire_accuracy_check

    retire_accuracy_check(actor=shell.actor, now=shell.now, check_id=check_id)


def _row(check: "AccuracyRow") -> dict[str, Any]:
    head = {"check_id": check.check_id, "main": check.main_code, "reference": check.reference_code}
    return head if check.result is None else {**head, **_figures(check.result)}


def _figures(result: "AccuracyResult") -> dict[str, Any]:
    return {name: getattr(result, name) for name in FIGURES}
