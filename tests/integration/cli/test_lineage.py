"""`kat lineage` and `kat queries withdraw` on the samples, snapshots and rows of a run."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

pytestmark = pytest.mark.integration

OPTIONS = ("--preset", "gsm8k", "--source", "sums", "--licence", "MIT")


@pytest.fixture
def accepted(kat, endpoint, write_recipe, questions: Path) -> list[dict[str, Any]]:
    """The samples of a run over sums, all in the snapshot small@1."""
    kat("queries", "import", questions, *OPTIONS)
    kat("run", write_recipe(endpoint.url))
    kat("snapshots", "create", "--run", 1)
    samples: list[dict[str, Any]] = kat.json("samples", "list", "--json")
    assert samples
    return samples


def test_the_lineage_of_samples_rows_and_snapshots(kat, registry, accepted) -> None:
    sample = accepted[0]
    by_id = kat.json("lineage", sample["id"], "--json")
    assert (by_id["kind"], by_id["sample"]["hash"]) == ("sample", sample["hash"])
    assert by_id["usd"] == pytest.approx(sum(call["usd"] for call in by_id["calls"]))
    assert [s["name"] for s in by_id["snapshots"]] == ["small"]
    assert by_id["messages"][0]["role"] == "user"
    for same in (sample["hash"][:10], f"small#{sample['hash'][:10]}", f"small@1#{sample['hash'].upper()}"):
        assert kat.json("lineage", same, "--json") == by_id

    rows = [kat.json("lineage", f"small@latest:{number}", "--json") for number in range(len(accepted))]
    assert {row["sample"]["hash"] for row in rows} == {found["hash"] for found in accepted}
    assert kat.json("lineage", "small:train:0", "--json") == rows[0]

    snapshot = kat.json("lineage", "small", "--json")
    assert (snapshot["kind"], snapshot["known"], snapshot["rows"]) == ("snapshot", True, len(accepted))
    assert [(run["id"], run["rows"]) for run in snapshot["runs"]] == [(1, len(accepted))]
    for same in ("small@1", snapshot["hash"][:12]):
        assert kat.json("lineage", same, "--json") == snapshot
    told = kat("lineage", "small@1").out
    assert f"run 1 (small), finished: {len(accepted)} rows" in told
    assert "voters: scripted" in told

    with registry.connection(autocommit=True) as connection:
        connection.execute("UPDATE samples SET hash = sha256(hash) WHERE id = %s", [sample["id"]])
        connection.execute("UPDATE snapshots SET hash = sha256(hash)")
    unknown = kat.json("lineage", f"small#{sample['hash'][:10]}", "--json")
    assert (unknown["kind"], unknown["row"]["id"], unknown["snapshot"]["name"]) == ("row", sample["hash"], "small")
    assert "The registry does not know this row" in kat("lineage", f"small#{sample['hash'][:10]}").out
    assert kat.json("lineage", "small", "--json")["known"] is False

    for ident, said in {
        "deadbeef": "no sample and no snapshot has a hash that begins with deadbeef",
        "nothing": "there is no snapshot nothing in",
        "small@7": "there is no snapshot small@7 in",
        "small:99": f"there is no row 99: train has {len(accepted)}, counted from 0",
        "small:test:0": "there is no split test; there are: train",
        "small#ffffffffff": "no row has an id that begins with 'ffffffffff'",
        "1/99": "no item 1/99: `kat runs items RUN` lists the queries of a run",
    }.items():
        assert said in kat.error("lineage", ident, code=2)


def test_what_may_mean_several_things_is_refused_with_their_names(kat, registry, accepted, tmp_path: Path) -> None:
    first, second = accepted[0]["id"], accepted[1]["id"]
    kat("snapshots", "create", "--run", 1, "--name", first)
    kat("snapshots", "create", "--run", 1, "--name", "deadbeef")
    with registry.connection(autocommit=True) as connection:
        sample_hash = "deadbeef" + "0" * 56
        connection.execute("UPDATE samples SET hash = decode(%s, 'hex') WHERE id = %s", [sample_hash, second])
        snapshot_hash = "12345678" + "0" * 56
        connection.execute("UPDATE snapshots SET hash = decode(%s, 'hex') WHERE name = 'small'", [snapshot_hash])
    for ident, said in {
        first: f"{first} may be sample {accepted[0]['hash'][:16]} or snapshot {first}@1: name the one that you mean",
        "deadbeef": "deadbeef may be sample deadbeef00000000 or snapshot deadbeef@1: name the one that you mean",
    }.items():
        assert said in kat.error("lineage", ident, code=2)
    empty = tmp_path / "empty"  # then the registry alone knows the names
    empty.mkdir()
    assert "or snapshot deadbeef@1" in kat.error("lineage", "deadbeef", "--root", empty, code=2)
    assert kat.json("lineage", "deadbeef@1", "--json")["name"] == "deadbeef"
    assert kat.json("lineage", "deadbeef00", "--json")["sample"]["id"] == second
    assert kat.json("lineage", "12345678", "--json")["name"] == "small"
    assert kat.json("lineage", second, "--json")["sample"]["id"] == second


def test_what_is_withdrawn_is_told_and_comes_back_when_it_is_undone(
    kat, registry, accepted, endpoint, write_recipe, questions: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(endpoint.url)
    one = kat.json("lineage", accepted[0]["id"], "--json")["query"]["hash"]
    ids = tmp_path / "ids.txt"
    ids.write_text(f"{one}\n\n{accepted[1]['hash'][:12]}\n")
    withdraw = ("queries", "withdraw", "--ids", ids, "--reason", "asked to", "--kind", "takedown")

    dry = kat.json(*withdraw, "--dry-run", "--json")
    assert (dry["queries"], dry["dry_run"], [s["rows"] for s in dry["snapshots"]]) == (2, True, [2])
    assert kat.json("queries", "withdrawals", "--json") == []

    told = kat(*withdraw).out
    assert "withdrawal 2: 2 queries withdrawn" in told  # the dry run took a number
    assert "small@1" in told
    assert "no training run" in told
    [listed] = kat.json("queries", "withdrawals", "--json")
    assert (listed["kind"], listed["reason"], listed["queries"]) == ("takedown", "asked to", 2)
    assert kat.json("queries", "withdrawals", listed["id"], "--json")["snapshots"] == dry["snapshots"]
    assert "withdrawn by" in kat("lineage", accepted[0]["id"]).out
    assert "2 of the rows are withdrawn" in kat("lineage", "small").out

    again = kat("run", recipe)
    assert "left out: 2 queries of sums, which are withdrawn" in again.err
    assert re.search(r"2 +left out", again.out)
    copied = tmp_path / "copy.jsonl"
    copied.write_bytes(questions.read_bytes() + b'\n{"question": "New?", "answer": "#### 1"}\n')
    imported = kat("queries", "import", copied, *OPTIONS)
    assert "2 of these are withdrawn, and no run takes them: `kat queries withdrawals` says why" in imported.err

    undone = kat.json("queries", "withdraw", "--undo", listed["id"], "--reason", "settled", "--json")
    assert (undone["queries"], undone["still_withdrawn"]) == (2, 0)
    assert "undone by" in kat("lineage", accepted[0]["id"]).out
    assert kat.json("queries", "withdrawals", "--json")[0]["undone_reason"] == "settled"
    whole = kat.json("queries", "withdraw", "--source", "sums", "--reason", "no licence", "--kind", "licence", "--json")
    assert (whole["queries"], whole["earlier"]) == (13, 0)
    assert "13 are withdrawn" in kat.error("run", recipe, code=2)


def test_bad_words_withdraw_nothing(kat, questions: Path, tmp_path: Path) -> None:
    kat("queries", "import", questions, *OPTIONS)
    ids = tmp_path / "ids.txt"
    ids.write_text("deadbeef00\nabcabcabc0\n")
    empty = tmp_path / "empty.txt"
    empty.write_text("\n \n")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for arguments, said in (
        ((), "say what to withdraw: one of --source NAME, --ids FILE and --undo ID"),
        (("--source", "sums", "--ids", ids), "say what to withdraw: one of"),
        (("--source", "nothing"), "there is no source nothing: `kat queries list` names them"),
        (("--ids", ids), "2 of 2 ids are no query's and no row's here, so nothing was withdrawn: deadbeef00, abcabcab"),
        (("--ids", ids, "--skip-unknown"), "2 of 2 ids are no query's"),
        (("--ids", empty), "names no query"),
        (("--ids", binary), "cannot be read as text"),
        (("--ids", tmp_path / "missing"), "cannot be read as text"),
        (("--undo", 7), "there is no withdrawal 7: `kat queries withdrawals` lists them"),
    ):
        assert said in kat.error("queries", "withdraw", *arguments, "--reason", "why", code=2)
    assert "--reason is empty" in kat.error("queries", "withdraw", "--source", "sums", "--reason", " ", code=2)
    assert kat.json("queries", "withdrawals", "--json") == []
    assert orjson.loads(kat("queries", "list", "--json").out)[0]["queries"] == 12
