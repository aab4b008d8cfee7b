"""Who plays which role for a query: some roles have members of their own for single categories."""

from collections.abc import Mapping
from typing import TypeVar

from kat_data.domain.category import Category

Members = TypeVar("Members")


def cast_for(roles: Mapping[str, Members], category: Category) -> dict[str, Members]:
    """Return the roles as queries of `category` see them: `role.category` takes the place of `role`."""
    general = {role: members for role, members in roles.items() if "." not in role}
    own = {role.partition(".")[0]: members for role, members in roles.items() if role.endswith(f".{category}")}
    return general | own
