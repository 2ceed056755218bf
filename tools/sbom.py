"""What Wattkeeper ships: `python tools/sbom.py [-o FILE]` writes a CycloneDX 1.5 bill of materials.

Made from the pinned, hashed requirements alone; licences from what is installed. A list without packages, a
package without a version or a hash, and a licence that nobody allowed end it with 1: a gate that looked at
nothing has not passed.
"""

import argparse
import json
import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "requirements" / "base.txt"
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(\[[^\]]*\])?==(?P<version>[^\s;\\]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})\b")
ALLOWED = (
    "MIT",
    "BSD",
    "Apache",
    "LGPL",
    "Lesser General",
    "MPL",
    "Mozilla",
    "PSF",
    "Python Software",
    "ISC",
)
ALSO_ALLOWED = ("Unlicense", "Zlib", "0BSD", "CC0", "public domain")


class GateError(Exception):
    """Why the list can't be trusted."""


@dataclass(frozen=True)
class Package:
    """One pinned package with the hashes of the files that may be installed."""

    name: str
    version: str
    hashes: tuple[str, ...]


def read_pins(text: str) -> list[Package]:
    """
    Return the packages of a requirements file.

    :raises GateError: if there are none, or one has no version or no hash
    """
    packages = [_read_one(entry) for entry in _entries(text)]
    if not packages:
        raise GateError("no packages: nothing was looked at")
    return packages


def _entries(text: str) -> list[str]:
    """Join what is written over several lines; comments and empty lines left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [" ".join(entry.split("\\\n")) for entry in re.split(r"\n(?=\S)", "\n".join(lines)) if entry]


def _read_one(entry: str) -> Package:
    found, hashes = PINNED.match(entry), HASH.findall(entry)
    if found is None:
        raise GateError(f"not pinned: {entry.split()[0]}")
    if not hashes:
        raise GateError(f"not hashed: {found['name']}")
    return Package(found["name"].lower(), found["version"], tuple(hashes))


def licence_of(name: str) -> str:
    """Return the licence a package states, empty where it is not installed or states none."""
    try:
        told = metadata(name)
    except PackageNotFoundError:
        return ""
    classifiers = [text for text in told.get_all("Classifier") or () if text.startswith("License ::")]
    stated = told.get("License-Expression") or "; ".join(text.split(" :: ")[-1] for text in classifiers)
    return stated or (told.get("License") or "").strip().partition("\n")[0]


def is_allowed(licence: str) -> bool:
    """Whether a licence, as it is stated, is among those that we ship."""
    return any(word.lower() in licence.lower() for word in (*ALLOWED, *ALSO_ALLOWED))


def make_sbom(packages: list[Package], version: str) -> dict[str, Any]:
    """Return the bill of materials."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "wattkeeper", "version": version}},
        "components": [_component(package) for package in packages],
    }


def _component(package: Package) -> dict[str, Any]:
    licence = licence_of(package.name)
    return {
        "type": "library",
        "name": package.name,
        "version": package.version,
        "purl": f"pkg:pypi/{package.name}@{package.version}",
        "licenses": [{"license": {"name": licence}}] if licence else [],
        "properties": [{"name": "wattkeeper:sha256", "value": digest} for digest in package.hashes],
    }


def refused_licences(packages: list[Package]) -> dict[str, str]:
    """Return the packages whose licence is stated and is none that we ship."""
    stated = {package.name: licence_of(package.name) for package in packages}
    return {name: licence for name, licence in stated.items() if licence and not is_allowed(licence)}


def main() -> int:
    """Write the list, or say why it can't be trusted."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--output", type=Path)
    output = parser.parse_args().output
    try:
        packages = read_pins(SHIPPED.read_text())
    except GateError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if refused := refused_licences(packages):
        sys.stderr.write(f"licences nobody allowed: {refused}\n")
        return 1
    found = re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    text = json.dumps(make_sbom(packages, found[1] if found else "0"), indent=1) + "\n"
    if output:
        output.write_text(text)
    else:
        sys.stdout.write(text)
    sys.stderr.write(f"{len(packages)} packages\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
