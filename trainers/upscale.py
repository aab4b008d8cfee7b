"""Depth upscaling (§2): a model with more layers, made by doubling those that change their input least.

    python -m trainers.upscale trainers/configs/upscale_tiny.yaml [--dry-run]

Measures the saturation of the source's layers, plans which are doubled, and writes an ordinary Hugging Face checkpoint.
With `init: zero_out` it computes exactly what the source does until it is trained. Does not train: `trainers.distill`
goes on from the result.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from kat_data.errors import ConfigError
from trainers.architecture import CONFIG, deeper_config, layer_count, model_folder, origins, read_config
from trainers.config import Model
from trainers.duplication import Choice, Init, Plan, by_block, by_list, by_saturation
from trainers.forecast import expected_tensors, forecast, size
from trainers.launch import launch
from trainers.record import RECORD, Record, lines, weights_hash
from trainers.saturation import PLOT, REPORT, Calibration, Saturation, calibrate, check, read_saturation
from trainers.saturation_plot import plot
from trainers.shards import Entry, Tensor, packed, shard_files, stored_tensors, write_checkpoint
from trainers.unfinished import place_of, refuse_existing, unfinished

MODEL: Final = "model"
PLAN: Final = "plan.json"
_JSON: Final = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
_BY: Final = {Choice.SATURATED: by_saturation, Choice.BLOCK: by_block}
_COPIED: Final = (
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "additional_chat_templates/*",
    "generation_config.json",
    "LICENSE*",
    "NOTICE*",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upscale:
    """The configuration.

    The layers to double are chosen by `calibration`, by the `saturation` that was measured before (a file), or are
    `doubled` with `choice: listed`. `architecture` is a `config.json` by values: it serves a dry run where the model is
    not at hand.
    """

    model: Model
    output: Path
    target_layers: int
    init: Init = Init.ZERO_OUT
    choice: Choice = Choice.SATURATED
    doubled: tuple[int, ...] = ()
    calibration: Calibration | None = None
    saturation: Path | None = None
    shard_bytes: int = 5_000_000_000
    architecture: dict[str, Any] | None = None
    dry_run: bool = False


def train(config: Upscale) -> None:
    """Write the deeper model to `output/model`, or go on where a killed run stopped; the record stands beside it.

    A dry run prints the plan and its figures, and writes nothing. What is wrong with the configuration is told before
    anything is measured or written.
    """
    if config.dry_run:
        print("\n".join(rehearse(config)))  # noqa: T201
        return
    target = config.output / MODEL
    if not _was_cut_short(config.output):
        refuse_existing(target)
    source = model_folder(config.model)
    shape, tensors = read_config(config.model), stored_tensors(source)
    layers = layer_count(shape)
    known = _known_saturation(config)
    plan = _plan_in_size(config, layers, known)
    if config.calibration:
        check(config.model, config.calibration)
    _refuse_a_full_disk(target, forecast(tensors, deeper_shards(tensors, plan, config.shard_bytes)).bytes_to_write)

    record = Record(config.output, _identity(config, source))
    saturation = known or _measured(config)
    plan = chosen(config, layers, saturation)
    shards = deeper_shards(tensors, plan, config.shard_bytes)
    figures = forecast(tensors, shards)
    print("\n".join([*plan.lines(), *figures.lines()]))  # noqa: T201
    if not target.exists():
        _note(config.output, plan, saturation)
        with unfinished(target, record.hash) as folder:
            (folder / CONFIG).write_bytes(orjson.dumps(deeper_config(shape, plan), option=_JSON))
            _copy_companions(source, folder)
            _write(folder, shards, figures.bytes_to_write)
    record.checkpoint(0, target)
    record.finished(figures.to_json())


def rehearse(config: Upscale) -> Iterator[str]:
    """Yield what `train` would do; no weights are read, and where there are none the meta device serves."""
    shape, tensors = _rehearsed_source(config)
    layers = layer_count(shape)
    known = _known_saturation(config)
    plan = _plan_in_size(config, layers, known)
    if known or config.choice is Choice.LISTED:
        yield from plan.lines()
    else:
        yield f"{layers} -> {config.target_layers} layers, by saturation: a dry run does not measure it"
    figures = forecast(tensors, deeper_shards(tensors, plan, config.shard_bytes))
    yield from figures.lines()
    free = _free(config.output)
    yield f"free for {config.output}: {size(free)}" + (": not enough" if free < figures.bytes_to_write else "")


def chosen(config: Upscale, layers: int, saturation: Saturation | None) -> Plan:
    """Return the plan that the configuration asks for; raises `ConfigError` where it does not fit the model."""
    if config.choice is Choice.LISTED:
        plan = by_list(layers, config.doubled, config.init)
        if len(plan.sources) != config.target_layers:
            raise ConfigError(f"target_layers: {config.target_layers}: the list makes {len(plan.sources)} layers")
        return plan
    if saturation is None:
        raise ConfigError(f"choice: {config.choice}: give `calibration` texts, or a `saturation` report")
    if len(saturation.layers) != layers:
        raise ConfigError(f"the saturation report is of {len(saturation.layers)} layers, the model has {layers}")
    return _BY[config.choice](saturation.means, config.target_layers, config.init)


def _plan_in_size(config: Upscale, layers: int, known: Saturation | None) -> Plan:
    """Return the plan, or one of its size where saturation is not measured yet; raises what is wrong with it."""
    if (config.choice is Choice.LISTED) != bool(config.doubled):
        raise ConfigError("doubled: list the layers with `choice: listed`, and with no other choice")
    if config.saturation and config.calibration:
        raise ConfigError("saturation: it is measured already: leave `calibration` out, or `saturation`")
    if known is None and config.calibration and config.choice is not Choice.LISTED:
        return _BY[config.choice]([0.0] * layers, config.target_layers, config.init)
    return chosen(config, layers, known)


def deeper_shards(tensors: Mapping[str, Tensor], plan: Plan, most: int) -> list[tuple[Entry, ...]]:
    """Return what stands in each file of the deeper checkpoint, `most` bytes in each."""
    found = origins(tensors, plan)
    return packed((Entry(name=new, tensor=tensors[old], zeroed=zeroed) for new, old, zeroed in found), most)


def _known_saturation(config: Upscale) -> Saturation | None:
    """Return what was measured before: the report that is given, or that of this run until it was killed."""
    if config.saturation:
        return read_saturation(config.saturation)
    begun = (config.output / RECORD).is_file() and (config.output / REPORT).is_file()
    return read_saturation(config.output / REPORT) if begun else None


def _measured(config: Upscale) -> Saturation | None:
    """Measure now where there are texts to measure on, and keep the report for a run that is resumed."""
    if config.calibration is None:
        return None
    found = calibrate(config.model, config.calibration)
    report = config.output / REPORT
    written = report.with_suffix(".unfinished")
    written.write_bytes(found.to_json())
    written.rename(report)
    return found


def _rehearsed_source(config: Upscale) -> tuple[dict[str, Any], dict[str, Tensor]]:
    folder = Path(config.model.path)
    if not folder.is_dir() and config.architecture:
        return config.architecture, expected_tensors(config.architecture)
    shape = read_config(config.model)
    layer_count(shape)
    return shape, stored_tensors(folder) if folder.is_dir() else expected_tensors(shape)


def _identity(config: Upscale, source: Path) -> dict[str, Any]:
    """Return what makes two runs the same: the configuration and the source's weights, read once from end to end."""
    given = {name: value for name, value in asdict(config).items() if name != "dry_run"}
    return {
        "trainer": "upscale",
        "config": given,
        "snapshots": [],
        "base_model": config.model.path,
        "base_weights": weights_hash(shard_files(source)),
    }


def _was_cut_short(output: Path) -> bool:
    """Say whether a run began here and did not come to its end: its model may be whole already."""
    events = [line["event"] for line in lines(output / RECORD)]
    return bool(events) and events[-1] != "finished"


def _note(output: Path, plan: Plan, saturation: Saturation | None) -> None:
    (output / PLAN).write_bytes(orjson.dumps(plan.to_json(), option=_JSON))
    if saturation:
        (output / REPORT).write_bytes(saturation.to_json())
        (output / PLOT).write_bytes(plot(saturation, plan.doubled))


def _copy_companions(source: Path, folder: Path) -> None:
    """Copy the tokenizer's files, the generation's settings and the licence."""
    for path in (path for pattern in _COPIED for path in source.glob(pattern) if path.is_file()):
        copied = folder / path.relative_to(source)
        copied.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, copied)


def _write(folder: Path, shards: Sequence[Sequence[Entry]], total: int) -> None:
    from tqdm import tqdm

    with tqdm(total=total, desc="writing", unit="B", unit_scale=True) as bar:
        write_checkpoint(folder, shards, bar.update)


def _refuse_a_full_disk(target: Path, needed: int) -> None:
    there = sum(file.stat().st_size for file in place_of(target).glob("*.safetensors"))
    if not target.exists() and needed > there + (free := _free(target)):
        raise ConfigError(f"{target.parent}: {size(needed - there)} will be written, and {size(free)} are free")


def _free(folder: Path) -> int:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


if __name__ == "__main__":
    launch(train, Upscale, __doc__, dry_run="say what would be written, and write nothing")
