from collections.abc import Iterator

import pytest

from kat_data.verifiers.dispatch import Verifiers
from kat_data.verifiers.math.pool import MathPool


@pytest.fixture(scope="session")
def pool() -> Iterator[MathPool]:
    pool = MathPool(size=2, deadline=20.0)
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def verifiers(pool: MathPool) -> Iterator[Verifiers]:
    with Verifiers(pool) as verifiers:
        yield verifiers
