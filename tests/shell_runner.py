"""Runs verbs of the shell: those that must succeed, and those that must be refused."""

import pytest
from typer.testing import CliRunner

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.main import app


def run(*arguments: str, typed: str = "", exit_code: int = 0) -> str:
    """Run a command that must end with `exit_code` and return what it printed."""
    result = CliRunner().invoke(app, list(arguments), input=typed, catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result.stdout.strip()


def refused(*arguments: str, typed: str = "") -> str:
    """Run a command that must be refused and return the code."""
    with pytest.raises(WattkeeperError) as refusal:
        CliRunner().invoke(app, list(arguments), input=typed, catch_exceptions=False)
    return refusal.value.code
