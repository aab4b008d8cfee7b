"""From a recipe to working parts: endpoints, gateway, role members.

Keys come from the environment, and go nowhere else.
"""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from kat_data.clock import Clock
from kat_data.domain.call import Price, Sampling
from kat_data.domain.slice import EndpointLimits
from kat_data.errors import InputError, KatError, RecipeError
from kat_data.llm.anthropic_batch import AnthropicBatches
from kat_data.llm.anthropic_http import AnthropicClient
from kat_data.llm.backoff import Backoff
from kat_data.llm.batch import BatchBook, BatchClient, BatchTerms
from kat_data.llm.bound_model import BoundModel
from kat_data.llm.budget import Budget
from kat_data.llm.client import Client
from kat_data.llm.embedder import Embedder
from kat_data.llm.endpoint import Endpoint
from kat_data.llm.gateway import Gateway
from kat_data.llm.http import check_key
from kat_data.llm.leased_budget import LeasedBudget
from kat_data.llm.ledger import Ledger
from kat_data.llm.limits import Limit
from kat_data.llm.litellm_client import LitellmClient, check_installed
from kat_data.llm.observed_client import ObservedClient
from kat_data.llm.openai_batch import OpenAIBatches
from kat_data.llm.openai_http import OpenAIClient
from kat_data.llm.replay import Recording, ReplayClient
from kat_data.llm.shared_limit import Sharing
from kat_data.observer import UNOBSERVED, Observer
from kat_data.pipeline.recipe import Recipe
from kat_data.pipeline.recipe_parts import BudgetSpec, EndpointSpec, MemberSpec, ModelSpec
from kat_data.recipes import DEMO_LEDGER
from kat_data.redaction import hide
from kat_data.registry.budgets import PostgresPurse
from kat_data.registry.session import Registry

MakeClient = Callable[[str, EndpointSpec], Client]

BUNDLED_RECORDINGS = {"demo": DEMO_LEDGER}


def make_client(name: str, spec: EndpointSpec) -> Client:
    """Return the client of one endpoint; raises `RecipeError` where its key is not set or its recording is missing."""
    if spec.recording is not None:
        return ReplayClient(Recording.load(recording_path(spec.recording)))
    key = endpoint_key(name, spec)
    if spec.provider == "litellm":
        return LitellmClient(name, url=spec.url, api_key=key, key_variable=spec.key_env, seconds=spec.timeout)
    assert spec.base_url is not None
    kind = AnthropicClient if spec.provider == "anthropic" else OpenAIClient
    return kind(name, spec.base_url, api_key=key, key_variable=spec.key_env, idle_seconds=spec.timeout)


def make_batch_client(name: str, spec: EndpointSpec) -> BatchClient | None:
    """Return the door to an endpoint's Batch API; none where it cannot have one."""
    if not spec.has_batches:
        return None
    assert spec.base_url is not None
    kind = AnthropicBatches if spec.provider == "anthropic" else OpenAIBatches
    key = endpoint_key(name, spec)
    return kind(name, spec.base_url, api_key=key, key_variable=spec.key_env, idle_seconds=spec.timeout)


def endpoint_key(name: str, spec: EndpointSpec) -> str | None:
    """Return the key of calls to the endpoint, or none; raises `RecipeError` where it is not set or unusable."""
    # Files and copied text bring a line break along, which no header can hold.
    key = os.environ.get(spec.key_env, "").strip() if spec.key_env else None
    if spec.key_env and not key:
        raise RecipeError(f"endpoint `{name}` takes its key from {spec.key_env}, which is not set: export it")
    check_key(name, key, spec.key_env)
    hide(key)
    return key


def check_keys(recipe: Recipe) -> None:
    """Raise `RecipeError` where the key of an endpoint is not set, before a run is opened in vain."""
    for name, spec in recipe.endpoints.items():
        if spec.recording is None:
            endpoint_key(name, spec)


def find_lack(recipe: Recipe) -> KatError | None:
    """Return what the recipe needs of this machine and does not find, as its own error: a key, litellm, a recording."""
    try:
        check_keys(recipe)
        for name, spec in recipe.endpoints.items():
            if spec.recording is not None and not (path := recording_path(spec.recording)).is_file():
                return InputError(f"{path} cannot be read as a recording: there is no such file")
            if spec.recording is None and spec.provider == "litellm":
                check_installed(name)
    except RecipeError as error:
        return error
    return None


def recording_path(name: str) -> Path:
    """Return the path of a bundled recording, or of one of the user's."""
    return BUNDLED_RECORDINGS.get(name) or Path(name)


def is_recorded(recipe: Recipe) -> bool:
    """Whether every endpoint that the recipe's roles reach is a recording."""
    used = {recipe.models[member.model].endpoint for members in recipe.roles.values() for member in members}
    return all(recipe.endpoints[name].recording is not None for name in used)


@asynccontextmanager
async def open_budget(
    registry: Registry, recipe: Recipe, *, run: int, worker: int, clock: Clock
) -> AsyncIterator[Budget]:
    """Open the worker's slice of the run's budget, once its ledger is open; a run without a cap needs none."""
    if recipe.budget == BudgetSpec():
        yield Budget()
    else:
        async with PostgresPurse.open(registry, run=run, worker=worker) as purse, LeasedBudget(purse, clock) as budget:
            yield budget


def build_gateway(
    recipe: Recipe,
    ledger: Ledger,
    budget: Budget,
    clock: Clock,
    client: MakeClient,
    sharing: Sharing | None = None,
    book: BatchBook | None = None,
    observer: Observer = UNOBSERVED,
) -> Gateway:
    """Return the gateway of a run's endpoints.

    With `sharing`, the limits of live endpoints are those of all workers; without, this process has them to itself.
    `book` remembers batches beyond the life of the process.
    """
    endpoints = [
        Endpoint(
            name,
            ObservedClient(client(name, spec), name, observer, clock),
            key=None if spec.recording is not None else endpoint_key(name, spec),
            concurrency=spec.concurrency,
            backoff=Backoff(tries=spec.retries + 1),
            clock=clock,
            limit=_shared_limit(name, spec, sharing) if sharing else None,
            batch=make_batch_client(name, spec),  # also where no role asks it: batches may be under way there
            terms=BatchTerms(requests=spec.batch.requests, gather=spec.batch.gather, poll=spec.batch.poll),
        )
        for name, spec in recipe.endpoints.items()
    ]
    return Gateway(endpoints, ledger, budget=budget, clock=clock, book=book, observer=observer)


def batch_endpoints(recipe: Recipe) -> set[str]:
    """Return the endpoints whose Batch API some role's member is asked through; recordings have none."""
    members = [member for members in recipe.roles.values() for member in members if member.mode == "batch"]
    names = {recipe.models[member.model].endpoint for member in members}
    return {name for name in names if recipe.endpoints[name].has_batches}


def _shared_limit(name: str, spec: EndpointSpec, sharing: Sharing) -> Limit | None:
    """Return our part of an endpoint as its provider sees it: a URL, and the account that a key stands for."""
    if spec.recording is not None:
        return None
    limits = EndpointLimits(concurrency=spec.concurrency, rpm=spec.rpm, tpm=spec.tpm)
    place = (spec.base_url or f"litellm {name}").rstrip("/")
    return sharing.limit(f"{place} {spec.key_env or ''}".strip(), limits)


def build_models(recipe: Recipe, gateway: Gateway) -> Mapping[str, tuple[BoundModel, ...]]:
    """Return the members of every role, bound to the gateway."""
    return {
        role: tuple(_member(recipe, member, gateway) for member in members) for role, members in recipe.roles.items()
    }


def build_embedder(recipe: Recipe, gateway: Gateway) -> Embedder:
    """Return the recipe's embedder, bound to the gateway."""
    model = recipe.models[recipe.roles["embedder"][0].model]
    return Embedder(
        gateway=gateway,
        endpoint=model.endpoint,
        name=model.model,
        revision=model.revision,
        price=_price(model),
    )


def _member(recipe: Recipe, member: MemberSpec, gateway: Gateway) -> BoundModel:
    model = recipe.models[member.model]
    in_batch = member.mode == "batch" and model.endpoint in batch_endpoints(recipe)
    return BoundModel(
        gateway=gateway,
        endpoint=model.endpoint,
        name=model.model,
        revision=model.revision,
        price=_price(model, share=model.price.batch if in_batch else 1.0),
        in_batch=in_batch,
        sampling=Sampling(
            temperature=member.temperature,
            top_p=member.top_p,
            max_tokens=member.max_tokens,
            seed=recipe.seed if model.send_seed else None,
        ),
        native_tools=model.native_tools,
        native_reasoning=model.native_reasoning,
        attempts=recipe.reply_attempts,
        api=model.api,
        heads=model.heads,
    )


def _price(model: ModelSpec, *, share: float = 1.0) -> Price:
    return Price(prompt=share * model.price.prompt, completion=share * model.price.completion)
