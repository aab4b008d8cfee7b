"""What is sent into a fresh slot, so that any image with Python can be one."""

from functools import cache
from importlib.resources import files
from typing import Any

from kat_data.sandbox.inside import frames

_PACKAGE = "kat_data.sandbox.inside"
# Each after those that it imports.
_MODULES = (
    "privilege", "frames", "library", "values", "server", "program", "free_names", "unjudged", "exceptions", "report",
    "remote", "session", "tester", "wipe", "zygote", "memory", "processes", "watch", "supervisor",
)  # fmt: skip

COMMAND = (
    "python3", "-I", "-X", "utf8", "-c",
    "import json,os,sys,types\n"
    "def take(n):\n"
    " d=b''\n"
    " while len(d)<n:\n"
    "  c=os.read(0,n-len(d))\n"
    "  if not c:os._exit(0)\n"
    "  d+=c\n"
    " return d\n"
    "sent=json.loads(take(int.from_bytes(take(4),'big')))\n"
    "for name,source in sent['modules']:\n"
    " m=sys.modules[name]=types.ModuleType(name)\n"
    " m.__path__=[]\n"
    " exec(compile(source,name,'exec'),m.__dict__)\n"
    "m.main(sent['config'])\n",
)  # fmt: skip
"""Starts Python, takes the modules from standard input, and runs the last one's `main`."""


def payload(config: dict[str, Any]) -> bytes:
    """Return the frame that a fresh slot reads first; `config` is `supervisor.main`'s."""
    return frames.pack({"modules": _modules(), "config": config})


@cache
def _modules() -> list[tuple[str, str]]:
    parents = [(name, "") for name in ("kat_data", "kat_data.sandbox", _PACKAGE)]
    folder = files(_PACKAGE)
    return [*parents, *((f"{_PACKAGE}.{name}", (folder / f"{name}.py").read_text("utf-8")) for name in _MODULES)]
