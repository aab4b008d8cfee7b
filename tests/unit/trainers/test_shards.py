"""Safetensors files: read by their headers, written from bytes, in little memory."""

import json
import tracemalloc
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from kat_data.errors import ConfigError
from trainers.shards import BUFFER, INDEX, SINGLE, Entry, packed, stored_tensors, write_checkpoint


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "a": torch.randn(3, 5),
        "b": torch.randn(7).bfloat16(),
        "c": torch.arange(6, dtype=torch.int64).reshape(2, 3),
        "scalar": torch.tensor(2.5),
        "d": torch.randn(4, 4).to(torch.float8_e4m3fn),
    }


def entries(folder: Path, zeroed: tuple[str, ...] = ()) -> list[Entry]:
    return [Entry(name=f"new.{n}", tensor=t, zeroed=n in zeroed) for n, t in stored_tensors(folder).items()]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    save_file(tensors(), folder / SINGLE, metadata={"format": "pt"})
    return folder


def test_headers_tell_types_shapes_and_sizes(source: Path) -> None:
    found = stored_tensors(source)
    assert {n: (t.dtype, t.shape, t.size, t.parameters) for n, t in found.items()} == {
        "a": ("F32", (3, 5), 60, 15),
        "b": ("BF16", (7,), 14, 7),
        "c": ("I64", (2, 3), 48, 6),
        "scalar": ("F32", (), 4, 1),
        "d": ("F8_E4M3", (4, 4), 16, 16),
    }


def test_the_library_reads_what_is_written_bit_by_bit(source: Path, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, [entries(source, zeroed=("b",))], lambda _: None)
    found = load_file(tmp_path / SINGLE)
    for name, tensor in tensors().items():
        expected = torch.zeros_like(tensor) if name == "b" else tensor
        assert found[f"new.{name}"].dtype == tensor.dtype
        assert torch.equal(found[f"new.{name}"].reshape(-1).view(torch.uint8), expected.reshape(-1).view(torch.uint8))
    with safe_open(tmp_path / SINGLE, "pt") as opened:
        assert opened.metadata() == {"format": "pt"}


def test_shards_have_an_index_that_names_every_tensor(source: Path, tmp_path: Path) -> None:
    shards = packed(entries(source), 80)
    assert all(sum(entry.tensor.size for entry in shard) <= 80 for shard in shards)
    told: list[int] = []
    write_checkpoint(tmp_path, shards, told.append)
    assert sum(told) == 60 + 14 + 48 + 4 + 16
    index = json.loads((tmp_path / INDEX).read_text())
    assert index["metadata"] == {"total_parameters": 45, "total_size": 142}
    for name, file in index["weight_map"].items():
        assert torch.equal(load_file(tmp_path / file)[name].float(), tensors()[name.removeprefix("new.")].float())
    assert stored_tensors(tmp_path).keys() == index["weight_map"].keys()


def test_a_tensor_larger_than_a_shard_has_one_of_its_own(source: Path) -> None:
    assert [len(shard) for shard in packed(entries(source), 1)] == [1] * 5


def test_a_shard_that_is_there_is_left_and_half_a_one_is_written_anew(source: Path, tmp_path: Path) -> None:
    shards = packed(entries(source), 80)
    write_checkpoint(tmp_path, shards, lambda _: None)
    first, second, *_ = sorted(tmp_path.glob("*.safetensors"))
    before = first.stat().st_mtime_ns
    second.rename(second.with_suffix(".unfinished"))
    told: list[int] = []
    write_checkpoint(tmp_path, shards, told.append)
    assert first.stat().st_mtime_ns == before
    assert sum(told) == 142
    assert stored_tensors(tmp_path).keys() == {f"new.{name}" for name in tensors()}


def test_memory_does_not_grow_with_the_tensors(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    save_file({"large": torch.zeros(5 * BUFFER // 4), "other": torch.zeros(BUFFER)}, folder / SINGLE)
    shards = [entries(folder, zeroed=("other",))]
    tracemalloc.start()
    write_checkpoint(tmp_path, shards, lambda _: None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.2 * BUFFER


@pytest.mark.parametrize("cut", [4, 200, -1])
def test_a_file_that_is_cut_short_is_one_line(source: Path, cut: int) -> None:
    data = (source / SINGLE).read_bytes()
    (source / SINGLE).write_bytes(data[:cut])
    with pytest.raises(ConfigError, match=r"model\.safetensors (is no safetensors file, or is cut short|has [\d,]+ b)"):
        stored_tensors(source)


def test_a_checkpoint_without_safetensors_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="save the model as safetensors first"):
        stored_tensors(tmp_path)


@pytest.mark.parametrize(
    ("index", "line"),
    [
        ({"weight_map": {"a": SINGLE, "z": SINGLE}}, "names z, which no file holds"),
        ({"weight_map": {"a": "gone.safetensors"}}, "gone.safetensors cannot be read: No such file"),
        ({}, "is no index of safetensors files"),
    ],
)
def test_an_index_that_does_not_fit_is_one_line(source: Path, index: dict[str, object], line: str) -> None:
    (source / INDEX).write_text(json.dumps(index))
    with pytest.raises(ConfigError, match=line):
        stored_tensors(source)
