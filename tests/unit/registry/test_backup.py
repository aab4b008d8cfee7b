"""What goes to psql, and what others may see of it."""

from io import BytesIO

from kat_data.registry.backup import _connection, _pass_on


class Psql(BytesIO):
    """Keeps what it is told."""


def test_older_servers_are_not_told_what_they_do_not_know() -> None:
    head, rest = b"SET statement_timeout = 0;\nSET transaction_timeout = 0;\n", b"COPY x FROM stdin;\n" * 100_000
    psql = Psql()
    _pass_on(BytesIO(head + rest), psql)
    assert psql.getvalue() == b"BEGIN;\nSET statement_timeout = 0;\n" + rest


def test_the_password_is_no_argument() -> None:
    where, environment = _connection("postgresql://me:s%20ame@db:5433/kat?sslmode=require")
    assert "s ame" not in where
    assert "me" in where
    assert "sslmode=require" in where
    assert environment["PGPASSWORD"] == "s ame"
    assert "PGPASSWORD" not in _connection("postgresql:///kat")[1]
