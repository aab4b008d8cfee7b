"""The stage `cluster`: a query that is one too many leaves, with its cluster as the detail."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from kat_data.domain.category import Category
from kat_data.domain.crowding import Crowding
from kat_data.domain.drop import DropReason
from kat_data.pipeline.look import RegistryLook
from kat_data.stages.cluster import ClusterQueries
from kat_data.testing import a_draft, a_query

QUERY = a_query("Write a poem.", reference=None, category=Category.GENERAL)
CROWDING = Crowding(representative="Write me\na poem.", size=4, rank=2, similarity=0.973)


async def test_a_query_that_crowds_its_cluster_is_dropped(tools) -> None:
    index = RegistryLook({}, crowding={QUERY.hash: CROWDING})
    dropped = await ClusterQueries().run(a_draft(QUERY), replace(tools(), index=index))
    assert dropped.reason is DropReason.CROWDED_CLUSTER
    assert dropped.detail == "number 2 of 4, 0.97 to the centre, with: Write me a poem."


async def test_any_other_query_stays(tools) -> None:
    draft = a_draft(QUERY)
    assert await ClusterQueries().run(draft, tools()) is draft


def test_general_queries_alone_are_clustered_unless_the_recipe_says_otherwise() -> None:
    assert ClusterQueries().applies(a_draft(QUERY))
    assert not ClusterQueries().applies(a_draft(a_query()))
    assert ClusterQueries(only=(Category.MATH,)).applies(a_draft(a_query()))


@pytest.mark.parametrize("options", [{"threshold": 0}, {"threshold": 1.1}, {"per_cluster": 0}, {"pick": "best"}])
def test_options_are_checked(options) -> None:
    with pytest.raises(ValidationError):
        ClusterQueries(**options)
