"""`kat demo`: the whole job on the bundled queries, answered by a recorded ledger or live."""

from functools import partial
from typing import Any

import click
from rich.text import Text

from kat_data.cli.output import json_option, print_json, print_table, program, say, show, usd
from kat_data.cli.queries import import_file
from kat_data.cli.registry import open_registry
from kat_data.cli.report import print_report
from kat_data.cli.run import finish_run, run_recipe
from kat_data.cli.samples import print_message
from kat_data.cli.snapshot_folder import root_folder
from kat_data.clock import SystemClock
from kat_data.domain.call import CallRequest, Reply
from kat_data.domain.codec import from_python
from kat_data.domain.sample import Sample
from kat_data.domain.template import render_messages
from kat_data.errors import ConfigError
from kat_data.llm.client import Client
from kat_data.llm.openai_http import OpenAIClient
from kat_data.llm.replay import Recording, RecordingClient
from kat_data.pipeline.publish import publish_run
from kat_data.pipeline.recipe import Recipe, load_recipe, parse_recipe
from kat_data.pipeline.recipe_parts import EndpointSpec
from kat_data.pipeline.wiring import make_client
from kat_data.recipes import DEMO_LEDGER, DEMO_QUERIES
from kat_data.registry import queries
from kat_data.registry.session import Registry
from kat_data.sandbox.open import opener
from kat_data.settings import Settings

SOURCE, LICENCE = "demo", "Apache-2.0"
RECORDING_CONCURRENCY = 4  # what a small server on a laptop bears


@click.command()
@click.option("--live", is_flag=True, help="Ask a real endpoint instead of the recorded ledger.")
@click.option("--endpoint", "url", metavar="URL", help="With --live: base URL of an OpenAI-compatible endpoint.")
@click.option("--model", metavar="NAME", help="With --live: the model that takes every role.")
@click.option("--key-env", metavar="VARIABLE", help="With --live: environment variable that holds the API key.")
@click.option(
    "--record", metavar="MODEL=URL", multiple=True, help="Record missing calls of MODEL from URL; for developers."
)
@json_option
def demo(
    live: bool, url: str | None, model: str | None, key_env: str | None, record: tuple[str, ...], as_json: bool
) -> None:
    """Import the bundled queries, run the demo recipe, write snapshot demo@1, and show what came out."""
    recipe, kat = load_recipe("demo"), program()
    if live:
        recipe = _live(recipe, url, model, key_env)
    elif url or model or key_env:
        raise ConfigError("--endpoint, --model and --key-env go with --live")
    elif not record:
        say("The answers come from a recorded ledger: real completions of two small models, shipped with KAT Data.")
        say(f"No model is asked and nothing is paid; `{kat} demo --live --endpoint URL --model NAME` asks a real one.")
    with open_registry() as registry:
        import_file(registry, DEMO_QUERIES, "plain", SOURCE, LICENCE)
        found = _record(registry, recipe, record) if record else run_recipe(registry, recipe, finish=finish_run)
        sandbox = opener(Settings.load())
        written = publish_run(
            registry,
            root_folder(None),
            found["run"],
            name=None,
            partial=False,
            clock=SystemClock(),
            open_sandbox=sandbox,
            home=Settings.load().home,
        )
        with registry.engine.connect() as connection:
            samples = queries.list_samples(connection, found["run"], 1000)
    found["snapshot"] = {"name": written.label, "path": str(written.path), "rows": written.manifest.hashed.rows}
    if as_json:
        print_json(found)
    else:
        _print(found, samples)


def _live(recipe: Recipe, url: str | None, model: str | None, key_env: str | None) -> Recipe:
    if not url or not model:
        raise ConfigError("--live needs --endpoint URL and --model NAME")
    plain = recipe.resolved()
    plain["endpoints"] = {"live": {"url": url, "key_env": key_env, "concurrency": 8}}
    for spec in plain["models"].values():
        spec |= {"endpoint": "live", "model": model}
    return parse_recipe(plain, "demo --live")


def _record(registry: Registry, recipe: Recipe, record: tuple[str, ...]) -> dict[str, Any]:
    """Run the recipe with every missing call asked live, and keep exactly the calls that the run made."""
    recording = Recording.load(DEMO_LEDGER) if DEMO_LEDGER.exists() else Recording()
    urls = dict(entry.partition("=")[::2] for entry in record)
    clients: list[RecordingClient] = []

    def client(name: str, spec: EndpointSpec) -> Client:
        if spec.recording is None:
            return make_client(name, spec)
        clients.append(RecordingClient(recording, _ByModel(urls)))
        return clients[-1]

    plain = recipe.resolved()
    for spec in plain["endpoints"].values():
        spec["concurrency"] = RECORDING_CONCURRENCY
    try:
        found = run_recipe(registry, parse_recipe(plain, "demo --record"), finish=partial(finish_run, client=client))
        recording.keep(set().union(*(made.asked for made in clients)))
    finally:
        recording.save(DEMO_LEDGER)
    say(f"{len(recording)} calls recorded in {DEMO_LEDGER}")
    return found


class _ByModel:
    """A client that finds the endpoint by the request's model."""

    def __init__(self, urls: dict[str, str]) -> None:
        self._clients = {model: OpenAIClient(model, url) for model, url in urls.items()}

    async def complete(self, request: CallRequest) -> Reply:
        if request.model not in self._clients:
            raise ConfigError(f"give --record {request.model}=URL: the recording lacks a call of it")
        return await self._clients[request.model].complete(request)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


def _print(found: dict[str, Any], samples: list[dict[str, Any]]) -> None:
    print_report(found)
    for mode in ("think_on", "think_off"):
        chosen = [sample for sample in samples if sample["mode"] == mode]
        if chosen:
            typical = sorted(chosen, key=lambda sample: len(str(sample["sample"])))[len(chosen) // 2]
            show(Text(f"one {mode} sample, as a trainer reads it (sample {typical['id']})", style="bold"))
            for message in render_messages(from_python(Sample, typical["sample"])):
                print_message(message)
    cost, snapshot, kat = found["cost"], found["snapshot"], program()
    verb = "would have cost" if cost["recorded"] else "cost"
    say(f"{snapshot['name']}: {snapshot['rows']} verified samples in {snapshot['path']}")
    say(f"the calls {verb} {usd(cost['usd_used'])}")
    print_table(
        ["next", "command"],
        [
            ["the lineage of one sample", f"{kat} samples list; {kat} lineage ID"],
            ["check the snapshot's hashes", f"{kat} snapshots verify {snapshot['name']}"],
            ["the same with a model of yours", f"{kat} demo --live --endpoint URL --model NAME"],
            ["your own data", f"{kat} queries import FILE --preset plain --source NAME --licence L"],
            ["a recipe to start from", f"{kat} recipes list; {kat} run RECIPE --preview 20"],
        ],
    )
