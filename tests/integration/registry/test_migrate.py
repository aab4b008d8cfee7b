"""Migrations lead to the tables that the metadata describe, up and down, once for all processes."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from kat_data.errors import RegistryError
from kat_data.registry import migrate
from kat_data.registry.session import Registry
from kat_data.registry.tables import metadata

pytestmark = pytest.mark.integration

# Everything that makes two schemas differ, by name: columns with types and defaults, constraints, indexes, storage.
CATALOGUE = """
select 'column', c.relname || '.' || a.attname,
       concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, pg_get_expr(d.adbin, c.oid))
from pg_class c
join pg_attribute a on a.attrelid = c.oid
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
union all
select 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
from pg_constraint where connamespace = 'public'::regnamespace
union all
select 'index', indexname, indexdef from pg_indexes where schemaname = 'public'
union all
select 'storage', relname, reloptions::text
from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
order by 1, 2
"""


def catalogue(registry: Registry) -> list[Any]:
    with registry.connection() as connection:
        return [row for row in connection.execute(CATALOGUE) if "alembic_version" not in row[1]]


def test_a_migrated_database_is_what_the_metadata_say(registry: Registry, postgres_url: str) -> None:
    with registry.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    migrated = catalogue(registry)
    with registry.engine.begin() as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
    assert migrated == catalogue(registry)


def test_down_and_up_again(registry: Registry) -> None:
    before = catalogue(registry)
    assert migrate.downgrade(registry.url, "base") == ""
    assert catalogue(registry) == []
    assert migrate.upgrade(registry.url) == migrate.head()
    assert catalogue(registry) == before


def test_head_is_alembics(registry: Registry) -> None:
    assert ScriptDirectory.from_config(migrate.config(None)).get_current_head() == migrate.head()


def test_only_an_automatic_database_migrates_itself(bare_database: Registry) -> None:
    with pytest.raises(RegistryError, match="not set up yet: run `kat db upgrade`"):
        migrate.ensure(bare_database.url, automatic=False)
    migrate.ensure(bare_database.url, automatic=True)
    migrate.ensure(bare_database.url, automatic=False)


def test_other_revisions_are_told_apart(registry: Registry) -> None:
    with registry.connection(autocommit=True) as connection:
        connection.execute("update alembic_version set version_num = '0000'")
        with pytest.raises(RegistryError, match="has revision 0000"):
            migrate.ensure(registry.url, automatic=False)
        connection.execute("update alembic_version set version_num = '9999'")
        with pytest.raises(RegistryError, match="made by a newer KAT Data"):
            migrate.ensure(registry.url, automatic=True)


def test_many_migrate_at_once(bare_database: Registry) -> None:
    with ThreadPoolExecutor(3) as threads:
        revisions = list(threads.map(migrate.upgrade, [bare_database.url] * 3))
    assert revisions == [migrate.head()] * 3


def test_the_fast_path_leaves_alembic_and_sqlalchemy_alone(registry: Registry) -> None:
    code = (
        "import sys; from kat_data.registry import migrate, session; migrate.ensure(sys.argv[1], automatic=True);"
        "print(sorted({'alembic', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, registry.url], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_failed_migration_leaves_nothing(bare_database: Registry) -> None:
    with bare_database.connection(autocommit=True) as connection:
        connection.execute("create table snapshot_rows ()")
    with pytest.raises(Exception, match="snapshot_rows"):
        migrate.upgrade(bare_database.url)
    with psycopg.connect(bare_database.url) as connection:
        tables = connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone()
    assert tables == (1,)
