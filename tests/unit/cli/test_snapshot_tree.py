"""What the tree of a snapshot says of its rows."""

from typing import Any

import pytest
from rich.console import Console

from kat_data.cli.snapshot_tree import snapshot_tree


def said(**changes: Any) -> str:
    found: dict[str, Any] = {
        "name": "sums", "version": 1, "aliases": [], "hash": "ab" * 32, "path": "p", "stage": "stage2", "rows": 8,
        "built_at": "2026-01-01", "code_version": "1", "parent": None, "known": True, "runs": [], "withdrawn": 0,
        "sources": {}, "licences": {}, "recipe": {}, "seed": 7, "models": {}, "money": {},
    }  # fmt: skip
    console = Console(width=200)
    with console.capture() as capture:
        console.print(snapshot_tree({**found, **changes}))
    return capture.get()


@pytest.mark.parametrize("withdrawn", [0, 1_200])
def test_withdrawn_rows_are_told_with_what_to_do(withdrawn: int) -> None:
    line = "1,200 of the rows are withdrawn: create the snapshot again, and take this version back where you pushed it"
    assert (line in said(withdrawn=withdrawn)) == (withdrawn > 0)
