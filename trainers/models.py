"""Models and their tokenizers: loaded for training, and saved whole or not at all."""

import shutil
from pathlib import Path
from typing import Any

from kat_data.errors import ConfigError
from trainers.config import Model
from trainers.tokens import fit, prepare


def load_model(model: Model) -> tuple[Any, Any]:
    """Return a causal language model and its tokenizer with the template's tags; raises `ConfigError`."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(model)
    kind = None if model.dtype == "auto" else getattr(torch, model.dtype)
    try:
        loaded = AutoModelForCausalLM.from_pretrained(model.path, revision=model.revision, dtype=kind or "auto")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{model.path} holds no model that can be loaded: {_first_line(error)}") from error
    fit(loaded, tokenizer)
    return loaded, tokenizer


def load_tokenizer(model: Model) -> Any:
    """Return the model's tokenizer with the template's tags; raises `ConfigError`."""
    from transformers import AutoTokenizer

    try:
        return prepare(AutoTokenizer.from_pretrained(model.path, revision=model.revision))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{model.path} holds no tokenizer that can be loaded: {_first_line(error)}") from error


def save_model(model: Any, tokenizer: Any, target: Path) -> Path:
    """Save a checkpoint as a plain Hugging Face folder that appears whole; returns `target`."""
    unfinished = target.with_name(f".unfinished-{target.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    unfinished.rename(target)
    return target


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
