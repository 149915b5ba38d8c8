"""Trainings whose volumes are named by `bids:` texts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.origins import read_sources

Command = Callable[..., Any]
PAIRS = ("--sampling.pairs=true", "--loss.paired=1")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Four subjects with both contrasts, and sub-05 without T2w."""
    rng, root = np.random.default_rng(5), tmp_path / "ds"
    for number in range(1, 6):
        folder = root / f"sub-{number:02}" / "anat"
        folder.mkdir(parents=True)
        for suffix in ("T1w", "T2w")[: 1 + (number < 5)]:
            voxels = rng.normal(size=(22, 24, 26)).astype(np.float32)
            path = folder / f"sub-{number:02}_{suffix}.nii.gz"
            io.write(Volume(voxels, unit="millimeter"), path)
    return root


def both(dataset: Path, more: str = "") -> tuple[str, ...]:
    start = f"bids:{dataset}?suffix="
    return "--a", f"{start}T1w{more}", "--b", f"{start}T2w{more}"


def names(*numbers: int, suffix: str) -> list[str]:
    return [f"sub-{number:02}_{suffix}.nii.gz" for number in numbers]


def test_a_paired_training_on_some_subjects_scores_on_others_and_goes_on(
    command: Command, tiny: list[str], dataset: Path, tmp_path: Path
) -> None:
    volumes = (
        *both(dataset, "&subject=01,02"),
        *("--validate-a", f"bids:{dataset}?suffix=T1w&subject=03"),
        *("--validate-b", f"bids:{dataset}?suffix=T2w&subject=03"),
        *("--validation.every=2", "--validation.patches=1"),
    )
    run = tmp_path / "run"
    outcome = command("train", *volumes, "--run", run, *tiny, *PAIRS)
    assert outcome.code == 0, outcome.err
    assert (run / "validation.csv").exists()
    origin = load_model(run / "model.safetensors").header.provenance
    assert list(origin.volumes_a) == names(1, 2, suffix="T1w")
    assert list(origin.volumes_b) == names(1, 2, suffix="T2w")
    told = read_sources(run)
    anat = dataset / "sub-03" / "anat"
    assert told["validate_b"] == [str(anat / "sub-03_T2w.nii.gz")]
    again = command("train", *volumes, "--run", run, "--resume", "--steps=4")
    assert again.code == 0, again.err


def test_a_share_holds_whole_subjects_out_in_both_domains(
    command: Command, tiny: list[str], dataset: Path, tmp_path: Path
) -> None:
    outcome = command(
        "train",
        *both(dataset, "&with=T2w"),
        *("--validate-share=0.3", "--run", tmp_path / "run", *tiny, *PAIRS),
        *("--validation.every=2", "--validation.patches=1"),
    )
    assert outcome.code == 0, outcome.err
    told = read_sources(tmp_path / "run")
    seen, held_out = (
        {Path(text or "").name[:6] for key in keys for text in told[key]}
        for keys in (("a", "b"), ("validate_a", "validate_b"))
    )
    assert (len(seen), len(held_out)) == (3, 1)
    assert not seen & held_out


def test_a_subject_without_its_partner_is_named_before_anything_is_made(
    command: Command, tiny: list[str], dataset: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    outcome = command("train", *both(dataset), "--run", run, *tiny, *PAIRS)
    assert outcome.code == 1
    assert outcome.sentence == (
        "sub-05_T1w.nii.gz of A: B has no volume of sub-05; leave them out, in a bids: "
        "text with &with=T2w"
    )
    assert not run.exists()
