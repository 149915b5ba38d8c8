import numpy as np
import pytest

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.pairing import matched, pair_key
from napari_cyclegan3d.engine.volume import Volume


def volumes(
    *names: str, shape: tuple[int, int, int] = (4, 4, 4), unit: str = "pixel"
) -> list[Volume]:
    return [Volume(np.zeros(shape), name=name, unit=unit) for name in names]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sub-01_ses-02_run-1_T1w", "sub-01_ses-02_run-1_T2w"),
        ("sub-01_T1w.nii.gz", "sub-01_T2w.nii"),
        ("sub-01_acq-mprage_T1w.nii.gz", "sub-01_acq-tse_T2w.nii.gz"),
        ("sub-01_T1w.nii.gz", "sub-01_FLAIR.nii.gz"),
        ("IMG_003_T1.png", "IMG_003_T2"),
        ("IMG__003_T1.png", "IMG_003_T2.png"),
        ("BraTS_0012_t1ce.nii.gz", "BraTS_0012_flair.nii.gz"),
        ("T700_0p8um.tif", "T700_0p4um.tif"),
        ("scans.h5::sub-01_T1w", "scans.h5::sub-01_T2w"),
        ("sub-01/anat/T1w.nii.gz", "sub-01/anat/T2w.nii.gz"),
        ("sub-01_T1w.nii[0:4,:,:]", "sub-01_T2w.nii[0:4,:,:]"),
    ],
)
def test_names_that_differ_in_the_contrast_have_the_same_key(
    one: str, other: str
) -> None:
    assert pair_key(one) == pair_key(other) != ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sub-01_T1w", "sub-02_T1w"),
        ("sub-01_ses-1_T1w", "sub-01_ses-2_T1w"),
        ("IMG_T10_T1", "IMG_T20_T2"),
        ("T700_x", "T800_x"),
        ("sub-T1_T1w", "sub-T2_T2w"),
        ("1.5", "1.6"),
        ("knee", "hand"),
    ],
)
def test_names_that_say_something_else_have_other_keys(one: str, other: str) -> None:
    assert pair_key(one) != pair_key(other)


def test_pairs_come_in_the_order_of_a_with_every_volume_once() -> None:
    a = volumes("sub-02_T1w", "sub-01_T1w", "sub-03_T1w")
    b = volumes("sub-01_T2w", "sub-03_T2w", "sub-02_T2w")
    assert matched(a, b) == [(0, 2), (1, 0), (2, 1)]


def test_the_one_word_that_names_a_domain_does_not_count() -> None:
    a = volumes("fast_07.tif", "fast_08.tif")
    b = volumes("slow_08.tif", "slow_07.tif")
    assert matched(a, b) == [(0, 1), (1, 0)]
    a = volumes("scan_fast_7", "scan_fast_8")
    assert matched(a, volumes("scan_slow_8", "scan_slow_7")) == [(0, 1), (1, 0)]
    assert matched(volumes("noisy.tif"), volumes("clean.tif")) == [(0, 0)]
    assert matched(volumes("knee_fast", "hand_fast"), volumes("hand", "knee")) == [
        (0, 1),
        (1, 0),
    ]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (["fast_07"], ["slow_08"]),
        (["fast_knee"], ["slow_hand"]),
        (["sub-ann_T1w"], ["sub-bob_T2w"]),
        (["knee_1", "hand_1"], ["knee_1", "foot_1"]),
    ],
)
def test_volumes_of_other_things_are_never_paired(a: list[str], b: list[str]) -> None:
    with pytest.raises(InputError, match=r"has the same name|B has no volume of"):
        matched(volumes(*a), volumes(*b))


def test_volumes_without_a_partner_are_all_named_on_either_side() -> None:
    a = volumes("sub-01_T1w", "sub-04_T1w", "sub-05_T1w")
    b = volumes("sub-01_T2w", "sub-06_T2w")
    with pytest.raises(
        InputError, match=r"^sub-04_T1w, sub-05_T1w of A: .*leave them out"
    ):
        matched(a, b)
    with pytest.raises(InputError, match=r"^sub-06_T2w of B: "):
        matched(a[:1], b)


def test_a_long_list_of_names_is_cut_short() -> None:
    a = volumes(*(f"sub-{n:02}_T1w" for n in range(9)))
    with pytest.raises(InputError, match="sub-05_T1w and 3 more of A") as refusal:
        matched(a, volumes("sub-00_T2w"))
    assert "sub-06" not in str(refusal.value)


def test_volumes_that_names_cannot_tell_apart_are_refused_by_both_names() -> None:
    a = volumes("sub-01_T1w", "sub-01_acq-high_T1w", "sub-02_T1w")
    b = volumes("sub-01_T2w", "sub-02_T2w")
    with pytest.raises(InputError, match=r"^sub-01_T1w, sub-01_acq-high_T1w of A and "):
        matched(a, b)
    with pytest.raises(InputError, match=r" and sub-01_T1w, sub-01_acq-high_T1w of B:"):
        matched(b, a)
    a, b = volumes("knee_7_T1", "knee_7_T1w", "x_T1"), volumes("knee_7_T2", "x_T2")
    with pytest.raises(InputError, match=r"^knee_7_T1, knee_7_T1w of A: "):
        matched(a, b)


@pytest.mark.parametrize(
    ("a", "b", "pairs"),
    [
        # one of each: how they were taken does not count, nor their number
        (["sub-01_run-1_T1w"], ["sub-01_acq-tse_run-2_T2w"], [(0, 0)]),
        (["sub-01_ses-1_UNIT1"], ["sub-01_ses-1_desc-x_T2map.nii"], [(0, 0)]),
        # several of each: by number
        (
            ["sub-01_run-2_T1w", "sub-02_T1w", "sub-01_run-1_T1w"],
            ["sub-01_run-1_UNIT1", "sub-01_run-2_UNIT1", "sub-02_UNIT1"],
            [(0, 1), (1, 2), (2, 0)],
        ),
        (
            ["sub-1_bold.nii::1", "sub-1_bold.nii::0"],
            ["sub-1_cbv.nii::0", "sub-1_cbv.nii::1"],
            [(0, 1), (1, 0)],
        ),
    ],
)
def test_images_of_one_subject_and_session_are_pairs(
    a: list[str], b: list[str], pairs: list[tuple[int, int]]
) -> None:
    assert matched(volumes(*a), volumes(*b)) == pairs


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (
            ["sub-1_run-1_T1w", "sub-1_run-2_T1w"],
            ["sub-1_run-1_T2w", "sub-1_run-3_T2w"],
        ),
        (["sub-1_bold.nii::0", "sub-1_bold.nii::1"], ["sub-1_cbv.nii"]),
    ],
)
def test_images_of_a_session_that_cannot_be_told_apart_are_refused(
    a: list[str], b: list[str]
) -> None:
    with pytest.raises(InputError, match=r"which of sub-1 are pairs cannot be told"):
        matched(volumes(*a), volumes(*b))


@pytest.mark.parametrize("scale", [1, 2])
def test_grids_that_do_not_fit_the_scale_are_refused_with_the_shape_needed(
    scale: int,
) -> None:
    side = 4 * scale
    a, b = volumes("x_T1"), volumes("x_T2", shape=(side, side, side))
    assert matched(a, b, scale) == [(0, 0)]
    b = volumes("x_T2", shape=(side, side, side + 1))
    needed = rf"^x_T1 and x_T2: .* needs \({side}, {side}, {side}\) for B; resample"
    with pytest.raises(InputError, match=needed):
        matched(a, b, scale)


def placed(name: str, affine: np.ndarray, unit: str = "millimeter") -> list[Volume]:
    return [Volume(np.zeros((8, 8, 8)), affine, unit, name=name)]


def moved(distance: float) -> np.ndarray:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[1, 3] = distance
    return affine


def test_voxels_that_lie_apart_in_the_world_are_refused() -> None:
    assert matched(placed("x_T1", moved(0)), placed("x_T2", moved(0.9))) == [(0, 0)]
    with pytest.raises(InputError, match=r"up to 1\.1 millimeter apart.*resample"):
        matched(placed("x_T1", moved(0)), placed("x_T2", moved(1.1)))
    turned = moved(0)[[0, 2, 1, 3]]
    with pytest.raises(InputError, match="apart in the world"):
        matched(placed("x_T1", moved(0)), placed("x_T2", turned))


@pytest.mark.parametrize("scale", [2, 4])
def test_the_same_grid_of_smaller_voxels_lies_at_the_same_place(scale: int) -> None:
    a = Volume(np.zeros((4, 4, 4)), moved(3.0), "millimeter", name="x_T1")
    b = a.resampled(np.zeros((4 * scale,) * 3), scale)
    assert matched([a], [b], scale) == [(0, 0)]


def test_places_count_only_where_both_volumes_state_the_same_unit() -> None:
    for one, other in [("pixel", "pixel"), ("pixel", "millimeter"), ("meter", "pixel")]:
        a, b = placed("x_T1", moved(0), one), placed("x_T2", moved(9), other)
        assert matched(a, b) == [(0, 0)]
