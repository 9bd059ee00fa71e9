"""What the boot tests share: packages, and a machine with a running sensor."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot import place as places
from tests.boot.place import Place


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boot") / "packages"
    folder.mkdir()
    return places.packages(folder)


@pytest.fixture
def place(packages: Path) -> Iterator[Place]:
    with places.place(packages) as made:
        yield made
