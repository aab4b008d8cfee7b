"""The shipped recipes, and what the demo needs beside its recipe."""

from pathlib import Path

FOLDER = Path(__file__).parent
DEMO_QUERIES = FOLDER / "demo_queries.jsonl"
DEMO_LEDGER = FOLDER / "demo_ledger.jsonl.gz"
