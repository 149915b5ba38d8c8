import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Volume

Command = Callable[..., object]
UPRIGHT = np.diag([2.0, 1.0, 1.5, 1.0])
SHAPE = (24, 26, 28)


def texture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=SHAPE)
    return (1000 + 900 * gaussian_filter(noise, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders fast/ and slow/ with two pairs in other orders, and mask/."""
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("fast", "slow", "mask"):
        (folder / name).mkdir()
    for number, subject in enumerate(("x1", "x2")):
        slow = texture(number)
        noise = np.random.default_rng(9).normal(0, 20 * (1 + number), SHAPE)
        inside = np.zeros(SHAPE, np.uint8)
        inside[3:20, 3:22, 4 : 20 + number] = 1
        for name, image in (
            ("fast", slow + noise),
            ("slow", slow),
            ("mask", inside),
        ):
            image = image.astype(np.uint8 if name == "mask" else np.float32)
            volume = Volume(image, UPRIGHT, "micrometer")
            io.write(volume, folder / name / f"{subject}_{name}.tif")
    return folder


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def scores(out: Path) -> dict[tuple[str, str], float]:
    return {
        (line["case"], line["model"]): float(line["psnr"])
        for line in lines(out / "cases.csv")
        if line["kind"] != "cycle"
    }


def test_volumes_are_matched_by_name_and_scored_with_every_checkpoint(
    command: Command, pairs: Path, run_1x: Path, tmp_path: Path
) -> None:
    best = tmp_path / "best"
    best.mkdir()
    for step in (2, 3):
        shutil.copy(run_1x / "model.safetensors", best / f"step_{step:08d}.safetensors")
    # the shell's order of the inputs is not that of the truths
    inputs = [pairs / "fast" / f"{one}_fast.tif" for one in ("x2", "x1")]
    result = command(
        "evaluate", "--input", *inputs, "--truth", pairs / "slow", "--model", best,
        "--out", tmp_path / "out", "--device=cpu",
    )  # fmt: skip
    assert result.code == 0, result.err
    found = scores(tmp_path / "out")
    models = ("identity", "step_00000002", "step_00000003")
    assert set(found) == {(f"{x}_slow.tif", m) for x in ("x1", "x2") for m in models}
    # the noise of the pairs is 20 and 40: swapped pairs would be no closer than 5 dB
    first, second = found["x1_slow.tif", "identity"], found["x2_slow.tif", "identity"]
    assert first - second == pytest.approx(6, abs=1)
    assert second > 25
    assert "best by SSIM: step_0000000" in result.out
    assert (tmp_path / "out" / "scores.svg").is_file()


def test_a_mask_per_volume_is_matched_and_only_its_voxels_are_compared(
    command: Command, pairs: Path, run_1x: Path, tmp_path: Path
) -> None:
    result = command(
        "evaluate", "--input", pairs / "fast", "--truth", pairs / "slow",
        "--mask", pairs / "mask", "--model", run_1x / "model.safetensors",
        "--out", tmp_path / "out", "--device=cpu",
    )  # fmt: skip
    assert result.code == 0, result.err
    voxels = {
        line["case"]: line["voxels"] for line in lines(tmp_path / "out/cases.csv")
    }
    inside = {x: 17 * 19 * (16 + n) for n, x in enumerate(("x1", "x2"))}
    assert voxels == {f"{x}_slow.tif": str(n) for x, n in inside.items()}


def test_by_order_pairs_what_names_do_not(
    command: Command, pairs: Path, run_1x: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for one, name in (("x1", "first"), ("x2", "second")):
        shutil.copy(pairs / "fast" / f"{one}_fast.tif", other / f"{name}.tif")
    arguments = [
        "evaluate", "--input", other, "--truth", pairs / "slow",
        "--model", run_1x / "model.safetensors", "--device=cpu",
        "--out", tmp_path / "out",
    ]  # fmt: skip
    refused = command(*arguments)
    assert refused.code == 1
    assert "--by-order" in refused.sentence
    assert not (tmp_path / "out").exists()
    assert command(*arguments, "--by-order").code == 0
    assert scores(tmp_path / "out")["x1_slow.tif", "identity"] > 25


def test_truths_alone_do_for_an_enlargement(
    command: Command, pairs: Path, run_2x: Path, tmp_path: Path
) -> None:
    result = command(
        "evaluate", "--degrade", "--truth", pairs / "slow", "--model", run_2x,
        "--out", tmp_path / "out", "--device=cpu", "--match-grey",
    )  # fmt: skip
    assert result.code == 0, result.err
    table = lines(tmp_path / "out" / "cases.csv")
    assert {line["model"] for line in table} == {"trilinear", "model"}
    assert {line["degraded"] for line in table} == {"True"}
    matched = {line["kind"]: line["grey_matched"] for line in table}
    assert matched["baseline"] == matched["translation"] == "True"


def test_models_of_one_file_name_are_told_apart(
    command: Command, pairs: Path, run_1x: Path, tmp_path: Path
) -> None:
    models = [tmp_path / name / "model.safetensors" for name in ("run_1", "run_2")]
    for model in models:
        model.parent.mkdir()
        shutil.copy(run_1x / "model.safetensors", model)
    result = command(
        "evaluate", "--input", pairs / "fast", "--truth", pairs / "slow",
        "--model", *models, models[0].parent,
        "--out", tmp_path / "out", "--device=cpu",
    )  # fmt: skip
    assert result.code == 0, result.err
    names = {model for _, model in scores(tmp_path / "out")}
    assert names == {"identity", "run_1/model", "run_2/model"}


def test_what_cannot_be_evaluated_is_refused_before_anything_is_written(
    command: Command, pairs: Path, run_1x: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    model, out = run_1x / "model.safetensors", tmp_path / "out"
    fast, slow = pairs / "fast", pairs / "slow"
    for arguments, message in (
        (["--input", fast, "--truth", slow, "--model", empty], "no .safetensors file"),
        (
            ["--input", fast / "x1_fast.tif", "--truth", slow, "--model", model],
            "--input: 1 volumes for 2 truths",
        ),
        (
            ["--input", fast, "--truth", slow, "--model", fast / "x1_fast.tif"],
            "not a safetensors file",
        ),
    ):
        result = command("evaluate", *arguments, "--out", out)
        assert result.code == 1
        assert message in result.sentence
        assert not out.exists()
    wrong = command("evaluate", "--truth", slow, "--model", model, "--out", out)
    assert wrong.code == 2
    assert "--input" in wrong.err


def test_an_option_that_is_repeated_adds_to_what_it_was_given_before(
    command: Command, pairs: Path, run_1x: Path, tmp_path: Path
) -> None:
    best = tmp_path / "one.safetensors"
    shutil.copy(run_1x / "model.safetensors", best)
    arguments = ["--model", run_1x / "model.safetensors", "--model", best]
    for subject in ("x1", "x2"):
        for option, kind in (("--input", "fast"), ("--truth", "slow")):
            arguments += [option, pairs / kind / f"{subject}_{kind}.tif"]
    result = command("evaluate", *arguments, "--out", tmp_path / "out", "--device=cpu")
    assert result.code == 0, result.err
    found = scores(tmp_path / "out")
    models = ("identity", "model", "one")
    assert set(found) == {(f"{x}_slow.tif", m) for x in ("x1", "x2") for m in models}
    # three steps of training cannot beat the input itself
    assert "no better than identity" in result.out


def test_an_earlier_evaluation_is_replaced_only_on_demand(
    command: Command, pairs: Path, run_1x: Path, tmp_path: Path
) -> None:
    arguments = [
        "evaluate", "--input", pairs / "fast" / "x1_fast.tif",
        "--truth", pairs / "slow" / "x1_slow.tif",
        "--model", run_1x / "model.safetensors",
        "--out", tmp_path / "out", "--device=cpu",
    ]  # fmt: skip
    assert command(*arguments).code == 0
    before = (tmp_path / "out" / "cases.csv").read_bytes()
    refused = command(*arguments)
    assert refused.code == 1
    assert "--overwrite" in refused.sentence
    assert (tmp_path / "out" / "cases.csv").read_bytes() == before
    assert command(*arguments, "--overwrite").code == 0
    assert (tmp_path / "out" / "cases.csv").read_bytes() == before
