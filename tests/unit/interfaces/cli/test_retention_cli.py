"""How long readings stay, from a shell."""

import json
from contextlib import nullcontext

import pytest

from relational import NOW, People
from shell_runner import refused, run
from wattkeeper.actions.operations.keep_retention import Due
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.interfaces.cli import archives


def test_a_rule_is_set_shown_and_taken_away(ours: People) -> None:
    nothing = {"store_months_count": None, "file_months_count": None}
    rows = json.loads(run("archive", "retention", "--json"))
    assert rows == [{"kind": kind} | nothing for kind in ("FRAMES", "READS", "VALUES")]
    rows = json.loads(
        run("archive", "retention", "reads", "--months", "24", "--file-months", "120", "--json")
    )
    assert rows[1] == {"kind": "READS", "store_months_count": 24, "file_months_count": 120}
    assert "120" in run("archive", "retention")
    assert (
        json.loads(run("archive", "retention", "READS", "--off", "--json"))[1] == {"kind": "READS"} | nothing
    )
    assert AuditRecord.objects.filter(verb="operations.set-retention").count() == 2


def test_refusals(ours: People) -> None:
    assert refused("archive", "retention", "READS") == "shell.retention-what"
    assert refused("archive", "retention", "READS", "--off", "--months", "3") == "shell.retention-what"
    assert refused("archive", "retention", "--months", "3") == "shell.retention-what"
    assert refused("archive", "retention", "DAYS", "--months", "3") == "operations.retention-kind"
    assert refused("archive", "retention", "VALUES", "--months", "3") == "operations.retention-span"


def test_what_would_go(ours: People, monkeypatch: pytest.MonkeyPatch) -> None:
    due = Due(202401, "archive", "READS", "raw_read", 96_000, "operations.held-rebill", ("H2", "H3"))
    monkeypatch.setattr(archives, "store_of", lambda _folder: nullcontext())
    monkeypatch.setattr(
        "wattkeeper.actions.operations.keep_retention.list_due",
        lambda services, now, tenant_id: [due] if now == NOW and services else [],
    )
    assert json.loads(run("archive", "due", "--json"))[0]["held_by"] == "operations.held-rebill"
    assert "H2, H3" in run("archive", "due")
