"""What most live tests have: one network namespace a file, and a mirror port in it."""

from collections.abc import Iterator

import pytest

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
