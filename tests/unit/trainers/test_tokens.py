from pathlib import Path
from typing import Any

from kat_data.domain.template import RESERVED_TAGS
from trainers.config import Model
from trainers.models import load_tokenizer
from trainers.tokens import TURN_END, prepare


def test_each_tag_is_one_token_that_decoding_shows(tokenizer: Any) -> None:
    for tag in RESERVED_TAGS:
        ids = tokenizer.encode(f"a{tag}b", add_special_tokens=False)
        assert ids.count(tokenizer.convert_tokens_to_ids(tag)) == 1
        assert tokenizer.decode(ids, skip_special_tokens=True) == f"a{tag}b"


def test_turns_end_with_a_token_that_is_no_padding(tokenizer: Any) -> None:
    assert tokenizer.eos_token == TURN_END
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_preparing_twice_changes_nothing(tokenizer: Any) -> None:
    before = tokenizer.get_vocab(), tokenizer.eos_token, tokenizer.pad_token
    prepare(tokenizer)
    assert (tokenizer.get_vocab(), tokenizer.eos_token, tokenizer.pad_token) == before


def test_no_text_is_cut_where_a_stored_tokenizer_would(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer("one two three", truncation=True, max_length=2)
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(Model(path=str(tmp_path)))
    tokenizer.backend_tokenizer.no_truncation()
    messages = [{"role": "user", "content": "one two three"}]
    assert loaded.apply_chat_template(messages)["input_ids"] == tokenizer.apply_chat_template(messages)["input_ids"]
