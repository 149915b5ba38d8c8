import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.io.plots import Bar, draw_bars, draw_correlations

BARS = [
    Bar("trilinear", 20.0, 1.0, True),
    Bar("step_100", 31.5, 2.0, False),
    Bar("perfect", math.inf, math.nan, False),
]


def inks(path: Path, colour: tuple[int, int, int]) -> int:
    """Pixels of this colour."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    return int((pixels == colour).all(-1).sum())


def test_bars_and_curves_are_written_as_png_and_svg(tmp_path: Path) -> None:
    frequency = np.linspace(0.05, 0.5, 10)
    draw_bars({"PSNR": BARS, "SSIM": BARS[:2]}, "title", tmp_path / "v1.5_bars")
    draw_correlations(
        {"m": (frequency, 1 - frequency)}, (0.5,), "pixel", "t", tmp_path / "fsc"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fsc.png",
        "fsc.svg",
        "v1.5_bars.png",
        "v1.5_bars.svg",
    ]
    for stem in ("fsc", "v1.5_bars"):
        assert ElementTree.parse(tmp_path / f"{stem}.svg").getroot().tag.endswith("svg")


def test_baseline_and_models_have_bars_of_two_colours(tmp_path: Path) -> None:
    grey, blue = (0x99, 0x99, 0x99), (0x1B, 0x6C, 0xA8)
    draw_bars({"PSNR": BARS[:1]}, "", tmp_path / "baseline")
    draw_bars({"PSNR": BARS[1:2]}, "", tmp_path / "model")
    assert inks(tmp_path / "baseline.png", grey) > 1000
    assert inks(tmp_path / "baseline.png", blue) < 20  # but for letters
    assert inks(tmp_path / "model.png", blue) > 1000
    assert inks(tmp_path / "model.png", grey) < 20


def test_a_score_without_limit_has_its_name_but_no_bar(tmp_path: Path) -> None:
    draw_bars({"PSNR": BARS[2:]}, "", tmp_path / "endless")
    assert inks(tmp_path / "endless.png", (0x1B, 0x6C, 0xA8)) == 0


def test_long_names_leave_room_for_the_bars(tmp_path: Path) -> None:
    bars = [Bar(f"{200 * 'x'}_{n}", 30.0, 1.0, False) for n in range(30)]
    draw_bars({"PSNR": bars, "SSIM": bars}, "", tmp_path / "long")
    assert inks(tmp_path / "long.png", (0x1B, 0x6C, 0xA8)) > 10000
    # the ends of names, by which checkpoints differ, are there
    drawn = (tmp_path / "long.svg").read_text(encoding="utf-8")
    assert "x_29 " in drawn


def test_a_chart_that_cannot_be_written_is_refused_in_a_sentence(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match="does not exist"):
        draw_bars({"PSNR": BARS}, "", tmp_path / "missing" / "bars")
