"""The versions that a package brings: each with its hashes, and such as pyproject.toml allows."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
LOCK = (ROOT / "deploy" / "package" / "requirements.lock").read_text()
ENTRIES = re.findall(r"^(\S+)==(\S+)[^\n]*\\\n((?: {4}--hash=sha256:[0-9a-f]{64}[ \\]*\n)+)", LOCK, re.MULTILINE)
LOCKED = {name: version for name, version, _ in ENTRIES}


def test_every_line_is_a_version_with_hashes_or_says_where_it_comes_from() -> None:
    rest = LOCK
    for name, version, hashes in ENTRIES:
        rest = re.sub(rf"^{re.escape(name)}=={re.escape(version)}.*\n", "", rest, flags=re.MULTILINE).replace(
            hashes, ""
        )
    assert [line for line in rest.splitlines() if not line.lstrip().startswith("#")] == []


def test_every_dependency_is_locked_in_a_version_that_is_allowed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(line) for line in project["dependencies"]]
    assert len(wanted) > 5
    assert [str(one) for one in wanted if not one.specifier.contains(LOCKED[canonicalize_name(one.name)])] == []


def test_it_says_how_it_is_made_and_names_no_place_to_get_it_from() -> None:
    assert "make lock" in LOCK.splitlines()[1]
    assert "--index-url" not in LOCK
    assert "://" not in LOCK
