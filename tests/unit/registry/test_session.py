"""What tells a lost database from one that refuses a statement."""

import psycopg
import pytest
from psycopg import errors

from kat_data.errors import RegistryError, UserError
from kat_data.registry.session import is_lost


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (psycopg.OperationalError("the connection is closed"), True),
        (errors.ConnectionFailure(), True),
        (errors.AdminShutdown(), True),
        (errors.CrashShutdown(), True),
        (errors.CannotConnectNow(), True),
        (errors.DiskFull(), True),
        (RegistryError("No connection to Postgres"), True),
        (errors.DeadlockDetected(), False),
        (errors.SerializationFailure(), False),
        (errors.QueryCanceled(), False),
        (errors.LockNotAvailable(), False),
        (errors.UniqueViolation(), False),
        (UserError("no"), False),
        (ValueError("no"), False),
    ],
)
def test_a_lost_database_is_told_by_its_state(error: Exception, lost: bool) -> None:
    assert is_lost(error) is lost
