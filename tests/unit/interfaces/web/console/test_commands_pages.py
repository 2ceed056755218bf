"""Switching a supply from its page: who is concerned, once however often sent, followed to the read-back."""

from datetime import datetime, time

import pytest
from django.urls import reverse

from console_street import Home, LogIn
from relational import NOW, People
from wattkeeper.actions.commands.set_cut_policy import set_cut_policy
from wattkeeper.actions.commands.steps import go_to
from wattkeeper.core.commands.states import State
from wattkeeper.data.commands.models import Command, KillSwitch
from wattkeeper.data.registry.models import UsagePoint
from wattkeeper.interfaces.web.console.reads_commands import way_of


@pytest.fixture
def any_time(ours: People) -> None:
    """Let disconnects leave at any time."""
    set_cut_policy(actor=ours.administrator, now=NOW, opens=time(0), closes=time(23, 59), is_any_day=True)


def ask(client: object, home: Home, *, kind: str = "DISCONNECT", **fields: str) -> object:
    sent = {"reason": "unpaid", "is_sure": "on", "idempotency_key": "k1", **fields}
    return client.post(reverse("console:command_new", args=[home.meter_id, kind]), sent)  # type: ignore[attr-defined]


def test_the_page_says_who_is_concerned(ours: People, home: Home, log_in: LogIn) -> None:
    point = UsagePoint.objects.get(id=home.point_id)
    point.customer_name, point.is_protected = "Wang Lihua", True
    point.save()
    client = log_in(ours.operator)
    text = client.get(reverse("console:command_new", args=[home.meter_id, "DISCONNECT"])).content.decode()
    for word in (
        "Wang Lihua",
        "Flat U1",
        "260100000001",
        "a disconnect is refused",
        "09:00",
        "Asia/Shanghai",
    ):
        assert word in text
    assert client.get(reverse("console:command_new", args=[home.meter_id, "EXPLODE"])).status_code == 404


def test_without_a_reason_or_a_yes_nothing_is_asked(ours: People, home: Home, log_in: LogIn) -> None:
    client = log_in(ours.operator)
    assert ask(client, home, reason=" ").status_code == 422  # type: ignore[attr-defined]
    assert ask(client, home, is_sure="").status_code == 422  # type: ignore[attr-defined]
    assert not Command.objects.exists()


def test_sent_twice_it_is_one_command(ours: People, home: Home, any_time: None, log_in: LogIn) -> None:
    client = log_in(ours.operator)
    first, second = ask(client, home), ask(client, home)
    command = Command.objects.get()
    assert command.state == "APPROVED"
    assert first.headers["Location"] == second.headers["Location"] == f"/commands/{command.id}/"  # type: ignore[attr-defined]


def test_a_protected_supply_is_refused_in_words(
    ours: People, home: Home, any_time: None, log_in: LogIn
) -> None:
    UsagePoint.objects.filter(id=home.point_id).update(is_protected=True)
    client = log_in(ours.operator)
    ask(client, home)
    command = Command.objects.get()
    text = client.get(reverse("console:command", args=[command.id])).content.decode()
    assert (command.state, command.refusal_code) == ("REFUSED", "commands.protected-customer")
    assert "Why not" in text
    assert "hx-trigger" not in text  # nothing more will come
    assert "Approved" not in text


def test_a_command_is_followed_to_its_read_back(
    ours: People, home: Home, any_time: None, log_in: LogIn
) -> None:
    client = log_in(ours.operator)
    ask(client, home, kind="RECONNECT")
    command = Command.objects.get()
    address = reverse("console:command", args=[command.id])
    assert "every 1s" in client.get(address).content.decode()
    for state in (State.QUEUED, State.SENT, State.ACKED, State.ARMED):
        go_to(command, state, now=NOW)
    assert "press the button" in client.get(address).content.decode()
    assert [stop.state_code for stop in way_of(command) if stop.css == "now"] == ["ARMED"]
    command.relay_state_code, command.read_back_at = 1, datetime(2026, 11, 22, 12, 1, tzinfo=NOW.tzinfo)
    go_to(command, State.VERIFIED, now=NOW)
    text = client.get(address).content.decode()
    assert "Connected" in text
    assert "2026-11-22 20:01:00" in text
    assert "every 1s" not in text
    assert {stop.css for stop in way_of(command)} == {"done"}


def test_disconnects_are_stopped_and_let_go_again(ours: People, home: Home, log_in: LogIn) -> None:
    address = reverse("console:kill_switch")
    assert log_in(ours.operator).post(address).status_code == 302
    assert KillSwitch.objects.get().is_on
    assert log_in(ours.operator).post(address).status_code == 422
    assert log_in(ours.administrator).post(address).status_code == 302
    assert not KillSwitch.objects.get().is_on
