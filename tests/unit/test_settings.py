"""Settings: where each value comes from, and what is refused."""

from pathlib import Path

import pytest

from kat_data.errors import ConfigError
from kat_data.settings import Settings, mask_password


def shown(settings: Settings) -> dict[str, tuple[str, str]]:
    return {setting.name: (setting.value, setting.origin) for setting in settings.shown()}


def test_defaults_to_a_new_folder_where_one_works(tmp_path: Path) -> None:
    settings = Settings.load({}, tmp_path)
    assert settings.home == tmp_path / ".kat"
    assert settings.database_url is None
    assert shown(settings)["home"][1].startswith("default")
    assert not (tmp_path / ".kat").exists()


def test_the_nearest_home_upward_is_found(tmp_path: Path) -> None:
    (tmp_path / ".kat").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    settings = Settings.load({}, tmp_path / "a" / "b")
    assert settings.home == tmp_path / ".kat"
    assert str(tmp_path) in shown(settings)["home"][1]


def test_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".kat").mkdir()
    environ = {"KAT_HOME": "elsewhere", "KAT_DATABASE_URL": "postgres://me:secret@db:5432/kat"}
    settings = Settings.load(environ, tmp_path)
    assert settings.home == tmp_path / "elsewhere"
    assert settings.database_url == "postgresql://me:secret@db:5432/kat"
    origins = {name: origin for name, (_, origin) in shown(settings).items()}
    assert (origins["home"], origins["database_url"], origins["sandbox"]) == ("KAT_HOME", "KAT_DATABASE_URL", "default")
    assert "secret" not in str(settings.shown())


def test_an_unknown_variable_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="KAT_DATABASE_URI: did you mean KAT_DATABASE_URL"):
        Settings.load({"KAT_DATABASE_URI": "x"}, Path("/"))
    with pytest.raises(ConfigError, match="the known ones are KAT_HOME"):
        Settings.load({"KAT_QQQQQQQQQQQQ": "x"}, Path("/"))


def test_variables_of_others_and_of_tests_are_left_alone(tmp_path: Path) -> None:
    assert Settings.load({"PATH": "x", "KAT_TEST_DATA": "x", "KATANA": "x"}, tmp_path).database_url is None


@pytest.mark.parametrize("environ", [{"KAT_DATABASE_URL": "sqlite:///x"}, {"KAT_DATABASE_URL": "db"}])
def test_malformed_values_are_refused(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(environ))):
        Settings.load(environ, Path("/"))


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://me:pa%40ss@db/kat", "postgresql://me:***@db/kat"),
        ("postgresql://me:p:a@ss@db/kat", "postgresql://me:***@db/kat"),
        ("postgresql://me@db:1/kat?sslmode=require", "postgresql://me@db:1/kat?sslmode=require"),
        ("postgresql:///kat?user=me&password=pass", "postgresql:///kat?user=me&password=***"),
        ("postgresql://db/kat?sslpassword=pass", "postgresql://db/kat?sslpassword=***"),
    ],
)
def test_passwords_are_masked(url: str, masked: str) -> None:
    assert mask_password(url) == masked


@pytest.mark.parametrize(
    "url", ["redis://:pw@broker:6379/0", "rediss://b", "redis+socket:///run/r", "amqp://me:pw@b//"]
)
def test_the_broker_is_named_and_its_password_masked(tmp_path: Path, url: str) -> None:
    settings = Settings.load({"KAT_BROKER_URL": url}, tmp_path)
    assert settings.broker_url == url
    assert shown(settings)["broker_url"] == (url.replace("pw", "***"), "KAT_BROKER_URL")
    embedded = f"embedded, in {tmp_path / '.kat' / 'broker'}"
    assert shown(Settings.load({}, tmp_path))["broker_url"] == (embedded, "default")


@pytest.mark.parametrize("url", ["http://broker", "broker:6379", "redis:/broker", "redis://host:port/0"])
def test_a_broker_of_another_kind_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="KAT_BROKER_URL has to read redis://"):
        Settings.load({"KAT_BROKER_URL": url}, tmp_path)


def test_the_sandbox_is_named(tmp_path: Path) -> None:
    settings = Settings.load({"KAT_SANDBOX": "bwrap", "KAT_SANDBOX_SLOTS": "3"}, tmp_path)
    assert (settings.sandbox, settings.sandbox_slots, settings.sandbox_image) == ("bwrap", 3, None)
    assert Settings.load({}, tmp_path).sandbox == "auto"


@pytest.mark.parametrize("environ", [{"KAT_SANDBOX": "podman"}, {"KAT_SANDBOX_SLOTS": "0"}, {"KAT_SANDBOX_SLOTS": "x"}])
def test_a_sandbox_that_cannot_be_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(environ))} has to be"):
        Settings.load(environ, Path("/"))
