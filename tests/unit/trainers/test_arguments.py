from pathlib import Path

from trainers.arguments import CHECKPOINTS, last_checkpoint


def test_a_checkpoint_that_a_kill_cut_off_is_passed_over(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    for step, state in ((2, '{"global_step": 2}'), (10, '{"global_step": 10}'), (12, '{"glob'), (14, "")):
        folder = tmp_path / CHECKPOINTS / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text(state, encoding="utf-8")
    (tmp_path / CHECKPOINTS / "checkpoint-16").mkdir()
    assert last_checkpoint(tmp_path) == str(tmp_path / CHECKPOINTS / "checkpoint-10")
