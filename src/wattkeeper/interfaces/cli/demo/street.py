"""Starts a street: simulators, a broker where one is installed, and Wattkeeper as `serve` runs it."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.workers.parent import die_with_parent
from wattkeeper.interfaces.workers.supervisor import Supervisor
from wattkeeper.simulators.world_model import World

STARTS_WITHIN_S = 60.0
_DICE = random.SystemRandom()  # other processes draw too


def find_mosquitto() -> str | None:
    """Return the broker's program where it is installed; Debian keeps it off an ordinary user's PATH."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")


def free_port() -> int:
    """Return a loopback port that is free, and none that the kernel gives to those who connect from one."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            port = _DICE.randrange(20_000, 32_000)
            probe.bind(("127.0.0.1", port))
            return port


@dataclass(slots=True)
class Street:
    """The running parts outside Wattkeeper: simulators and broker."""

    folder: Path
    world: World
    ready: dict[str, Any] = field(default_factory=dict)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *, clock: str, stuck: Sequence[str] = ()) -> None:
        """
        Start the broker and the simulators and wait until every port is open.

        :raises WattkeeperError: ``demo.simulators-failed``
        """
        world_path, ready_path = self.folder / "world.json", self.folder / "ready.json"
        world_path.write_text(self.world.to_json(), encoding="utf-8")
        command = [sys.executable, "-m", "wattkeeper.simulators", "--world", str(world_path)]
        command += ["--clock", clock, "--ready", str(ready_path)]
        if self.world.is_mqtt:
            command += ["--broker", self._start_broker()]
        for serial in stuck:
            command += ["--stuck", serial]
        self._spawn(command, "simulators")
        self._wait_for(ready_path)
        self.ready = json.loads(ready_path.read_text())

    def _start_broker(self) -> str:
        port = free_port()
        configuration = self.folder / "mosquitto.conf"
        lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "max_inflight_messages 1000"]
        if os.geteuid() == 0:
            lines.append("user root")  # changing its user would undo `die_with_parent`
        configuration.write_text("\n".join(lines) + "\n")
        program = find_mosquitto()
        if program is None:
            raise WattkeeperError("demo.no-broker")
        self._spawn([program, "-c", str(configuration)], "broker")
        deadline_s = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < deadline_s:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return f"127.0.0.1:{port}"
            time.sleep(0.05)
        raise WattkeeperError("demo.simulators-failed", log=str(self.folder / "log" / "broker.log"))

    def _spawn(self, command: list[str], name: str) -> None:
        log = self.folder / "log" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as sink:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter, or the installed broker
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                preexec_fn=partial(die_with_parent, os.getpid()),
            )
        self._processes.append(process)

    def _wait_for(self, ready_path: Path) -> None:
        deadline_s = time.monotonic() + STARTS_WITHIN_S
        while not ready_path.exists():
            if self._processes[-1].poll() is not None or time.monotonic() > deadline_s:
                raise WattkeeperError(
                    "demo.simulators-failed", log=str(self.folder / "log" / "simulators.log")
                )
            time.sleep(0.02)

    def ask(self, **request: object) -> dict[str, Any]:
        """
        Ask the hand behind the scenes: press a button, read a display, write down the truth.

        :raises WattkeeperError: ``demo.simulators-refused``
        """
        address = (self.ready["control"]["host"], self.ready["control"]["port"])
        with socket.create_connection(address, timeout=60) as line, line.makefile("rwb") as stream:
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()
            answer: dict[str, Any] = json.loads(stream.readline())
        if not answer.pop("ok"):
            raise WattkeeperError("demo.simulators-refused", reason=str(answer.get("error")))
        return answer

    def stop(self) -> None:
        """End what was started, by its id."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def make_supervisor(folder: Path, *, port: int, environment: Mapping[str, str]) -> Supervisor:
    """Return Wattkeeper's supervisor for the demonstration's data folder."""
    return Supervisor(folder, host="127.0.0.1", port=port, environment=environment)
