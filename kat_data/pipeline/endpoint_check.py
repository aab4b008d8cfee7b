"""Are the models of a recipe to be had: each is asked a tiny question at its endpoint."""

import asyncio

from kat_data.llm.check import Check, check_client, check_embedder, check_model
from kat_data.pipeline.recipe import Recipe
from kat_data.pipeline.wiring import check_keys, endpoint_key, make_client


async def check_models(recipe: Recipe, *, patience: float = 60.0) -> list[Check]:
    """Ask every model of the recipe at once; raises `RecipeError` where an endpoint's key is not set.

    A model that gives nothing for `patience` seconds does not answer.
    """
    check_keys(recipe)
    return list(await asyncio.gather(*(_check(recipe, name, patience) for name in recipe.models)))


async def _check(recipe: Recipe, name: str, patience: float) -> Check:
    spec = recipe.models[name]
    endpoint = recipe.endpoints[spec.endpoint]
    if endpoint.recording is not None:
        return Check(endpoint=spec.endpoint, model=spec.model, reachable=True, usable=True, problem="recorded")
    if endpoint.provider != "openai":
        quick = endpoint.model_copy(update={"timeout": patience})
        return await check_client(spec.endpoint, make_client(spec.endpoint, quick), spec.model)
    assert endpoint.url is not None
    key = endpoint_key(spec.endpoint, endpoint)
    if name in {member.model for member in recipe.roles.get("embedder", ())}:
        return await check_embedder(spec.endpoint, endpoint.url, spec.model, api_key=key, patience=patience)
    return await check_model(spec.endpoint, endpoint.url, spec.model, api_key=key, patience=patience, api=spec.api)
