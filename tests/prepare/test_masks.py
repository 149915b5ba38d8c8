import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_cyclegan3d import prepare
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare import STEPS

# a program with the options and the files of HD-BET 2: brain is what is above 300
PROGRAM = """#!{python}
import sys, time
import nibabel as nib
import numpy as np
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert "--save_bet_mask" in sys.argv and given["-device"] == "cpu", sys.argv
time.sleep({seconds})
if {fails}:
    sys.exit("no weights in ~/hd-bet_params")
head = nib.load(given["-i"])
mask = (np.asarray(head.dataobj) > 300).astype(np.uint8)
name = given["-o"].replace(".nii.gz", "{ending}.nii.gz")
nib.save(nib.Nifti1Image(mask, head.affine), name)
"""


def program(folder: Path, **how: object) -> None:
    path = folder / "hd-bet"
    options = {"seconds": 0, "fails": False, "ending": "_bet", **how}
    path.write_text(PROGRAM.format(python=sys.executable, **options), encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that comes first."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def test_the_largest_bright_object_without_thin_bridges_and_holes() -> None:
    array = np.zeros((30, 60, 40), np.uint8)
    array[5:25, 5:35, 5:35] = 100
    array[12:15, 15:20, 15:20] = 0
    array[14, 35:40, 20] = 100
    array[10:20, 40:55, 10:30] = 120
    result = prepare.run(Volume(array), "brain-mask", method="otsu", opening=2)
    mask = result.read()
    assert result.dtype == np.uint8
    assert mask[13, 17, 17] == 1
    assert mask[10:20, 42:55, 10:30].sum() == 0
    assert abs(int(mask.sum()) - 20 * 30 * 30) < 0.05 * 20 * 30 * 30


def test_the_built_in_mask_says_what_it_is(ball: Volume) -> None:
    result = prepare.run(ball, "brain-mask", method="otsu")
    remark = result.metadata["prepared"][-1].remarks[0]
    assert "the largest object above" in remark
    assert "not a brain extraction" in remark
    bright = ball.read() > 300
    overlap = (bright & (result.read() == 1)).sum()
    assert overlap / bright.sum() > 0.95


@pytest.mark.skipif(sys.platform == "win32", reason="programs are shell scripts here")
@pytest.mark.parametrize("ending", ["_bet", "_mask", ""])
def test_hd_bet_is_used_where_it_is_installed(
    ball: Volume, path: Path, ending: str
) -> None:
    program(path, ending=ending)
    result = prepare.run(ball, "brain-mask", device="cpu")
    np.testing.assert_array_equal(result.read(), ball.read() > 300)
    assert result.metadata["prepared"][-1].remarks == ()


@pytest.mark.skipif(sys.platform == "win32", reason="programs are shell scripts here")
def test_what_hd_bet_says_last_is_told_when_it_fails(ball: Volume, path: Path) -> None:
    program(path, fails=True)
    with pytest.raises(InputError, match=r"code 1 \(no weights in ~/hd-bet_params\)"):
        prepare.run(ball, "brain-mask", device="cpu")


@pytest.mark.skipif(sys.platform == "win32", reason="programs are shell scripts here")
def test_hd_bet_ends_with_its_step(ball: Volume, path: Path) -> None:
    program(path, seconds=60)
    settings = STEPS["brain-mask"].settings(device="cpu")
    events = prepare.prepared(ball, "brain-mask", settings)
    next(events)
    start = time.monotonic()
    next(events)
    events.close()
    assert time.monotonic() - start < 10


def test_without_hd_bet_it_cannot_be_asked_for(
    ball: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="there is no program hd-bet; install it"):
        prepare.run(ball, "brain-mask", method="hd-bet")
    assert prepare.run(ball, "brain-mask").read().any()


def test_a_mask_leaves_what_it_covers_on_any_grid(ball: Volume) -> None:
    mask = prepare.run(ball, "brain-mask", method="otsu")
    kept = prepare.run(ball, "mask", mask, outside=-1)
    inside = mask.read() == 1
    np.testing.assert_array_equal(kept.read()[inside], ball.read()[inside])
    assert (kept.read()[~inside] == -1).all()
    turned = prepare.run(ball, "mask", mask, outside=-1, inverted=True)
    np.testing.assert_array_equal(turned.read() == -1, inside)
    fine = prepare.run(mask, "resample", spacing=(0.5,) * 3, interpolation="nearest")
    same = prepare.run(ball, "mask", fine, outside=-1).read()
    assert (same == kept.read()).mean() > 0.99


def test_masks_that_do_not_belong_are_refused(ball: Volume) -> None:
    away = ball.affine.copy()
    away[0, 3] += 1e4
    mask = Volume(np.ones(ball.shape, np.uint8), away, "millimeter", name="other")
    with pytest.raises(InputError, match="other: does not overlap with ball"):
        prepare.run(ball, "mask", mask)
    with pytest.raises(InputError, match="thicker than the opening"):
        prepare.run(ball, "brain-mask", method="otsu", opening=20)
