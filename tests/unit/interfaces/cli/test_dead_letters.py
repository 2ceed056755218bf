"""Dead letters from a shell."""

import json

import pytest

from relational import People
from shell_runner import refused, run
from wattkeeper.actions.services import Services
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.headend.dead_letters import DeadLetters
from wattkeeper.interfaces.messages import sentence


@pytest.mark.usefixtures("ours")
def test_letters_are_listed_and_asked_for_again(services: Services) -> None:
    folder = services.data_folder / "spool"
    folder.mkdir()
    letters = DeadLetters(folder)
    for name in ("dead-1", "dead-2"):
        letters.put(name, b"content", "store.out-of-range")
    listed = json.loads(run("dead-letter", "list", "--json"))
    assert [(row["name"], row["reason"], row["is_again"]) for row in listed] == [
        ("dead-1", "store.out-of-range", False),
        ("dead-2", "store.out-of-range", False),
    ]
    assert sentence("store.out-of-range", {}, "zh-hans")[:6] in run(
        "--lang", "zh-hans", "dead-letter", "list"
    )
    assert run("dead-letter", "replay", "dead-2") == "1"
    assert letters.asked_again() == ["dead-2"]
    assert run("dead-letter", "replay") == "1"
    assert letters.asked_again() == ["dead-1", "dead-2"]
    assert AuditRecord.objects.filter(verb="collection.replay-dead-letters").count() == 2
    assert refused("dead-letter", "replay", "dead-9") == "headend.dead-letter-unknown"


@pytest.mark.usefixtures("ours")
def test_where_nothing_was_set_aside_nothing_is_listed() -> None:
    assert json.loads(run("dead-letter", "list", "--json")) == []


def test_tenants_do_not_matter_to_the_machine(ours: People, theirs: People) -> None:
    assert json.loads(run("dead-letter", "list", "--json", "--tenant", theirs.tenant.name)) == []
