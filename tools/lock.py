"""Pins and hashes the requirements without recording where they came from. Needs uv on the PATH."""

import subprocess
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "requirements"

for name in ("base", "test", "fuzz"):
    subprocess.run(
        ["uv", "pip", "compile", "-q", "--python-version", "3.11", "--generate-hashes"]
        + ["--no-emit-index-url", "--no-header", f"{name}.in", "-o", f"{name}.txt"],
        cwd=FOLDER,
        check=True,
    )
