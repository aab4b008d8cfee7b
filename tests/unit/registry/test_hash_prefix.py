import pytest

from kat_data.registry.hash_prefix import hash_range


@pytest.mark.parametrize("start", ["0", "f", "3fa94c21", "ABC", "ff" * 32, "0a" * 32])
def test_a_range_holds_the_hashes_that_begin_so_and_no_other(start: str) -> None:
    found = hash_range(start)
    assert found is not None
    least, greatest = found["first"].hex(), found["last"].hex()
    assert least == start.lower().ljust(64, "0")
    assert greatest == start.lower().ljust(64, "f")


@pytest.mark.parametrize("start", ["", "xyz", "12 34", "0x12", "-1", "１２", "0" * 65, "%"])
def test_what_is_no_start_of_a_hash_has_no_range(start: str) -> None:
    assert hash_range(start) is None
