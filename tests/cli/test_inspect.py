"""The `inspect` command: real volumes, a report, refusals before any work."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d import inspection, io
from napari_cyclegan3d.engine.hallucination.findings import HONESTY, Review
from napari_cyclegan3d.engine.volume import Volume

Command = Callable[..., Any]
MAIN = "import sys; from napari_cyclegan3d.cli import main; sys.exit(main())"
SHAPE = (36, 48, 48)
PLACE = np.diag([2.0, 2.0, 2.0, 1.0])
INVENTED = (slice(12, 18), slice(10, 16), slice(30, 36))


@pytest.fixture(scope="module")
def specimen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with truth.tif, raw.tif, and enhanced.tif, which has one ball more."""
    folder = tmp_path_factory.mktemp("specimen")
    rng = np.random.default_rng(11)
    truth = np.zeros(SHAPE, np.float32)
    for z, y, x in rng.integers(5, 31, (24, 3)):
        if abs(z - 15) + abs(y - 13) + abs(x - 33) > 16:
            truth[z - 2 : z + 3, y - 2 : y + 3, x - 2 : x + 12] = 100
    enhanced = gaussian_filter(truth, 0.5)
    enhanced[INVENTED] = 100
    raw = gaussian_filter(truth, 1.2) + rng.normal(0, 12, SHAPE)
    for name, image in (("truth", truth), ("raw", raw), ("enhanced", enhanced)):
        volume = Volume(image.astype(np.float32), PLACE, "micrometer", name=name)
        io.write(volume, folder / f"{name}.tif")
    return folder


@pytest.fixture
def arguments(specimen: Path, tmp_path: Path) -> list[object]:
    """The command on these volumes, without a model."""
    volumes = [specimen / "raw.tif", specimen / "enhanced.tif"]
    return ["inspect", *volumes, "--report", tmp_path / "report", "--mode=quick"]


def test_an_invented_structure_is_in_the_report_and_on_the_terminal(
    command: Command, arguments: list[object], tmp_path: Path
) -> None:
    outcome = command(*arguments)
    assert outcome.code == 0, outcome.err
    assert "0 passes of networks beyond the enhancement" in outcome.out
    assert HONESTY in outcome.out
    loaded = inspection.load(tmp_path / "report")
    assert loaded.labels is not None
    assert np.allclose(loaded.labels.affine, PLACE)
    contradicted = {
        one.id for one in loaded.inspection.findings if one.verdict == "contradicted"
    }
    assert contradicted & set(np.unique(loaded.labels.read(INVENTED)).tolist())
    first = loaded.inspection.findings[0]
    row = next(line for line in outcome.out.splitlines() if line.startswith("1 "))
    assert row.split()[1:3] == [first.verdict, first.kind]
    assert loaded.inspection.raw.name.startswith("raw")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "report.html", "inspection.json", "findings.csv", "suspects.zarr", "maps",
    }  # fmt: skip


def test_with_the_truth_the_inspection_is_judged_and_pictures_show_it(
    command: Command, arguments: list[object], specimen: Path, tmp_path: Path
) -> None:
    outcome = command(*arguments, "--truth", specimen / "truth.tif")
    assert outcome.code == 0, outcome.err
    loaded = inspection.load(tmp_path / "report")
    assert loaded.inspection.scores is not None
    assert "error" in loaded.maps
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "Judged by the truth" in page
    assert '<th scope="row">truth</th>' in page


def test_with_a_model_structures_are_tested_on_independent_noise(
    command: Command, run_1x: Path, scans: Path, tmp_path: Path
) -> None:
    model, out = run_1x / "model.safetensors", tmp_path / "out.tif"
    enhance = command("enhance", scans / "fast.tif", "--model", model, "-o", out)
    assert enhance.code == 0, enhance.err
    outcome = command(
        "inspect", scans / "fast.tif", out, "--model", model,
        "--report", tmp_path / "report", "--enhance.device=cpu",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    loaded = inspection.load(tmp_path / "report")
    found = loaded.inspection
    assert found.passes > 0
    assert f"{found.passes} passes of networks" in outcome.out
    assert found.model is not None
    assert {"instability", "cycle"} <= loaded.maps.keys()


def test_clean_volumes_of_domain_b_calibrate_it(
    command: Command, run_1x: Path, scans: Path, tmp_path: Path
) -> None:
    model, out = run_1x / "model.safetensors", tmp_path / "out.tif"
    assert command("enhance", scans / "fast.tif", "--model", model, "-o", out).code == 0
    outcome = command(
        "inspect", scans / "fast.tif", out, "--model", model, "--others", model,
        "--clean", scans / "slow.tif", "--report", tmp_path / "report",
        "--mode=thorough", "--enhance.device=cpu",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    found = inspection.load(tmp_path / "report").inspection
    assert found.calibration.rung == 2
    assert found.config.mode == "thorough"


def test_other_models_are_nothing_without_the_model(
    command: Command, arguments: list[object], run_1x: Path
) -> None:
    outcome = command(*arguments, "--others", run_1x / "model.safetensors")
    assert outcome.code == 1
    assert "give that, too" in outcome.sentence


def test_settings_reach_the_inspection(
    command: Command, arguments: list[object], tmp_path: Path
) -> None:
    region = "0:8,0:16,0:16"
    outcome = command(*arguments, f"--noise-region={region}", "--alpha=0.05")
    assert outcome.code == 0, outcome.err
    config = inspection.load(tmp_path / "report").inspection.config
    assert config.noise_region == ((0, 8), (0, 16), (0, 16))
    assert (config.mode, config.alpha) == ("quick", 0.05)


@pytest.mark.parametrize("region", ["0:8", "air", "0:8,0:8,0", "0:8,0:8,0:8:2"])
def test_a_noise_region_that_is_none_is_wrong_use(
    region: str, command: Command, arguments: list[object]
) -> None:
    outcome = command(*arguments, f"--noise-region={region}")
    assert outcome.code == 2
    assert "noise_region" in outcome.sentence


def test_a_report_and_its_decisions_are_not_replaced_by_accident(
    command: Command, arguments: list[object], tmp_path: Path, contents: Command
) -> None:
    assert command(*arguments).code == 0
    before = contents(tmp_path)
    refused = command(*arguments)
    assert (refused.code, refused.out) == (1, "")
    assert "--overwrite" in refused.sentence
    assert contents(tmp_path) == before
    assert command(*arguments, "--overwrite").code == 0
    first = inspection.load(tmp_path / "report").inspection.findings[0]
    decided = first.model_copy(update={"review": Review(decision="real")})
    inspection.update_reviews(tmp_path / "report", [decided])
    before = contents(tmp_path)
    refused = command(*arguments, "--overwrite")
    # before any work
    assert (refused.code, refused.out) == (1, "")
    assert "decisions of a reviewer about 1 finding," in refused.sentence
    assert contents(tmp_path) == before


def test_volumes_that_do_not_belong_together_get_one_sentence_and_no_report(
    command: Command, arguments: list[object], specimen: Path, tmp_path: Path
) -> None:
    part = f"{specimen / 'enhanced.tif'}[0:30,:,:]"
    flat = Volume(np.ones(SHAPE, np.float32), PLACE, "micrometer")
    io.write(flat, tmp_path / "flat.tif")
    for raw, enhanced in (
        (specimen / "raw.tif", part),
        (specimen / "raw.tif", tmp_path / "flat.tif"),
        (tmp_path / "flat.tif", specimen / "enhanced.tif"),
        (specimen / "nothing.tif", specimen / "enhanced.tif"),
    ):
        outcome = command("inspect", raw, enhanced, *arguments[3:])
        assert outcome.code == 1
        assert len(outcome.sentence.splitlines()) == 1
        assert not (tmp_path / "report").exists()


def test_a_stopped_inspection_writes_nothing(
    start: Callable[..., subprocess.Popen[str]],
    arguments: list[object],
    tmp_path: Path,
) -> None:
    running = start(MAIN, *arguments, "--tile=32")
    assert running.stdout is not None
    assert "passes of networks" in running.stdout.readline()
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=100)
    assert running.returncode == 1
    assert "stopped; nothing was written" in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())
