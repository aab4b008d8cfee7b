"""Prompts: versioned Jinja templates in files beside this module, each with the hash that lineage records.

A template `<name>.v<version>.j2` has one block a message, in order; the block's name is the role, with `_` and a
number where the prompt shows examples (`system`, `user_1`, `assistant_1`, `user`). What is static comes first, so that
endpoints reuse its prefix. A published file never changes: a better prompt is a new version.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from kat_data.domain.query import Message, Role
from kat_data.errors import NotFoundError
from kat_data.hashing import sha256

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One version of one prompt; `sha256` is the hex digest of the template file's bytes."""

    name: str
    source: str
    sha256: str

    def messages(self, **values: Any) -> tuple[Message, ...]:
        """Return one message a block; a name that the template uses and `values` lacks is an error."""
        template = _template(self.source)
        return tuple(
            Message(role=Role(name.partition("_")[0]), content="".join(block(template.new_context(values))).strip())
            for name, block in template.blocks.items()
        )

    def before(self, conversation: Sequence[Message], **values: Any) -> tuple[Message, ...]:
        """Return the prompt's messages, then the conversation, whose own system text is joined to the prompt's."""
        system, *examples = self.messages(**values)
        if conversation and conversation[0].role is Role.SYSTEM:
            system = replace(system, content=f"{system.content}\n\n{conversation[0].content}")
            conversation = conversation[1:]
        return (system, *examples, *conversation)


@cache
def load_prompt(name: str) -> Prompt:
    """Read the prompt `name`, such as `vote_mode.v1`; raises `NotFoundError` where there is no such file."""
    file = files(__package__) / f"{name}.j2"
    if not file.is_file():
        raise NotFoundError(f"no prompt is named {name!r}: use one of {', '.join(prompt_names())}")
    data = file.read_bytes()
    return Prompt(name=name, source=data.decode(), sha256=sha256(data).hex())


@cache
def prompt_names() -> tuple[str, ...]:
    """Return the names of all shipped prompts, sorted."""
    return tuple(sorted(f.name.removesuffix(".j2") for f in files(__package__).iterdir() if f.name.endswith(".j2")))


@cache
def _environment() -> "SandboxedEnvironment":
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


@cache
def _template(source: str) -> "Template":
    return _environment().from_string(source)
