"""Arguments of tool calls against the tools' schemas: what a real function would refuse."""

from collections.abc import Mapping, Sequence
from typing import Any

from kat_data.domain.tool_call import ToolCall
from kat_data.stages.parts.replies import tool_function

_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def refusal(call: ToolCall, tools: Sequence[dict[str, Any]]) -> str | None:
    """Return why no tool can take the call, none where one can: its name, what is missing, unknown or of another type.

    Only the outermost values are looked at.
    """
    functions = {function["name"]: function for function in map(tool_function, tools)}
    if call.name not in functions:
        return f"there is no tool {call.name}; there are {', '.join(functions)}"
    schema = functions[call.name].get("parameters") or {}
    properties = schema.get("properties") or {}
    if missing := [name for name in schema.get("required") or () if name not in call.arguments]:
        return f"{call.name}: the argument {missing[0]} is missing"
    if unknown := [name for name in call.arguments if name not in properties]:
        return f"{call.name}: there is no argument {unknown[0]}"
    faults = (_fault(value, properties[name]) for name, value in call.arguments.items())
    return next((f"{call.name}: {name} {why}" for name, why in zip(call.arguments, faults, strict=True) if why), None)


def _is_one(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether the value is of one of the kinds; Python's booleans are integers, JSON's are not."""
    if isinstance(value, bool):
        return bool in kinds or object in kinds
    return isinstance(value, kinds)


def _fault(value: Any, schema: Any) -> str | None:
    if not isinstance(schema, dict):
        return None
    names = schema.get("type")
    names = [names] if isinstance(names, str) else names if isinstance(names, list) else []
    kinds = tuple(kind for name in names for kind in _KINDS.get(name, (object,)))
    if kinds and not _is_one(value, kinds):
        return f"must be of type {' or '.join(names)}"
    if isinstance(schema.get("enum"), list) and value not in schema["enum"]:
        return f"must be one of {', '.join(map(str, schema['enum']))}"
    return None
