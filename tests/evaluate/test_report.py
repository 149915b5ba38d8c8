import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.evaluate import (
    Case,
    CaseDone,
    EvaluateConfig,
    EvaluateDone,
    Kind,
    Row,
    Scores,
    evaluate,
)
from napari_cyclegan3d.evaluate.report import Report, best_model, summarised

Texture = NDArray[np.float32]


def row(
    model: str, case: str, psnr: float, ssim: float, kind: Kind = "translation"
) -> Row:
    scores = Scores(psnr, ssim, 0.1, 2.0, 3.0)
    return Row(case, model, kind, scores, 50.0, "micrometer", 99, False, False)


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def written(
    tmp_path: Path,
    texture: Texture,
    model: Callable[..., Model],
    config: EvaluateConfig,
) -> Path:
    """The report of two cases and two models."""
    report = Report(tmp_path / "report")
    cases = [
        Case(name, Volume(texture), Volume(texture + add))
        for name, add in (("sub-01", 5), ("../sub 02", 9))
    ]
    models = [model("one"), model("two", gain=0.7, back_gain=None)]
    for event in evaluate(cases, models, config):
        match event:
            case CaseDone():
                report.add(event)
            case EvaluateDone():
                report.finish(event.rows)
    return tmp_path / "report"


def test_mean_and_deviation_are_taken_over_the_cases_of_each_model() -> None:
    rows = [
        row("trilinear", "1", 20, 0.5, "baseline"),
        row("m", "1", 30, 0.9),
        row("m", "1", 50, 1.0, "cycle"),
        row("trilinear", "2", 22, 0.7, "baseline"),
        row("m", "2", 34, 0.7),
        row("m", "2", 50, 1.0, "cycle"),
    ]
    baseline, translation, cycle = summarised(rows)
    assert (baseline.model, baseline.kind) == ("trilinear", "baseline")
    assert (translation.model, translation.kind) == ("m", "translation")
    assert (cycle.model, cycle.kind) == ("m", "cycle")
    assert translation.cases == 2
    assert translation.mean["psnr"] == 32
    assert translation.deviation["psnr"] == 2
    assert translation.mean["ssim"] == pytest.approx(0.8)
    assert translation.deviation["ssim"] == pytest.approx(0.1)
    assert baseline.mean["psnr"] == 21
    assert cycle.deviation["psnr"] == 0


def test_scores_without_limit_have_a_mean_but_no_deviation() -> None:
    (one,) = summarised([row("m", "1", math.inf, 1), row("m", "2", 30, 1)])
    assert one.mean["psnr"] == math.inf
    assert math.isnan(one.deviation["psnr"])


def test_the_best_model_has_the_highest_ssim_of_all_translations() -> None:
    rows = [
        row("identity", "1", 99, 0.99, "baseline"),
        row("early", "1", 40, 0.7),
        row("broken", "1", math.nan, math.nan),
        row("late", "1", 20, 0.8),
        row("early", "1", 60, 1.0, "cycle"),
    ]
    best = best_model(summarised(rows))
    assert best is not None
    assert best.model == "late"


def test_tables_have_a_line_per_case_and_model_and_all_that_scores_depend_on(
    written: Path, texture: Texture
) -> None:
    table = lines(written / "cases.csv")
    assert [(line["case"], line["model"], line["kind"]) for line in table] == [
        (case, model, kind)
        for case in ("sub-01", "../sub 02")
        for model, kind in (
            ("identity", "baseline"),
            ("one", "translation"),
            ("one", "cycle"),
            ("two", "translation"),
        )
    ]
    low, high = np.percentile(texture, (0.1, 99.9))
    assert float(table[0]["data_range"]) == pytest.approx(high - low)
    expected = 20 * math.log10((high - low) / 5)
    assert float(table[0]["psnr"]) == pytest.approx(expected, abs=1e-3)
    assert table[0]["grey_matched"] == table[0]["degraded"] == "False"
    assert table[0]["voxels"] == str(texture.size)
    summary = {
        (line["model"], line["kind"]): line for line in lines(written / "summary.csv")
    }
    first, second = (float(line["psnr"]) for line in table if line["model"] == "two")
    of_two = summary["two", "translation"]
    assert float(of_two["psnr_mean"]) == pytest.approx((first + second) / 2)
    assert float(of_two["psnr_deviation"]) == pytest.approx(abs(first - second) / 2)
    assert of_two["cases"] == "2"


def test_all_files_lie_in_the_folder_whatever_a_case_is_called(written: Path) -> None:
    found = {str(p.relative_to(written)) for p in written.rglob("*") if p.is_file()}
    assert found == {
        "cases.csv",
        "summary.csv",
        "scores.png",
        "scores.svg",
        *(
            f"{place}{name}{suffix}"
            for place, suffix in (
                ("pictures/", ".png"),
                ("fsc/", ".png"),
                ("fsc/", ".svg"),
            )
            for name in ("1_sub-01", "2_sub_02")
        ),
    }
    assert [path.name for path in written.parent.iterdir()] == ["report"]


def test_a_picture_shows_baseline_and_each_model_beside_truth_and_difference(
    written: Path,
) -> None:
    with Image.open(written / "pictures" / "1_sub-01.png") as picture:
        width, height = picture.size
    assert width > 3 * 200  # image, truth, difference
    assert height > 3 * 200  # identity, one, two
    # models without an error have a black difference; "two" has one
    pixels = np.asarray(Image.open(written / "pictures" / "1_sub-01.png"))
    column = pixels[:, -width // 4 : -width // 8].astype(int)
    first, second, third = (part.mean() for part in np.array_split(column, 3))
    assert first == pytest.approx(second, abs=3)
    assert third > 2 * first


def test_a_folder_that_holds_something_is_refused_and_left_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="another folder"):
            Report(tmp_path, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(InputError, match=r"mine\.txt: is a file"):
        Report(tmp_path / "mine.txt")


def test_a_report_that_was_never_filled_does_not_block_its_folder(
    tmp_path: Path,
) -> None:
    for _ in range(2):
        Report(tmp_path / "report")
    (tmp_path / "report" / "pictures" / "1_one.png").write_bytes(b"mine")
    with pytest.raises(InputError, match="is not empty"):
        Report(tmp_path / "report")


def test_an_earlier_report_is_replaced_only_on_demand(written: Path) -> None:
    with pytest.raises(InputError, match="--overwrite"):
        Report(written)
    assert (written / "cases.csv").is_file()
    Report(written, overwrite=True)
    assert not [path for path in written.rglob("*") if path.is_file()]


def test_what_a_report_links_to_is_never_removed(written: Path, tmp_path: Path) -> None:
    treasure = tmp_path / "elsewhere" / "treasure.txt"
    treasure.parent.mkdir()
    treasure.write_text("keep", encoding="utf-8")
    (written / "pictures").rename(tmp_path / "moved")
    (written / "pictures").symlink_to(treasure.parent)
    Report(written, overwrite=True)
    assert treasure.read_text(encoding="utf-8") == "keep"
