"""Tokenizers of AutoThink models: the template's tags as tokens, and the chat template that trains and serves."""

from pathlib import Path
from typing import Any, Final

from kat_data.domain.template import RESERVED_TAGS

CHAT_TEMPLATE: Final = Path(__file__).with_name("chat_template.jinja")
TURN_START: Final = "<|im_start|>"
TURN_END: Final = "<|im_end|>"


def prepare(tokenizer: Any) -> Any:
    """Give a tokenizer the tags, the marks of turns and our chat template; a second time changes nothing.

    The tags are ordinary added tokens (`special=False`), as special ones would be hidden where replies are decoded
    with `skip_special_tokens=True`, as TRL does before it asks for rewards. What the tokenizer knows stays as it is,
    but for a limit at which a stored one cuts texts in silence.
    """
    from tokenizers import AddedToken

    known = tokenizer.get_vocab()
    tags = [AddedToken(tag, special=False, normalized=False) for tag in RESERVED_TAGS if tag not in known]
    marks = [AddedToken(mark, special=True, normalized=False) for mark in (TURN_START, TURN_END) if mark not in known]
    tokenizer.add_tokens(tags)
    tokenizer.add_tokens(marks, special_tokens=True)
    tokenizer.eos_token = TURN_END
    if tokenizer.pad_token is None or tokenizer.pad_token == TURN_END:
        tokenizer.pad_token = _padding(tokenizer)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.chat_template = CHAT_TEMPLATE.read_text(encoding="utf-8")
    return tokenizer


def fit(model: Any, tokenizer: Any) -> None:
    """Give the model an embedding for every token; rows that it has beyond the tokenizer's, as padding, stay."""
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer))
    for config in (model.config, model.generation_config):
        config.eos_token_id = tokenizer.eos_token_id
        config.pad_token_id = tokenizer.pad_token_id


def _padding(tokenizer: Any) -> str:
    """A token for padding that ends no turn: a model that is trained on padded rows must still learn to stop."""
    for candidate in ("<|endoftext|>", tokenizer.unk_token):
        if candidate and candidate in tokenizer.get_vocab():
            return str(candidate)
    tokenizer.add_tokens(["<|pad|>"], special_tokens=True)
    return "<|pad|>"
