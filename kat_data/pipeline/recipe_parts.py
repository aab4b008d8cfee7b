"""The parts of a recipe as its YAML spells them; every key and option is validated here."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from kat_data.domain.call import Api
from kat_data.domain.category import Category
from kat_data.domain.split import check_splits

Provider = Literal["openai", "anthropic", "litellm"]


class Part(BaseModel):
    """A frozen record that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BatchSpec(Part):
    """How calls of an endpoint wait for its Batch API, where a role asks it with `mode: batch`."""

    requests: Annotated[int, Field(ge=1, le=100_000)] = Field(50_000, description="Calls in one batch at most.")
    items: Annotated[int, Field(ge=1)] = Field(10_000, description="Items of a run that are in hand at once.")
    gather: Annotated[float, Field(gt=0)] = Field(
        5.0, description="Seconds without a further call before a batch is handed in."
    )
    poll: Annotated[float, Field(gt=0)] = Field(60.0, description="Seconds between two looks at a batch, at most.")


class EndpointSpec(Part):
    """Where models are served: a provider's API at a base URL, or a recorded ledger."""

    provider: Provider = Field(
        "openai", description="Whose API it speaks: `openai` (and all that is compatible), `anthropic`, or `litellm`."
    )
    url: str | None = Field(None, description="Base URL, ending in /v1; Anthropic's and litellm's own are known.")
    recording: str | None = Field(None, description="A recorded ledger that answers instead: a path, or `demo`.")
    key_env: str | None = Field(None, description="Name of the environment variable that holds the API key.")
    concurrency: Annotated[int, Field(ge=1, le=4096)] = Field(16, description="Requests in flight, of all workers.")
    rpm: Annotated[int, Field(ge=1)] | None = Field(None, description="Requests in any minute, of all workers.")
    tpm: Annotated[int, Field(ge=1)] | None = Field(None, description="Tokens in any minute, of all workers.")
    timeout: Annotated[float, Field(gt=0)] = Field(
        300.0, description="Seconds without a byte before a call is retried."
    )
    retries: Annotated[int, Field(ge=0, le=20)] = Field(5, description="Tries after the first, for passing faults.")
    batch: BatchSpec = BatchSpec()

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is not None:
            parts = urlsplit(url)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError(f"write one such as http://127.0.0.1:8000/v1, and not {url!r}")
        return url

    @model_validator(mode="after")
    def _one_place(self) -> "EndpointSpec":
        nowhere = self.base_url is None and self.recording is None and self.provider == "openai"
        if nowhere or (self.url is not None and self.recording is not None):
            raise ValueError("give either `url` or `recording`")
        return self

    @property
    def base_url(self) -> str | None:
        """Where calls are sent; none where a recording answers, or litellm knows itself."""
        if self.provider == "anthropic" and self.url is None and self.recording is None:
            return "https://api.anthropic.com/v1"
        return self.url

    @property
    def has_batches(self) -> bool:
        """Whether it may have a Batch API."""
        return self.recording is None and self.provider != "litellm"


class PriceSpec(Part):
    """Money per million tokens, in US dollars."""

    prompt: Annotated[float, Field(ge=0)] = 0.0
    completion: Annotated[float, Field(ge=0)] = 0.0
    batch: Annotated[float, Field(gt=0, le=1)] = Field(0.5, description="What a call in a batch costs, as a share.")


class ModelSpec(Part):
    """A model as an endpoint serves it."""

    endpoint: str
    model: str = Field(description="The name that the endpoint knows.")
    revision: str = Field("", description="Checkpoint hash of a model that changes under one name.")
    price: PriceSpec = PriceSpec()
    native_tools: bool = Field(False, description="The endpoint takes `tools` and returns tool calls.")
    native_reasoning: bool = Field(False, description="The model thinks by itself and returns its reasoning.")
    api: Api = Field(
        Api.CHAT, description="How it is asked: `chat`, or `classify`, `score`, `pooling` for a reward model."
    )
    heads: tuple[str, ...] = Field((), description="Names of what a reward model scores, in its order.")
    send_seed: bool = Field(True, description="Send a seed with each call, for endpoints that take one.")


class MemberSpec(Part):
    """One member of a role: a model with its sampling."""

    model: str
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] = 1024
    mode: Literal["at_once", "batch"] = Field(
        "at_once", description="`batch` sends its calls through the endpoint's Batch API: cheaper, within a day."
    )


class BudgetSpec(Part):
    """The run's hard cap; a call that could pass it is not sent."""

    usd: Annotated[float, Field(ge=0)] | None = None
    tokens: Annotated[int, Field(ge=0)] | None = None


class QuerySpec(Part):
    """Which queries of the registry the run takes; empty lists take all."""

    sources: tuple[str, ...] = ()
    categories: tuple[Category, ...] = ()
    licences: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="Licences that are allowed, in any usual spelling; queries of others are left out, counted."
    )
    limit: Annotated[int, Field(ge=1)] | None = Field(None, description="Take the first N by content hash.")


class OutputSpec(Part):
    """How the run's samples are written as a snapshot."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")] | None = None
    stage: Literal["stage1", "stage2", "stage3"] = "stage2"
    splits: dict[str, int | float] = Field(
        {}, description="Rows beside those to train on, by split: a share such as 0.05, or a number of rows."
    )

    @field_validator("splits")
    @classmethod
    def _are_splits(cls, splits: dict[str, int | float]) -> dict[str, float]:
        return check_splits(splits)


Roles = dict[str, tuple[MemberSpec, ...]]
