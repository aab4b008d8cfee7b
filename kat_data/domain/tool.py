"""Tools in OpenAI's fields: what a run needs of one before any model can call it."""

from typing import Any

NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}
"""The schema of a function that takes nothing."""


def tool_problem(tool: Any) -> str | None:
    """Return why models cannot be offered `tool`, as one clause; none where they can."""
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        return 'a tool is not {"type": "function", "function": {…}}'
    name = function.get("name")
    if not isinstance(name, str) or not name.strip():
        return "a tool has no name"
    schema = function.get("parameters")
    if not isinstance(schema, dict):
        return f"tool {name} has no JSON Schema as its parameters: one without arguments says {NO_ARGUMENTS}"
    properties = schema.get("properties", {})
    if schema.get("type") != "object" or not isinstance(properties, dict):
        return f"the parameters of tool {name} are not a JSON Schema of type object"
    if wrong := next((key for key, value in properties.items() if not isinstance(value, dict | bool)), None):
        return f"the parameter {wrong} of tool {name} is not a JSON Schema"
    return None
