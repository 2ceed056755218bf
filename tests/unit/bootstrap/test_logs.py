"""What a verb of the shell logs: a line for a machine, without traces and what variables hold."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LOGS = """
import sys
from wattkeeper.bootstrap.engines import setup_django
if sys.argv[1] == "set up":
    setup_django()
import structlog

def fail(password):
    raise ValueError("unforeseen")

try:
    fail("swordfish" * 2)
except ValueError as error:
    structlog.get_logger().error("billing.failed", exc_info=error)
"""


def logged(folder: Path, how: str, **more: str) -> str:
    """Return what a process told that logged an error."""
    surroundings = os.environ | {"WATTKEEPER_DATA": str(folder)} | more
    command = [sys.executable, "-c", LOGS, how]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout + done.stderr


def test_a_verb_logs_no_trace_and_no_secret(tmp_path: Path) -> None:
    line = json.loads(logged(tmp_path, "set up"))
    assert (line["event"], line["role"], line["level"]) == ("billing.failed", "shell", "error")
    assert "exc_info" not in line
    assert "exception" not in line


def test_who_asks_for_it_sees_the_trace_yet_no_variable(tmp_path: Path) -> None:
    line = json.loads(logged(tmp_path, "set up", WATTKEEPER_DEBUG="true"))
    assert "Traceback" in line["exception"]
    assert "swordfishswordfish" not in line["exception"]


def test_a_full_disk_under_the_log_ends_nobodys_work(tmp_path: Path) -> None:
    surroundings = os.environ | {"WATTKEEPER_DATA": str(tmp_path)}
    command = [sys.executable, "-c", f"{LOGS}\nprint('went on')", "set up"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command,
            env=surroundings,
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.stdout == "went on\n"


def test_the_test_sees_a_log_that_nobody_set_up(tmp_path: Path) -> None:
    told = logged(tmp_path, "as it is")
    with pytest.raises(json.JSONDecodeError):
        json.loads(told)
    assert "swordfishswordfish" in told


REFUSED = """
import logging
from wattkeeper.bootstrap.logs import set_up_logs
import django.core.management
from django.test import Client
django.setup()
set_up_logs("web")
client = Client(raise_request_exception=False)
assert client.get("/login/", HTTP_HOST="evil.example").status_code == 400
assert client.get("/nowhere/").status_code == 404
logging.getLogger("django.request").error("Internal Server Error: /", exc_info=ValueError("ours"))
"""


def test_a_refused_request_is_a_line_with_a_code_and_our_own_fault_keeps_its_trace(
    tmp_path: Path,
) -> None:
    surroundings = os.environ | {
        "WATTKEEPER_DATA": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "wattkeeper.data.settings",
    }
    command = [sys.executable, "-c", REFUSED]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=120, check=True)
    told, fault = map(json.loads, done.stderr.splitlines())
    assert (told["event"], told["kind"], told["role"]) == ("requests.refused", "DisallowedHost", "web")
    assert "evil.example" in told["reason"]
    assert "exception" not in told
    assert (fault["event"], fault["exception"]) == ("Internal Server Error: /", "ValueError: ours")
