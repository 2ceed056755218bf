"""What nobody foresaw, as an error to tell a person: files and databases that don't do what they should."""

import errno

from wattkeeper.core.kernel.errors import WattkeeperError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
DATABASE_MODULES = ("sqlite3", "django.db.utils")
SAID_BY_SQLITE = {
    "database or disk is full": "shell.disk-full",
    "attempt to write a readonly database": "shell.database-unusable",
    "unable to open database file": "shell.database-unusable",
    "disk I/O error": "shell.database-unusable",
    "database disk image is malformed": "shell.database-damaged",
    "file is not a database": "shell.database-damaged",
}
SAID_BY_DRIVERS = ("connection failed", "connect to MySQL server", "connection is lost", "Lost connection")


def explain(error: Exception) -> WattkeeperError:
    """Return the error to tell a person; ``shell.unexpected`` for what can only be a fault of ours."""
    if isinstance(error, WattkeeperError):
        return error
    if isinstance(error, OSError) and error.errno in FULL:
        return WattkeeperError("shell.disk-full")
    if isinstance(error, OSError) and error.filename is not None:
        code = "files.denied" if error.errno in DENIED else "files.unusable"
        return WattkeeperError(code, file=str(error.filename), reason=error.strerror)
    if type(error).__module__ in DATABASE_MODULES:
        reason = str(error).partition("\n")[0]
        if reason in SAID_BY_SQLITE:
            return WattkeeperError(SAID_BY_SQLITE[reason], reason=reason)
        if any(words in reason for words in SAID_BY_DRIVERS):
            return WattkeeperError("shell.database-unreachable", reason=reason)
        if type(error).__name__ in {"OperationalError", "ProgrammingError"}:
            return WattkeeperError("shell.database-unready", reason=reason)
    return WattkeeperError("shell.unexpected", reason=f"{type(error).__name__}: {error}")
