"""A tokenizer that loses nothing, one that does not know the template's tags, and texts of the template."""

from functools import cache
from typing import Any

from kat_data.domain.mode import Mode
from kat_data.domain.sample import Turn
from kat_data.domain.template import RESERVED_TAGS, render

WORDS = ["easy", "hard", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "first", "sum", "+", "="]


@cache
def tokenizer() -> Any:
    """Words, white space one character a token, and the tags as ordinary added tokens."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<unk>", " ", "\n", *WORDS]
    made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s|[a-z]+|[^a-z\s]"), behavior="isolated")
    made.decoder = decoders.Fuse()
    known = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", eos_token="<eos>")
    known.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in RESERVED_TAGS])
    return known


@cache
def foreign_tokenizer() -> Any:
    """Byte-level BPE trained on text of the template, where `>` and the line's end become one token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(
                __import__("tokenizers").Regex(r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+"), behavior="isolated"
            ),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    texts = [template_text(mode) for mode in Mode] * 4
    made.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    return PreTrainedTokenizerFast(tokenizer_object=made)


def template_text(mode: Mode, *, judge: str = "easy", thinking: str = "1+1=2", answer: str = "2") -> str:
    """One turn of the template."""
    shown = thinking if mode is Mode.ON else ""
    return render(Turn(user="x", judge_analysis=judge, mode=mode, thinking=shown, answer=answer))
