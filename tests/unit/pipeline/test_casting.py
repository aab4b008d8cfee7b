from kat_data.domain.category import Category
from kat_data.pipeline.casting import cast_for

ROLES = {"responder": "base", "responder.general": "checkpoint", "reasoner": "deep", "reasoner.math": "sums"}


def test_a_category_of_its_own_takes_the_roles_place():
    assert cast_for(ROLES, Category.GENERAL) == {"responder": "checkpoint", "reasoner": "deep"}
    assert cast_for(ROLES, Category.MATH) == {"responder": "base", "reasoner": "sums"}
    assert cast_for(ROLES, Category.CODE) == {"responder": "base", "reasoner": "deep"}
