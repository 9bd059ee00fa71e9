"""What most live tests have: one network namespace a file, and a mirror port in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.disk import Disk, mounted
from tests.live.lab import Mirror, Namespace, namespaces


@pytest.fixture(scope="module")
def namespace(request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """Return a namespace that is named as the file of tests is."""
    with namespaces(request.path.stem.removeprefix("test_")) as (made,):
        yield made


@pytest.fixture(scope="module")
def mirror(namespace: Namespace) -> Iterator[Mirror]:
    """Return the mirror port ``span0`` of the namespace."""
    made = Mirror(namespace)
    yield made
    made.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Return a disk of the test's own."""
    with mounted(tmp_path) as made:
        yield made
