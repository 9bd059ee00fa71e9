"""The bill of materials (CycloneDX 1.6) of the environment in a package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deploy.package import tools

_KEPT = ("type", "name", "version", "purl", "hashes", "licenses")


def make(environment: Path, version: str) -> str:
    """Return the bill of an environment, as JSON.

    What a wheel bundles, C libraries and Rust crates, is within its component, as far as the wheel says so (PEP 770).
    """
    options = ("--spec-version", "1.6", "--output-reproducible", "--pyproject", "pyproject.toml")
    made = tools.run("cyclonedx-py", "environment", *options, environment / "bin" / "python3")
    bill: dict[str, Any] = json.loads(made)
    bill["metadata"]["component"]["version"] = version
    components = {f"{_normal(part['name'])}-{part['version']}": part for part in bill["components"]}
    for path in sorted(environment.rglob("*.dist-info/sboms/*.json")):
        whole = components[_normal(path.parts[-3].removesuffix(".dist-info"))]
        for part in json.loads(path.read_text())["components"]:
            kept = {key: part[key] for key in _KEPT if key in part}
            inner = whole.setdefault("components", [])
            if _normal(part["name"]) != _normal(whole["name"]) and kept not in inner:
                inner.append(kept)
    return json.dumps(bill, indent=1) + "\n"


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")
