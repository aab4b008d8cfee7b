"""Bespoke Curator: one prompt a row, one answer a row, its cache in FOLDER."""

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

url, prompts, folder, in_flight = sys.argv[1:]
litellm = importlib.util.find_spec("litellm")
assert litellm is not None
assert litellm.origin is not None
os.environ |= {
    "CURATOR_CACHE_DIR": folder,
    "TELEMETRY_ENABLED": "false",
    "HF_HUB_OFFLINE": "1",
    "OPENAI_API_KEY": "none",
    # Curator counts tokens with an encoding that tiktoken would fetch; litellm brings it along.
    "TIKTOKEN_CACHE_DIR": str(Path(litellm.origin).parent / "litellm_core_utils" / "tokenizers"),
}

from bespokelabs import curator  # noqa: E402
from datasets import Dataset  # noqa: E402


class Ask(curator.LLM):  # type: ignore[misc]
    """One call a row."""

    def prompt(self, row: dict[str, Any]) -> str:
        return str(row["prompt"])

    def parse(self, row: dict[str, Any], response: str) -> dict[str, Any]:
        return {**row, "answer": response}


if __name__ == "__main__":
    rows = [json.loads(line) for line in Path(prompts).read_text().splitlines()]
    ask = Ask(
        model_name="benchmark",
        backend="openai",
        backend_params={
            "base_url": url,
            "api_key": "none",
            "max_concurrent_requests": int(in_flight),
            "max_requests_per_minute": 10**6,
            "max_tokens_per_minute": 10**9,
        },
    )
    ask(Dataset.from_list(rows))
