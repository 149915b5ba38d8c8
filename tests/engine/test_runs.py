from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.runs import RunFolder

ConfigMaker = Callable[..., TrainConfig]


def opened(path: Path, config: TrainConfig, steps_done: int = 0) -> RunFolder:
    folder = RunFolder(path)
    folder.open(config, steps_done)
    return folder


def with_state(path: Path, config: TrainConfig, step: int = 5) -> RunFolder:
    folder = opened(path, config)
    folder.save_state({"gan": torch.zeros(2)}, step, keep=3)
    folder.close()
    return folder


def lines(folder: RunFolder) -> list[str]:
    return (folder.path / "metrics.csv").read_text(encoding="utf-8").splitlines()


def test_nothing_is_made_before_a_folder_is_opened(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.check_new()
    assert folder.states() == []
    assert list(tmp_path.iterdir()) == []


def test_an_opened_folder_holds_the_settings(tmp_path: Path, tiny: ConfigMaker) -> None:
    folder = opened(tmp_path / "new" / "run", tiny(seed=9))
    folder.close()
    assert folder.config() == tiny(seed=9)
    assert folder.previews.is_dir()


def test_metrics_have_one_line_of_names_and_one_a_step(
    tmp_path: Path, tiny: ConfigMaker
) -> None:
    folder = opened(tmp_path, tiny())
    folder.add_metrics(1, {"cycle_a": 0.123456789, "cycle_b": 2.0})
    folder.add_metrics(2, {"cycle_a": 1e-9, "cycle_b": 3.0})
    folder.close()
    assert lines(folder) == ["step,cycle_a,cycle_b", "1,0.123457,2", "2,1e-09,3"]


def test_a_folder_that_is_opened_again_goes_on_with_its_metrics(
    tmp_path: Path, tiny: ConfigMaker
) -> None:
    folder = opened(tmp_path, tiny())
    for step in range(1, 12):
        folder.add_metrics(step, {"cycle_a": step})
    folder.close()
    folder.open(tiny(), 9)
    folder.add_metrics(10, {"cycle_a": 77})
    folder.close()
    assert lines(folder) == [
        "step,cycle_a",
        *(f"{step},{step}" for step in range(1, 10)),
        "10,77",
    ]


@pytest.mark.parametrize("rest", ["1", "12,0.", "9,0.5"])
def test_a_line_of_metrics_that_was_cut_off_is_dropped(
    tmp_path: Path, tiny: ConfigMaker, rest: str
) -> None:
    metrics = tmp_path / "metrics.csv"
    metrics.write_text("step,cycle_a\n1,0.5\n2,0.4\n" + rest, encoding="utf-8")
    folder = opened(tmp_path, tiny(), steps_done=10)
    folder.add_metrics(11, {"cycle_a": 0.3})
    folder.close()
    assert lines(folder) == ["step,cycle_a", "1,0.5", "2,0.4", "11,0.3"]


@pytest.mark.parametrize("text", ["step;cycle_a\n1;0,5\n", "step,a\n\n1,2\n"])
def test_metrics_that_another_program_changed_are_refused_and_kept(
    tmp_path: Path, tiny: ConfigMaker, text: str
) -> None:
    metrics = tmp_path / "metrics.csv"
    metrics.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"metrics\.csv: was changed"):
        RunFolder(tmp_path).open(tiny(), 1)
    assert metrics.read_text(encoding="utf-8") == text


def test_states_are_listed_oldest_first_and_strangers_are_ignored(
    tmp_path: Path, tiny: ConfigMaker
) -> None:
    folder = opened(tmp_path, tiny())
    for step in (900, 1000, 20):
        folder.save_state({}, step, keep=10)
    (tmp_path / "checkpoints" / "state_best.pt").write_bytes(b"mine")
    (tmp_path / "checkpoints" / ".state_00000030.pt.part").write_bytes(b"half")
    names = [path.name for path in folder.states()]
    assert names == [f"state_{step:08d}.pt" for step in (20, 900, 1000)]


def test_only_the_newest_states_are_kept(tmp_path: Path, tiny: ConfigMaker) -> None:
    folder = opened(tmp_path, tiny())
    for step in range(1, 6):
        folder.save_state({"step": step}, step, keep=2)
    assert [path.name for path in folder.states()] == [
        "state_00000004.pt",
        "state_00000005.pt",
    ]


def test_metrics_are_on_disk_when_a_state_is_saved(
    tmp_path: Path, tiny: ConfigMaker
) -> None:
    folder = opened(tmp_path, tiny())
    folder.add_metrics(1, {"cycle_a": 0.5})
    folder.save_state({}, 1, keep=1)
    assert lines(folder) == ["step,cycle_a", "1,0.5"]


def test_the_newest_state_is_given_back(tmp_path: Path, tiny: ConfigMaker) -> None:
    folder = with_state(tmp_path, tiny())
    folder.save_state({"step": 7}, 7, keep=3)
    assert folder.last_state(tiny()) == {"step": 7}


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": 2},
        {"seed": 1},
        {"precision": "bf16"},
        {"generator": {"filters": 4}},
        {"optim": {"lr_generator": 1e-3}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_run_is_not_continued_with_other_settings(
    tmp_path: Path, tiny: ConfigMaker, changes: dict[str, object]
) -> None:
    folder = with_state(tmp_path, tiny())
    (key,) = changes
    with pytest.raises(InputError, match=f"was trained with {key} = .*, not "):
        folder.last_state(tiny(**changes))


def test_length_device_and_saving_may_change_when_a_run_is_continued(
    tmp_path: Path, tiny: ConfigMaker
) -> None:
    folder = with_state(tmp_path, tiny())
    changed = tiny(steps=99, device="auto", preview_every=3, checkpoint_every=7, keep=9)
    assert "gan" in folder.last_state(changed)


def test_a_folder_without_a_state_is_not_continued(
    tmp_path: Path, tiny: ConfigMaker
) -> None:
    with pytest.raises(InputError, match="holds no saved state to continue"):
        RunFolder(tmp_path).last_state(tiny())


def test_a_folder_whose_settings_are_missing_is_not_continued(
    tmp_path: Path, tiny: ConfigMaker
) -> None:
    folder = with_state(tmp_path, tiny())
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(InputError, match="holds no training"):
        folder.last_state(tiny())


@pytest.mark.parametrize(
    "name", ["checkpoints/state_00000005.pt", "model.safetensors", "metrics.csv"]
)
def test_a_folder_that_holds_a_training_is_not_used_for_another(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"precious")
    with pytest.raises(InputError, match="give another folder"):
        RunFolder(tmp_path).check_new()
    assert path.read_bytes() == b"precious"


def test_a_training_that_was_stopped_before_its_first_step_can_be_started_again(
    tmp_path: Path, tiny: ConfigMaker
) -> None:
    opened(tmp_path, tiny()).close()
    RunFolder(tmp_path).check_new()


def test_a_file_in_the_place_of_the_folder_is_refused(
    tmp_path: Path, tiny: ConfigMaker
) -> None:
    path = tmp_path / "run"
    path.write_bytes(b"mine")
    with pytest.raises(InputError, match="run: cannot be made"):
        opened(path, tiny())
    assert path.read_bytes() == b"mine"


def test_the_log_grows_line_by_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.log("first µm")
    folder.log("second")
    assert (tmp_path / "log.txt").read_text(encoding="utf-8") == "first µm\nsecond\n"
