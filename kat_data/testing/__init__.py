"""Fakes and builders that users' own tests share with the project's: scripted models, in process or over HTTP.

The server stands in `kat_data.testing.scripted_server`, and runs alone as `python -m kat_data.testing.scripted_server`;
`batch_server` and `anthropic_server` add OpenAI's and Anthropic's Batch APIs to it.
"""

from kat_data.testing.builders import (
    a_candidate,
    a_conversation,
    a_draft,
    a_model,
    a_query,
    a_reply,
    a_request,
    a_sample,
    a_verdict,
)
from kat_data.testing.scripted_client import Script, ScriptedClient
from kat_data.testing.tools import some_tools

__all__ = [
    "Script",
    "ScriptedClient",
    "a_candidate",
    "a_conversation",
    "a_draft",
    "a_model",
    "a_query",
    "a_reply",
    "a_request",
    "a_sample",
    "a_verdict",
    "some_tools",
]
