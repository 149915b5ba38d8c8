"""Volumes to validate on: named, listed in a dataset file, or a share of all."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.volume import Volume

Command = Callable[..., Any]
OPTIONS = ["--validation.every=2", "--validation.patches=1"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four volumes of each domain: a1.tif … a4.tif and b1.tif … b4.tif."""
    rng = np.random.default_rng(5)
    for name in (f"{domain}{n}.tif" for domain in "ab" for n in range(1, 5)):
        voxels = rng.normal(size=(22, 24, 26)).astype(np.float32)
        io.write(Volume(voxels), tmp_path / name)
    return tmp_path


@pytest.fixture
def train(command: Command, tiny: list[str], folder: Path) -> Command:
    def run(*options: object) -> Any:
        return command("train", "--run", folder / "run", *tiny, *OPTIONS, *options)

    return run


def trained_on(folder: Path) -> tuple[set[str], set[str]]:
    origin = load_model(folder / "run" / "model.safetensors").header.provenance
    return set(origin.volumes_a), set(origin.volumes_b)


def scored_steps(folder: Path) -> list[int]:
    table = folder / "run" / "validation.csv"
    if not table.exists():
        return []
    with table.open(newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def test_named_volumes_are_scored_and_shown_and_not_trained_on(
    train: Command, folder: Path
) -> None:
    outcome = train(
        *("--a", folder / "a1.tif", "--b", folder / "b1.tif"),
        *("--validate-a", folder / "a2.tif", "--validate-b", folder / "b2.tif"),
    )
    assert outcome.code == 0, outcome.err
    assert scored_steps(folder) == [2, 3]
    for step in (2, 3):
        assert f"step {step}: validation " in outcome.out
    assert trained_on(folder) == ({"a1.tif"}, {"b1.tif"})


def test_a_share_of_both_domains_is_set_aside_and_again_when_resumed(
    train: Command, folder: Path
) -> None:
    volumes = ["--a", *folder.glob("a?.tif"), "--b", *folder.glob("b?.tif")]
    outcome = train(*volumes, "--validate-share=0.25")
    assert outcome.code == 0, outcome.err
    a, b = trained_on(folder)
    assert (len(a), len(b)) == (3, 3)
    assert scored_steps(folder) == [2, 3]
    resumed = train(*volumes, "--validate-share=0.25", "--resume", "--steps=4")
    assert resumed.code == 0, resumed.err
    assert trained_on(folder) == (a, b)
    assert scored_steps(folder) == [2, 3, 4]


def test_a_dataset_file_names_its_own_volumes_to_validate_on(
    train: Command, folder: Path
) -> None:
    for domain in "ab":
        lists = {
            part: [{"path": f"{domain}{n}.tif"}]
            for part, n in (("train", 1), ("validate", 2))
        }
        (folder / f"{domain}.json").write_text(json.dumps(lists), encoding="utf-8")
    outcome = train("--a", folder / "a.json", "--b", folder / "b.json")
    assert outcome.code == 0, outcome.err
    assert trained_on(folder) == ({"a1.tif"}, {"b1.tif"})
    assert scored_steps(folder) == [2, 3]
    assert "warning" not in outcome.err


def test_a_dataset_file_without_such_a_list_is_trained_on_alone(
    train: Command, folder: Path
) -> None:
    for domain in "ab":
        lists = {"train": [{"path": f"{domain}1.tif"}]}
        (folder / f"{domain}.json").write_text(json.dumps(lists), encoding="utf-8")
    outcome = train("--a", folder / "a.json", "--b", folder / "b.json")
    assert outcome.code == 0, outcome.err
    assert scored_steps(folder) == []


def test_a_volume_that_is_trained_on_is_not_validated_on_and_the_user_is_told(
    train: Command, folder: Path
) -> None:
    outcome = train(
        *("--a", folder / "a1.tif", "--b", folder / "b1.tif"),
        *("--validate-a", folder / "a1.tif", folder / "a2.tif"),
        *("--validate-b", folder / "b2.tif"),
    )
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("warning: ") == 1
    assert "a1.tif" in outcome.err.split("warning: ")[1].splitlines()[0]
    assert scored_steps(folder) == [2, 3]


def test_nothing_is_validated_if_all_of_one_domain_is_trained_on(
    train: Command, folder: Path
) -> None:
    outcome = train(
        *("--a", folder / "a1.tif", "--b", folder / "b1.tif"),
        *("--validate-a", folder / "a2.tif", "--validate-b", folder / "b1.tif"),
    )
    assert outcome.code == 0, outcome.err
    assert "warning: no volume of domain B is left to validate on" in outcome.err
    assert scored_steps(folder) == []


def test_volumes_of_a_repeated_option_are_all_used(
    train: Command, folder: Path
) -> None:
    outcome = train(
        *("--a", folder / "a1.tif", "--a", folder / "a2.tif"),
        *("--b", folder / "b1.tif", "--b", folder / "b2.tif"),
        *("--validate-a", folder / "a1.tif", "--validate-a", folder / "a3.tif"),
        *("--validate-b", folder / "b3.tif"),
    )
    assert outcome.code == 0, outcome.err
    assert trained_on(folder) == ({"a1.tif", "a2.tif"}, {"b1.tif", "b2.tif"})
    assert outcome.err.count("warning: ") == 1  # of a1, which is trained on
    assert scored_steps(folder) == [2, 3]


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (["--validate-a={a}"], 1, "no volume of domain B"),
        (["--validate-a={a}", "--validate-share=0.5"], 2, "give one of them"),
        (["--validate-share=1.5"], 1, "share 1.5"),
        (["--validate-share=0.5"], 1, "cannot be split"),
        (["--validate-share=half"], 2, "invalid float value"),
    ],
)
def test_a_validation_that_cannot_be_is_refused_before_the_run_folder_is_made(
    options: list[str], code: int, reason: str, train: Command, folder: Path
) -> None:
    options = [option.format(a=folder / "a2.tif") for option in options]
    outcome = train("--a", folder / "a1.tif", "--b", folder / "b1.tif", *options)
    assert outcome.code == code
    assert reason in outcome.sentence
    assert not (folder / "run").exists()


def test_domain_a_may_be_missing_only_where_it_is_made_from_b(
    train: Command, folder: Path
) -> None:
    outcome = train("--b", folder / "b1.tif")
    assert outcome.code == 2
    assert "--a is missing" in outcome.sentence


def test_a_dataset_file_of_one_domain_alone_cannot_be_scored_and_says_so(
    train: Command, folder: Path
) -> None:
    entries = {
        "train": [{"path": "c1.h5", "dset": "data"}],
        "validate": [{"path": "c2.h5", "dset": "data"}],
    }
    for n in (1, 2):
        io.write(io.read(folder / f"a{n}.tif"), folder / f"c{n}.h5")
    (folder / "a.json").write_text(json.dumps(entries), encoding="utf-8")
    outcome = train("--a", folder / "a.json", "--b", folder / "b1.tif")
    assert outcome.code == 0, outcome.err
    assert "nothing of domain B is listed to validate on" in outcome.err
    assert "--validate-b" in outcome.err
    assert scored_steps(folder) == []
