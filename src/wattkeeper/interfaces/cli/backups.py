"""`wattkeeper backup DIR` and `wattkeeper restore FILE`: sealed, while in use, and proved by restoring."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wattkeeper.bootstrap import data_folder, make_clock, open_store, setup_django
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.language import current_language
from wattkeeper.interfaces.cli.own_store import store_of
from wattkeeper.interfaces.cli.progress import ProgressLine
from wattkeeper.interfaces.cli.shell import ask_secret, open_shell, print_one

if TYPE_CHECKING:
    from wattkeeper.actions.operations.sealed import Secret

KeyFileOption = Annotated[
    Path | None, typer.Option("--key-file", help="32 bytes or more that open the backup; else a passphrase")
]
_MAIN = "from wattkeeper.interfaces.cli.main import main; main()"


def backup(
    folder: Annotated[Path, typer.Argument(help="where the sealed file goes")],
    key_file: KeyFileOption = None,
    with_keys: Annotated[bool, typer.Option("--with-keys", help="key files too; needs a passphrase")] = False,
) -> None:
    """Back up everything while it is in use. The passphrase is asked for, or WATTKEEPER_BACKUP_PASSPHRASE."""
    secret = _secret(key_file)
    with store_of(data_folder()), ProgressLine() as line:
        shell = open_shell(with_store=True)
        from django.conf import settings

        from wattkeeper.actions.operations.backup import back_up
        from wattkeeper.actions.operations.backup_log import note
        from wattkeeper.actions.operations.record import record_operation
        from wattkeeper.store.client import HttpReadingStore

        store = shell.services.store
        assert isinstance(store, HttpReadingStore)
        made = back_up(
            store=store,
            data_folder=shell.services.data_folder,
            database=settings.DATABASES["default"],
            target=folder,
            secret=secret,
            now=shell.now,
            has_keys=with_keys,
            on_progress=line,
        )
        note(shell.services.data_folder, backed_up_at=made.backed_up_at)
        detail = {"file": made.path.name, "bytes": made.file_bytes, "has_keys": made.has_keys}
        record_operation(actor=shell.actor, now=shell.now, what="backed-up", detail=detail)
    print_one(made)


def restore(
    file: Annotated[Path, typer.Argument(help="a sealed backup")],
    folder: Annotated[Path | None, typer.Argument(help="an empty folder to restore into")] = None,
    key_file: KeyFileOption = None,
    drill: Annotated[
        bool, typer.Option("--drill", help="restore into a scratch folder, verify, and take it away again")
    ] = False,
) -> None:
    """Make an empty folder what the backup holds; or prove, with --drill, that this could be done."""
    if drill == (folder is not None):
        raise WattkeeperError("operations.restore-where")
    if folder is not None:
        _restore(file, folder.resolve(), key_file)
        return
    from wattkeeper.store.scratch import scratch_folder

    home = data_folder()
    with scratch_folder(home, "drill") as (scratch, lock):
        _drill(file, scratch, lock, key_file, home)


def _restore(file: Path, folder: Path, key_file: Path | None) -> None:
    secret = _secret(key_file)
    os.environ["WATTKEEPER_DATA"] = str(folder)
    from wattkeeper.actions.operations.restore import load_readings, open_backup
    from wattkeeper.data.environment import database_from_url

    database = database_from_url(os.environ.get("WATTKEEPER_DATABASE", ""), folder)
    with (
        ProgressLine() as line,
        open_backup(file, folder=folder, database=database, secret=secret, on_progress=line) as restored,
    ):
        setup_django()
        with store_of(folder):
            from wattkeeper.actions.operations.after_restore import mark_received_since, newest_run_id
            from wattkeeper.actions.operations.audit_heads import accept_restored
            from wattkeeper.actions.operations.state import state_hash
            from wattkeeper.data.installation import note_installation
            from wattkeeper.data.upgrades.steps import upgrade
            from wattkeeper.store.client import HttpReadingStore

            upgrade(now=make_clock().now())
            store = open_store(folder)
            assert isinstance(store, HttpReadingStore)
            load_readings(store, restored, newest_run_id=newest_run_id(), on_progress=line)
            told = {"folder": str(folder), "backed_up_at": restored.backed_up_at, "state": state_hash(store)}
            accept_restored(folder)
            channels_count = mark_received_since(store, restored.received_since, make_clock().now())
        note_installation(folder)
    print_one(told | {"has_keys": restored.has_keys, "channels_to_derive": channels_count})


def _drill(file: Path, scratch: Path, lock: int, key_file: Path | None, home: Path) -> None:
    """Restore and verify in processes of their own, which share the lock of the scratch folder."""
    environment = {**os.environ, "WATTKEEPER_DATA": str(scratch)}
    for name in ("WATTKEEPER_READINGS", "WATTKEEPER_DATABASE", "WATTKEEPER_AUDIT_COPY"):
        environment.pop(name, None)
    if drill_database := os.environ.get("WATTKEEPER_DRILL_DATABASE"):
        environment["WATTKEEPER_DATABASE"] = drill_database
    if key_file is None:
        environment["WATTKEEPER_BACKUP_PASSPHRASE"] = _passphrase()
    key_option = [] if key_file is None else ["--key-file", str(key_file)]
    with _drill_database(drill_database or "", scratch):
        restored = _run(["restore", str(file), str(scratch), *key_option], environment, lock)
        if restored.returncode:
            raise _failed(file, restored)
        verified = _run(["verify", "--json"], environment, lock)
        told = json.loads(verified.stdout or "{}")
        if verified.returncode or not told.get("is_proved"):
            raise _failed(
                file,
                verified,
                *(fault["code"] for check in told.get("checks", ()) for fault in check["faults"]),
            )
    setup_django()
    from wattkeeper.actions.operations.backup_log import note

    backed_up_at = datetime.fromisoformat(json.loads(restored.stdout)["backed_up_at"])
    note(home, restored_at=make_clock().now(), backed_up_at=backed_up_at)
    examined = {check["name"]: check["examined_count"] for check in told["checks"]}
    print_one({"file": file.name, "backed_up_at": backed_up_at, "is_proved": True, "examined": examined})


@contextmanager
def _drill_database(url: str, scratch: Path) -> Iterator[None]:
    """A database of a server that is for drills is empty before the block, and made so again after it.

    What a drill of this data folder left there that was killed is taken away first.
    """
    from wattkeeper.actions.operations.relational_dump import (
        clear_drill,
        make_empty,
        mark_drill,
        require_empty,
    )
    from wattkeeper.data.environment import database_from_url

    database = database_from_url(url, scratch)
    clear_drill(database, scratch)
    require_empty(database)
    try:
        mark_drill(database, scratch)
        yield
    finally:
        make_empty(database)


def _run(arguments: list[str], environment: dict[str, str], lock: int) -> "subprocess.CompletedProcess[str]":
    """Run a verb of ours; a person at a terminal sees what it says there."""
    command = [sys.executable, "-c", _MAIN, "--lang", current_language(), *arguments]
    stderr = None if sys.stderr.isatty() else subprocess.PIPE
    return subprocess.run(  # noqa: S603 - our own interpreter and verbs
        command,
        env=environment,
        pass_fds=(lock,),
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=False,
    )


def _failed(file: Path, done: "subprocess.CompletedProcess[str]", *codes: str) -> WattkeeperError:
    reason = (done.stderr or "").strip()[-500:] or ", ".join(codes[:10]) or f"exit {done.returncode}"
    return WattkeeperError("operations.drill-failed", file=file.name, reason=reason)


def _secret(key_file: Path | None) -> "Secret":
    from wattkeeper.actions.operations.sealed import Kind, Secret

    if key_file is None:
        return Secret(Kind.PASSPHRASE, _passphrase().encode())
    try:
        return Secret(Kind.KEY_FILE, key_file.read_bytes())
    except OSError as error:
        raise WattkeeperError("shell.file-unreadable", file=str(key_file), reason=error.strerror) from error


def _passphrase() -> str:
    return os.environ.get("WATTKEEPER_BACKUP_PASSPHRASE") or ask_secret("Passphrase · 口令: ")
