"""KAT Data: the file imported, one call for each query through the whole path, the registry in FOLDER."""

import asyncio
import os
import sys
from pathlib import Path

from gateway import AskOnce, work_on

from kat_data.registry import runs
from kat_data.registry.choice import Choice
from kat_data.registry.imports import import_queries
from kat_data.registry.session import connect
from kat_data.settings import Settings
from kat_data.sources.presets import fingerprint, read_queries

if __name__ == "__main__":
    url, prompts, folder, in_flight = sys.argv[1:]
    path = Path(prompts)
    with connect(Settings.load({**os.environ, "KAT_HOME": folder})) as registry:
        queries = read_queries(path, preset="plain", source="bench", licence="none")
        mark = fingerprint(path, preset="plain", source="bench")
        import_queries(
            registry,
            queries,
            preset="plain",
            source="bench",
            licence="none",
            file_name=path.name,
            fingerprint=mark,
        )
        wanted = runs.WantedRun(
            name="benchmark",
            recipe={"budget": {"usd": 1000.0, "tokens": None}},
            identity={},
            first_stage=AskOnce.name,
        )
        with registry.engine.begin() as connection:
            run, _ = runs.open_run(connection, wanted, Choice(sources=["bench"]))
        asyncio.run(work_on(registry, run.id, url, int(in_flight)))
