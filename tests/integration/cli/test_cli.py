"""The commands as programs call them: one JSON document on stdout, one line on stderr where something is wrong."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from kat_data.domain.template import parse
from kat_data.registry.session import Registry

pytestmark = pytest.mark.integration

IMPORT = ("queries", "import", "sums.jsonl", "--preset", "gsm8k", "--source", "sums", "--licence", "MIT")


@pytest.fixture
def imported(kat, questions: Path) -> None:
    kat(*IMPORT)


@pytest.fixture
def finished(kat, imported, endpoint, write_recipe) -> dict[str, Any]:
    """The report of a finished run over the imported sums."""
    return kat.json("run", write_recipe(endpoint.url), "--json")


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_queries_are_imported_and_listed(kat, questions) -> None:
    first = kat.json(*IMPORT, "--json")
    assert {name: first[name] for name in ("rows", "imported", "duplicates", "identical", "conflicts", "bad")} == {
        "rows": 14, "imported": 12, "duplicates": 1, "identical": 1, "conflicts": 0, "bad": 1,
    }  # fmt: skip
    [bad] = first["bad_lines"]
    assert (bad["file"], bad["number"]) == ("sums.jsonl", 6)
    assert bad["reason"]
    assert [found["finished_before"] for found in first["files"]] == [False]
    again = kat.json(*IMPORT, "--json")
    assert [found["finished_before"] for found in again["files"]] == [True]
    assert kat.json("queries", "list", "--json") == [
        {"source": "sums", "licence": "MIT", "category": "math", "queries": 12, "verifiable": 12}
    ]


def test_a_strict_import_keeps_the_good_lines_and_fails(kat, questions) -> None:
    said = kat(*IMPORT, "--strict", "--json", code=2)
    assert orjson.loads(said.out)["imported"] == 12
    assert said.err.splitlines()[-1] == "kat: 1 bad line; the 13 good ones are imported"


def test_a_run_is_reported_and_done_once(kat, imported, endpoint, write_recipe) -> None:
    recipe, before = write_recipe(endpoint.url), endpoint.requests
    first = kat.json("run", recipe, "--json")
    assert set(first) >= {
        "run", "recipe", "state", "reason", "queries", "accepted", "funnel", "composition", "models", "cost",
    }  # fmt: skip
    assert (first["recipe"], first["state"], first["reason"], first["queries"]) == ("small", "finished", None, 12)
    assert sum(entry["items"] for entry in first["funnel"]) == 12
    assert set(first["funnel"][0]) == {"stage", "state", "reason", "items"}
    assert first["composition"][0]["category"] == "math"
    assert first["models"][0]["model"] == "scripted"
    assert first["cost"]["made"] == endpoint.requests - before
    paid = endpoint.requests
    assert kat.json("run", recipe, "--json") == first
    assert endpoint.requests == paid
    assert "funnel of run" in kat("run", recipe).out


def test_a_run_samples_until_each_stratum_is_filled_and_says_which(kat, imported, endpoint, write_recipe) -> None:
    recipe = write_recipe(endpoint.url)
    wishes = ("--accept", "category=math mode=on: 2", "--accept", "category=math mode=off: 1_000", "--budget", "5")
    found = kat.json("run", recipe, *wishes, "--json")
    assert [(f["stratum"], f["target"]) for f in found["mixture"]] == [
        ("category=math mode=think_on", 2), ("category=math mode=think_off", 1000),
    ]  # fmt: skip
    enough, short = found["mixture"]
    assert (enough["samples"], enough["state"]) == (2, "filled")
    assert short["state"] == f"pool ended, {1000 - short['samples']:,} short"
    assert kat.json("run", recipe, *wishes, "--json")["run"] == found["run"]
    assert "pool ended" in kat("runs", "show", str(found["run"])).out


def test_a_run_that_stops_says_what_it_came_to(kat, imported, endpoint, write_recipe) -> None:
    recipe = write_recipe(endpoint.url)
    said = kat("run", recipe, "--accept", "category=math: 5", "--budget", "0", "--json", code=4)
    found = orjson.loads(said.out)
    assert found["state"] == "stopped"
    assert [(f["target"], f["samples"]) for f in found["mixture"]] == [(5, 0)]
    assert "budget" in found["mixture"][0]["state"]
    shown = kat("run", recipe, "--accept", "category=math: 5", "--budget", "0", code=4)
    assert "budget" in shown.out


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ("category=math", "write it as `category=math"),
        ("category=math: none", "write it as"),
        ("category=maths: 5", "there is no category `maths`"),
        ("any: 0", "a whole number above 0"),
        ("difficulty=0..12: 3", "difficulty lies between 1 and 10"),
    ],
)
def test_a_wish_that_cannot_be_read_says_how_to_write_it(kat, write_recipe, wish, why) -> None:
    said = kat("run", write_recipe("http://127.0.0.1:1/v1"), "--accept", wish, code=2)
    assert why in said.err
    assert len(said.err.splitlines()) == 1


def test_a_preview_extrapolates(kat, imported, endpoint, write_recipe) -> None:
    found = kat.json("run", write_recipe(endpoint.url), "--preview", 3, "--json")
    assert found["queries"] == 3
    assert found["extrapolated"]["queries"] == 12
    assert found["extrapolated"]["usd"] == pytest.approx(4 * found["cost"]["usd_used"])


def test_runs_are_listed_shown_and_resumed(kat, finished, endpoint) -> None:
    run = finished["run"]
    assert kat.json("runs", "list", "--json") == [{"run": run, "recipe": "small", "state": "finished", "queries": 12}]
    assert kat.json("runs", "show", run, "--json") == finished
    paid = endpoint.requests
    assert kat.json("runs", "resume", run, "--json") == finished
    assert kat.json("runs", "resume", run, "--dead", "--json") == finished
    assert endpoint.requests == paid
    items = kat.json("runs", "items", run, "--limit", 50, "--json")
    assert len(items) == 12
    assert kat("runs", "items", run).err == ""
    assert kat("runs", "items", run, "--limit", 5).err == "7 more: `--limit 12` lists them all\n"
    assert {item["state"] for item in items} <= {"accepted", "dropped"}
    assert f"run {run} is finished: it cannot become cancelled" in kat.error("runs", "cancel", run, code=2)


def test_a_runs_modes_are_held_against_what_it_measured(kat, imported, finished, endpoint, write_recipe) -> None:
    assert "measured no turn" in kat("runs", "modes", finished["run"]).err
    assert kat.json("runs", "modes", finished["run"], "--json") == {"run": finished["run"], "modes": []}
    assert "modes" not in finished
    stages: list[Any] = [
        "normalise",
        {"add_intent": {"share": 0.5}},
        "vote_mode",
        {"measure_mode": {"share": 1, "k": 2}},
    ]
    stages += [{"sample_off": {"k": 2}}, {"sample_on": {"k": 2}}, "verify", {"prefer": {"only": [], "minimum": 0}}]
    parts = {name: [{"model": "one", "max_tokens": 200}] for name in ("voters", "responder", "reasoner", "judge")}
    roles = parts | {"panel": parts["judge"], "rewarder": parts["judge"]}
    report = kat.json("run", write_recipe(endpoint.url, stages=[*stages, "judge_mode"], roles=roles), "--json")
    found = kat.json("runs", "modes", report["run"], "--json")
    assert found["modes"] == report["modes"]
    *categories, every = found["modes"]
    assert [row["category"] for row in categories] == ["math"]
    assert 2 < every["turns"] < 12
    assert every["answers"] == 4 * every["turns"]
    assert every["agreed"] == every["confusion"]["on"]["on"] + every["confusion"]["off"]["off"]
    tables = kat("runs", "show", report["run"]).out
    assert "agrees with the measurement" in tables
    assert kat("runs", "modes", report["run"]).out in tables
    shown = [kat("samples", "show", sample["id"]).out for sample in kat.json("samples", "list", "--json")]
    for title in ("intents that the run added", "modes as measured", "scores"):
        assert any(title in text for text in shown)


def test_a_cancelled_run_can_be_resumed(kat, open_run) -> None:
    run = open_run().id
    assert kat.json("runs", "cancel", run, "--json") == {"run": run, "state": "cancelled"}
    assert kat.json("runs", "show", run, "--json")["state"] == "cancelled"
    assert "is cancelled; what it accepted stays" in kat("runs", "cancel", run).err


def test_samples_are_listed_and_shown_with_all_behind_them(kat, finished) -> None:
    samples = kat.json("samples", "list", "--run", finished["run"], "--limit", 100, "--json")
    assert len(samples) == finished["accepted"] > 0
    assert set(samples[0]) >= {"id", "hash", "run", "mode", "category", "source", "sample"}
    shown = kat.json("samples", "show", samples[0]["hash"][:20], "--json")
    assert shown == kat.json("samples", "show", samples[0]["id"], "--json")
    assert [message["role"] for message in shown["messages"]] == ["user", "assistant"]
    assert parse(shown["messages"][1]["content"]).mode == samples[0]["mode"]
    assert {call["stage"] for call in shown["calls"]} >= {"judge_mode"}
    assert shown["candidates"][0]["answer"]
    assert shown["verdicts"][0]["verifier"].startswith("math")
    assert "ledger key" in kat("samples", "show", samples[0]["id"]).out
    dropped = kat.json("runs", "items", finished["run"], "--state", "dropped", "--json")
    for item in dropped[:1]:
        behind = kat.json("samples", "show", f"{finished['run']}/{item['query']}", "--json")
        assert (behind["sample"], behind["messages"], behind["item"]["reason"]) == (None, None, item["reason"])


def test_snapshots_are_created_listed_shown_verified_and_exported(kat, finished, tmp_path) -> None:
    created = kat.json("snapshots", "create", "--run", finished["run"], "--json")
    assert (created["snapshot"], created["rows"], created["existed"]) == ("small@1", finished["accepted"], False)
    again = kat.json("snapshots", "create", "--run", finished["run"], "--json")
    assert again == created | {"existed": True}
    [listed] = kat.json("snapshots", "list", "--json")
    assert (listed["snapshot"], listed["stage"], listed["rows"]) == ("small@1", "stage2", finished["accepted"])
    manifest = kat.json("snapshots", "show", "small@latest", "--json")
    assert created["content_hash"] in str(manifest)
    assert manifest["mixture"] is None
    assert kat("snapshots", "show", "small", "--plot", tmp_path / "small.png").err == f"drawn: {tmp_path}/small.png\n"
    assert (tmp_path / "small.png").read_bytes() == Path(created["path"], "composition.png").read_bytes()
    verified = kat.json("snapshots", "verify", "small", "--json")
    assert verified == {"snapshot": "small", "ok": True, "rows": finished["accepted"], "problems": []}
    exported = kat.json("snapshots", "export", "small@1", tmp_path / "out", "--json")["files"]
    assert sorted(Path(file).name for file in exported) == ["README.md", "train.jsonl"]
    assert len((tmp_path / "out" / "train.jsonl").read_text().splitlines()) == finished["accepted"]

    shard = next(Path(created["path"]).glob("data/*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    said = kat("snapshots", "verify", "small", "--json", code=6)
    assert orjson.loads(said.out)["ok"] is False
    assert said.err.startswith("kat: small in ")
    assert "is damaged: " in said.err


def test_recipes_are_listed_validated_and_described(kat, endpoint, write_recipe) -> None:
    assert {row["name"] for row in kat.json("recipes", "list", "--json")} >= {"demo", "math"}
    resolved = kat.json("recipes", "validate", write_recipe(endpoint.url), "--json")
    assert resolved["stages"][2]["sample_off"]["k"] == 2
    assert "valid; stages: normalise, vote_mode" in kat("recipes", "validate", "small.yaml").out
    assert kat.json("recipes", "schema")["properties"]["stages"]["type"] == "array"


def test_settings_are_shown_with_their_origin(kat, monkeypatch) -> None:
    monkeypatch.setenv("KAT_DATABASE_URL", "postgresql://me:secret@db.example/kat")
    shown = kat.json("config", "show", "--json")
    assert shown["database_url"] == {"value": "postgresql://me:***@db.example/kat", "origin": "KAT_DATABASE_URL"}
    assert shown["home"]["origin"] == "KAT_HOME"


def test_the_database_says_where_it_is(kat, registry) -> None:
    status = kat.json("db", "status", "--json")
    assert (status["embedded"], status["revision"]) == (False, status["needed"])


def test_models_are_checked(kat, endpoint, write_recipe) -> None:
    [check] = kat.json("models", "check", write_recipe(endpoint.url), "--json")
    assert (check["endpoint"], check["model"], check["reachable"], check["listed"], check["json_schema"]) == (
        "scripted", "scripted", True, True, True,
    )  # fmt: skip
    port = closed_port()
    said = kat("models", "check", write_recipe(f"http://127.0.0.1:{port}/v1"), "--json", code=3)
    [check] = orjson.loads(said.out)
    assert (check["reachable"], check["seconds"]) == (False, None)
    assert f"http://127.0.0.1:{port}/v1 does not answer" in check["problem"]
    assert said.err == "kat: 1 of 1 models cannot be used: scripted\n"


def test_an_endpoint_that_is_down_exits_with_3_and_the_run_goes_on_later(kat, imported, endpoint, write_recipe) -> None:
    down = write_recipe(f"http://127.0.0.1:{closed_port()}/v1")
    assert "cannot be reached: start it" in kat.error("run", down, "--json", code=3, reports=True)
    [run] = kat.json("runs", "list", "--json")
    assert run["state"] == "stopped"
    resumed = kat.json("run", write_recipe(endpoint.url), "--json")
    assert (resumed["run"], resumed["state"]) == (run["run"], "finished")


def test_a_spent_budget_exits_with_4(kat, imported, endpoint, write_recipe) -> None:
    line = kat.error("run", write_recipe(endpoint.url, budget={"usd": 0.002}), code=4, reports=True)
    assert line.startswith("the budget of $0.00")
    assert kat.json("run", write_recipe(endpoint.url, budget={"usd": 1}), "--json")["state"] == "finished"


def test_a_wrong_input_exits_with_2(kat, questions, endpoint, write_recipe, monkeypatch) -> None:
    recipe = write_recipe(endpoint.url, stagez=[])
    errors = {
        ("run", recipe): "unknown key `stagez`: did you mean `stages`?",
        ("run", "none.yaml"): "cannot read recipe none.yaml: No such file or directory",
        ("recipes", "validate", recipe): "did you mean `stages`?",
        ("runs", "show", 77): "no run 77: `kat runs list` shows them",
        ("samples", "show", "abc"): "no sample abc: `kat samples list` shows them",
        ("snapshots", "create", "--run", 77): "no run 77",
        ("snapshots", "show", "none"): "none",
        ("queries", "import", "none.jsonl", *IMPORT[3:]): "none.jsonl",
        ("queries", "import", "sums.jsonl", "--preset", "gsm", *IMPORT[5:]): "gsm8k",
    }
    for arguments, line in errors.items():
        assert line in kat.error(*arguments, code=2)
    assert "the registry holds no query" in kat.error("run", write_recipe(endpoint.url), code=2)
    monkeypatch.setenv("KAT_DATABASE", "x")
    assert "Unknown environment variable KAT_DATABASE: did you mean KAT_DATABASE_URL?" in kat.error(
        "config", "show", code=2
    )


def test_a_database_that_is_away_exits_with_5(kat, monkeypatch) -> None:
    monkeypatch.setenv("KAT_DATABASE_URL", f"postgresql://me:secret@127.0.0.1:{closed_port()}/kat")
    line = kat.error("runs", "list", "--json", code=5)
    assert line.startswith("No connection to Postgres at 127.0.0.1")
    assert "secret" not in line


def test_ctrl_c_stores_what_is_in_flight_and_says_how_to_go_on(
    kat, registry: Registry, imported, slow_endpoint, endpoint, write_recipe
) -> None:
    command = [sys.executable, "-m", "kat_data.cli.main", "run", str(write_recipe(slow_endpoint.url)), "--json"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, cwd=Path(__file__).parents[3]) as process:
        while not slow_endpoint.requests:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    [run] = kat.json("runs", "list", "--json")
    assert (process.returncode, orjson.loads(out)["state"], run["state"]) == (3, "stopped", "stopped")
    assert f"run {run['run']} was interrupted; go on with `kat runs resume {run['run']}`" in err
    assert "Traceback" not in err
    paid = slow_endpoint.requests
    with registry.connection(autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM calls WHERE state = 'done'").fetchone() == (paid,)
    assert kat.json("run", write_recipe(endpoint.url), "--json")["state"] == "finished"


def test_an_invalid_recipe_lists_its_problems_as_json(kat, write_recipe) -> None:
    write_recipe("localhost:8000/v1", nmae="small")
    said = kat("recipes", "validate", "small.yaml", "--json", code=2)
    found = orjson.loads(said.out)
    assert (found["valid"], len(found["problems"])) == (False, 2)
    assert found["problems"][0] == "unknown key `nmae`: did you mean `name`?"
    assert said.err.splitlines()[0] == "kat: 2 problems in small.yaml:"


def test_an_unset_key_opens_no_run(kat, imported, write_recipe, monkeypatch) -> None:
    monkeypatch.delenv("SMALL_KEY", raising=False)
    endpoint = {"url": "http://127.0.0.1:9/v1", "key_env": "SMALL_KEY"}
    recipe = write_recipe("", endpoints={"scripted": endpoint})
    assert "takes its key from SMALL_KEY, which is not set" in kat.error("run", recipe, code=2)
    assert kat.json("runs", "list", "--json") == []
    assert "takes its key from SMALL_KEY, which is not set" in kat.error("models", "check", recipe, code=2)


def test_a_terminal_without_the_letters_is_no_error_and_a_reader_may_leave(kat, questions) -> None:
    command = [sys.executable, "-m", "kat_data.cli.main", "queries", "list"]
    kat("queries", "import", "sums.jsonl", "--preset", "gsm8k", "--source", "算术", "--licence", "MIT")
    cwd = Path(__file__).parents[3]
    for encoding, source in (("ascii", "算术".encode()), ("latin-1", b"??")):  # click mends a terminal of ASCII alone
        environ = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run(command, env=environ, capture_output=True, check=True, cwd=cwd)
        assert source in done.stdout
        assert done.stderr == b""

    reading, writing = os.pipe()
    os.close(reading)
    left = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False, cwd=cwd)
    os.close(writing)
    assert (left.returncode, left.stderr) == (141, b"")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['kat', '--help']\n"
        "from kat_data.cli.main import main\n"
        "main()\n"
        "heavy = {'sqlalchemy', 'psycopg', 'pydantic', 'sympy', 'aiohttp', 'jinja2', 'pyarrow', 'rich', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert all(name in done.stdout for name in ("queries", "recipes", "run", "runs", "samples", "snapshots"))
