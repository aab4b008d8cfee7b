"""Running an agent's program beside the files of its workspace, in the sandbox and nowhere else."""

import json
from collections.abc import Mapping

from kat_data.domain.execution import Execution
from kat_data.sandbox.base import Ending, Limits, Program, Ran, Sandbox

MAIN = "main.py"
_LIMITS = Limits(wall_s=10.0, memory_mb=512, output_bytes=1 << 18)
_SHOWN = 4_000

# The files come with the program, since a slot keeps nothing; a traceback begins at the agent's own code.
_LAUNCH = """
import json, os, sys, traceback
files = json.loads({files!r})
for name, text in files.items():
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
sys.path.insert(0, os.getcwd())
sys.argv = [{main!r}]
try:
    exec(compile({source!r}, {main!r}, "exec"), {{"__name__": "__main__"}})
except Exception as error:
    error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
    traceback.print_exception(error)
    sys.exit(1)
"""
_WORDS = {
    Ending.TIMEOUT: f"it ran longer than {_LIMITS.wall_s:g} seconds",
    Ending.MEMORY: f"it took more than {_LIMITS.memory_mb} MB of memory",
    Ending.OUTPUT_LIMIT: "it printed too much",
}


def execute(sandbox: Sandbox, files: Mapping[str, str], source: str) -> Execution:
    """Run Python `source` in a folder that holds `files`; raises `SandboxFault` where the sandbox breaks."""
    launch = _LAUNCH.format(files=json.dumps(dict(files)), source=source, main=MAIN)
    [ran] = sandbox.judge(Program(source=launch, limits=_LIMITS), lambda loaded: loaded.run([b""]))
    return Execution(output=_output(ran), trouble="" if ran.clean else _trouble(ran))


def _output(ran: Ran) -> str:
    printed = ran.stdout.decode("utf-8", "replace").replace("\0", "")
    parts = [_cut(text) for text in (printed.strip(), ran.stderr.strip()) if text]
    return "\n".join(parts)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}\n…\n{text[-_SHOWN // 2 :]}"


def _trouble(ran: Ran) -> str:
    if ran.ending in _WORDS:
        return _WORDS[ran.ending]
    return f"signal {ran.code}" if ran.ending is Ending.SIGNALLED else f"exit status {ran.code}"
