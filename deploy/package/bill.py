"""The bill of materials (CycloneDX) of the environment in a package, with what its wheels bundle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from deploy.package.environment import PREFIX

ROOT = Path(__file__).parents[2]


def write(root: Path, target: Path) -> None:
    """Write the bill of the environment under ``root`` into ``target``, and into the package."""
    tool = Path(sys.executable).with_name("cyclonedx-py")
    here = root / PREFIX.relative_to("/")
    what = ("--spec-version", "1.6", "--output-format", "JSON", "--output-reproducible", "--pyproject", "pyproject.toml")
    command = (tool, "environment", *what, "--output-file", target, here / "bin" / "python3")
    subprocess.run(command, cwd=ROOT, check=True)
    place = root / "usr/share/doc/legwatch/sbom.cdx.json"
    place.write_bytes(target.read_bytes())
