"""What is shipped is pinned, hashed and allowed; a gate that saw nothing does not pass."""

import importlib.util
import json
import re
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
HASH = "a" * 64


def _tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


sbom = _tool("sbom")


@pytest.mark.parametrize("name", ["base", "test"])
def test_every_package_is_pinned_and_hashed(name: str) -> None:
    packages = sbom.read_pins((ROOT / "requirements" / f"{name}.txt").read_text())
    assert len(packages) > 30
    wanted = re.findall(
        r"^([a-z][a-z0-9-]*)", (ROOT / "requirements" / f"{name}.in").read_text(), re.MULTILINE
    )
    assert {re.sub(r"[._]", "-", each) for each in wanted} <= {package.name for package in packages}


def test_what_is_installed_is_what_is_pinned() -> None:
    packages = sbom.read_pins(sbom.SHIPPED.read_text())
    assert {package.name: package.version for package in packages} == {
        package.name: version(package.name) for package in packages
    }


def test_setup_installs_by_hash_only() -> None:
    assert "--require-hashes" in (ROOT / "tools" / "setup.py").read_text()


def test_licences_are_allowed() -> None:
    packages = sbom.read_pins(sbom.SHIPPED.read_text())
    assert not sbom.refused_licences(packages)
    assert sum(bool(sbom.licence_of(package.name)) for package in packages) == len(packages)
    assert not sbom.is_allowed("GNU Affero General Public License v3")
    assert not sbom.is_allowed("Proprietary")


def test_the_bill_of_materials_names_every_package() -> None:
    packages = sbom.read_pins(sbom.SHIPPED.read_text())
    told = sbom.make_sbom(packages, "1")
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.5")
    assert [part["purl"] for part in told["components"]] == [
        f"pkg:pypi/{package.name}@{package.version}" for package in packages
    ]


def test_packages_of_the_pages_have_their_checksums() -> None:
    locked = json.loads((ROOT / "frontend" / "package-lock.json").read_text())["packages"]
    parts = {name: entry for name, entry in locked.items() if name}
    assert parts
    assert not [name for name, entry in parts.items() if not entry.get("integrity", "").startswith("sha512-")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "nothing was looked at"),
        ("# all commented out\n", "nothing was looked at"),
        (f"good==1 --hash=sha256:{HASH}\nbare==2\n", "not hashed: bare"),
        (f"good==1 --hash=sha256:{HASH}\nloose>=2 --hash=sha256:{HASH}\n", "not pinned: loose"),
        ("short==1 \\\n    --hash=sha256:abc\n", "not hashed: short"),
        ("-e git+https://example.org/x\n", "not pinned: -e"),
    ],
)
def test_a_gate_that_would_pass_for_nothing_is_seen(text: str, why: str) -> None:
    with pytest.raises(sbom.GateError, match=why):
        sbom.read_pins(text)
