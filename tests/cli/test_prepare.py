import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d import io, prepare
from napari_cyclegan3d.engine.pairing import matched
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.domains import open_domain
from napari_cyclegan3d.io.frames import Series
from napari_cyclegan3d.io.series import read_series, write_series

Command = Callable[..., Any]
SHAPE = (24, 30, 28)
OBLIQUE = np.array(
    [
        [2.0, 0.3, 0.0, -30.0],
        [-0.45, 1.2, 0.2, 12.0],
        [0.1, -0.2, 1.4, 7.5],
        [0, 0, 0, 1],
    ]
)
# beside the checkout, not in it
SCANS = Path(__file__).parents[2].parent / "shared" / "data" / "odd_nifti"
T1, T2 = (SCANS / f"openms_raw_p12_study1_T{one}W.nii.gz" for one in (1, 2))


def head(seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    z, y, x = (np.linspace(-1, 1, size) for size in SHAPE)
    inside = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 < 0.6
    texture = gaussian_filter(random.normal(size=SHAPE), 1.5)
    return (inside * (900 + 900 * texture) + 30 * random.random(SHAPE)).astype("u2")


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """A folder with T1 and T2 of three subjects, and masks/ of them."""
    folder = tmp_path / "heads"
    (folder / "masks").mkdir(parents=True)
    for number in range(3):
        grey = head(number)
        t1 = Volume(grey, OBLIQUE, "millimeter")
        t2 = Volume(2000 - grey.astype("i2"), OBLIQUE, "millimeter")
        mask = Volume((grey > 300).astype("u1"), OBLIQUE, "millimeter")
        io.write(t1, folder / f"sub-{number}_T1w.nii.gz")
        io.write(t2, folder / f"sub-{number}_T2w.nii.gz")
        io.write(mask, folder / "masks" / f"sub-{number}_mask.nii.gz")
    return folder


def test_every_step_is_a_command_with_all_its_settings(command: Command) -> None:
    listed = command("prepare", "--help")
    assert listed.code == 0
    for name, step in prepare.STEPS.items():
        assert f"    {name}" in listed.out
        shown = command("prepare", name, "--help")
        assert shown.code == 0
        for field in step.settings.model_fields:
            assert f"--{field} " in shown.out
    for name in ("pair", "split", "openneuro"):
        assert f"    {name}" in listed.out
        assert command("prepare", name, "--help").code == 0


def test_one_volume_goes_to_one_file_and_the_history_grows(
    command: Command, heads: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "one.nii.gz", tmp_path / "two.tif"
    source = heads / "sub-0_T1w.nii.gz"
    result = command("prepare", "crop", source, "-o", first, "--margin=2")
    assert result.code == 0
    assert f"{first}: (" in result.out
    assert command("prepare", "resample", first, "-o", second).code == 0
    volume = prepare.opened(str(second))
    steps = [record.step for record in volume.metadata["prepared"]]
    assert steps == ["crop", "resample"]
    assert volume.metadata["prepared"][0].source.name == "sub-0_T1w.nii.gz"
    back = tmp_path / "back.nii.gz"
    assert command("prepare", "undo", second, "-o", back, "--back", 2).code == 0
    np.testing.assert_allclose(io.read(back).affine, io.read(source).affine, atol=1e-5)
    assert io.read(back).shape == SHAPE


def test_several_volumes_go_to_a_folder_each_with_its_partner(
    command: Command, heads: Path, tmp_path: Path
) -> None:
    out = tmp_path / "masked"
    result = command(
        "prepare", "mask", heads / "*_T1w.nii.gz", "-o", out,
        "--mask", heads / "masks",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert len(list(out.glob("*.prepared.json"))) == 3
    for number in range(3):
        name = f"sub-{number}_T1w.nii.gz"
        grey = io.read(heads / name).read()
        wanted = np.where(grey > 300, grey, 0)
        np.testing.assert_array_equal(io.read(out / name).read(), wanted)
        record = prepare.opened(str(out / name)).metadata["prepared"][0]
        assert record.partner.name == f"sub-{number}_mask.nii.gz"
    # the folder is a domain: the records in it are no volumes
    assert len(open_domain([str(out)])) == 3


def test_settings_come_from_a_file_and_from_options(
    command: Command, heads: Path, tmp_path: Path
) -> None:
    config = tmp_path / "pad.yaml"
    config.write_text("margin: [4, 4, 4]\nmultiple: 1\n", encoding="utf-8")
    out = tmp_path / "out.tif"
    result = command(
        "prepare", "pad", heads / "sub-0_T1w.nii.gz", "-o", out,
        "--config", config, "--multiple=8",
    )  # fmt: skip
    assert result.code == 0
    assert io.read(out).shape == (32, 40, 40)


def test_warnings_are_printed_and_kept(
    command: Command, heads: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mask.nii.gz"
    source = heads / "sub-0_T1w.nii.gz"
    result = command("prepare", "brain-mask", source, "-o", out, "--method=otsu")
    assert result.code == 0
    assert "warning: sub-0_T1w.nii.gz: the mask is the largest object" in result.err
    content = json.loads(
        out.with_name("mask.nii.gz.prepared.json").read_text(encoding="utf-8")
    )
    assert "not a brain extraction" in content["records"][0]["remarks"][0]


def test_what_is_there_is_replaced_only_on_demand(
    command: Command,
    heads: Path,
    tmp_path: Path,
    contents: Callable[[Path], dict[str, str]],
) -> None:
    source, out = heads / "sub-0_T1w.nii.gz", tmp_path / "out.tif"
    assert command("prepare", "pad", source, "-o", out).code == 0
    before = contents(tmp_path)
    result = command("prepare", "pad", source, "-o", out, "--multiple=32")
    assert result.code == 1
    assert "exists already; replace it with --overwrite" in result.sentence
    assert contents(tmp_path) == before
    result = command(
        "prepare", "pad", source, "-o", out, "--multiple=32", "--overwrite"
    )
    assert result.code == 0
    assert io.read(out).shape == (32, 32, 32)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["pad", "nowhere.nii", "-o", "OUT.tif"], 1, "nowhere.nii"),
        (["pad", "T1", "-o", "OUT.jpg"], 1, "files of this kind cannot be written"),
        (["pad", "T1", "-o", "OUT/x.zarr"], 1, "x.zarr: the folder"),
        (["pad", "T1", "T2", "-o", "OUT.tif"], 1, "one file for 2 volumes"),
        (["pad", "T1", "SAME", "-o", "OUT"], 1, "would be written 2 times"),
        (["pad", "T1", "-o", "T1", "--overwrite"], 1, "is the input, too"),
        (["mask", "T1", "-o", "OUT.tif", "--mask", "M0", "M1"], 1, "for 1 inputs"),
        (["mask", "T1", "-o", "OUT.tif"], 2, "required: --mask"),
        (["pad", "T1", "-o", "OUT.tif", "--multiple=0"], 2, "multiple = 0"),
        (["undo", "T1", "-o", "OUT.tif"], 1, "nothing tells how it was prepared"),
        (["crop", "EMPTY", "-o", "OUT.tif"], 1, "choose a volume that shows"),
        (["slices", "EMPTY", "-o", "OUT.tif"], 1, "raise it, or lower the threshold"),
        (["n4", "EMPTY", "-o", "OUT.tif"], 1, "no voxel in the mask is above 0"),
        (["pair", "T1", "EMPTY", "-o", "OUT", "--n4=false"], 1, "every voxel is 0"),
        (["pair", "DIR/*", "T2", "-o", "OUT"], 1, "names 6 volumes"),
        (["pair", "T1", "PIXELS", "-o", "OUT"], 1, "sub-0_T1w.nii.gz and pixels.npy"),
        (["pair", "T1", "AWAY", "-o", "OUT"], 1, "away.nii: does not overlap"),
        (["match", "T1", "-o", "OUT.tif", "--reference", "M0"], 1, "are both 1"),
        (["split", "--a", "T1", "-o", "OUT"], 1, "of too few subjects"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_leaves_nothing_behind(
    command: Command,
    heads: Path,
    tmp_path: Path,
    contents: Callable[[Path], dict[str, str]],
    arguments: list[str],
    code: int,
    sentence: str,
) -> None:
    if arguments[0] == "n4":
        pytest.importorskip("SimpleITK", reason="N4 is SimpleITK's")
    io.write(
        Volume(np.zeros(SHAPE, "u1"), OBLIQUE, "millimeter"), tmp_path / "empty.nii"
    )
    away = OBLIQUE + np.array([[0, 0, 0, 999.0], *np.zeros((3, 4))])
    io.write(Volume(head(), away, "millimeter"), tmp_path / "away.nii")
    np.save(tmp_path / "pixels.npy", head())
    same = tmp_path / "same" / "sub-0_T1w.nii.gz"
    same.parent.mkdir()
    same.write_bytes((heads / same.name).read_bytes())
    names = {
        "SAME": same,
        "DIR": heads,
        "T1": heads / "sub-0_T1w.nii.gz",
        "T2": heads / "sub-0_T2w.nii.gz",
        "M0": heads / "masks" / "sub-0_mask.nii.gz",
        "M1": heads / "masks" / "sub-1_mask.nii.gz",
        "EMPTY": tmp_path / "empty.nii",
        "PIXELS": tmp_path / "pixels.npy",
        "AWAY": tmp_path / "away.nii",
        "OUT": tmp_path / "out",
    }
    given = []
    for one in arguments:
        for name, path in names.items():
            if one == name or one.startswith((f"{name}.", f"{name}/")):
                one = one.replace(name, str(path), 1)
                break
        given.append(one)
    before = contents(tmp_path)
    result = command("prepare", *given)
    assert result.code == code, result.err
    assert sentence in result.sentence, result.err
    left = {path for path in contents(tmp_path) if not path.startswith("out")}
    assert left == set(before)
    # nor a folder; and what is no pair is known before the work on it
    assert not (tmp_path / "out").exists()
    assert "bias" not in result.err or arguments[0] == "n4"


def test_a_pair_is_made_by_one_command_and_trained_on_by_another(
    command: Command, tmp_path: Path, tiny: list[str]
) -> None:
    grey = head()
    io.write(Volume(grey, OBLIQUE, "millimeter"), tmp_path / "one_T1.nii.gz")
    shifted = OBLIQUE @ np.diag([0.5, 0.8, 0.9, 1])
    shifted[:3, 3] += (1.3, -2.2, 0.4)
    fine = Volume(grey.repeat(2, 0), shifted, "millimeter")
    io.write(fine, tmp_path / "one_T2.nii.gz")
    out = tmp_path / "pair"
    result = command(
        "prepare", "pair", tmp_path / "one_T1.nii.gz", tmp_path / "one_T2.nii.gz",
        "-o", out, "--n4=false",
    )  # fmt: skip
    assert result.code == 0, result.err
    pair = open_domain([str(out / "a")]), open_domain([str(out / "b")])
    assert matched(*pair) == [(0, 0)]
    trained = command(
        "train", "--a", out / "a", "--b", out / "b", "--run", tmp_path / "run",
        "--sampling.pairs=true", "--loss.paired=1", *tiny, "--steps=1",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_the_command_that_trains_on_a_pair_is_told_and_works(
    command: Command, heads: Path, tmp_path: Path, tiny: list[str]
) -> None:
    scans = heads / "sub-0_T1w.nii.gz", heads / "sub-0_T2w.nii.gz"
    out = tmp_path / "the pair"  # a name with a space is quoted
    result = command("prepare", "pair", *scans, "-o", out, "--n4=false")
    assert result.code == 0, result.err
    told = result.out.strip().splitlines()[-1].partition(": napari-cyclegan3d ")[2]
    *words, run = shlex.split(told)
    assert (words[-1], run) == ("--run", "run")
    trained = command(*words, tmp_path / "run", *tiny, "--steps=1")
    assert trained.code == 0, trained.err
    assert "pairs: true" in (tmp_path / "run" / "config.yaml").read_text(
        encoding="utf-8"
    )


def test_frames_of_a_series_go_to_files_of_their_own(
    command: Command, tmp_path: Path
) -> None:
    frames = [Volume(head(number), OBLIQUE, "millimeter") for number in range(2)]
    write_series(frames, tmp_path / "sub-0_bold.nii.gz")
    out = tmp_path / "out"
    result = command("prepare", "pad", tmp_path / "sub-0_bold.nii.gz", "-o", out)
    assert result.code == 0, result.err
    for number in range(2):
        padded = io.read(out / f"sub-0_bold_{number}.nii.gz").read()
        assert padded.sum() == head(number).sum()


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Three frames, 2 s apart; the second shows more than the others."""
    told = {"series": Series("t", (3,), 2.0, "second")}
    voxels = [np.where(head(seed) > 300, head(seed), 0) for seed in range(3)]
    voxels[1][0] = 900
    frames = [Volume(one, OBLIQUE, "millimeter", metadata=told) for one in voxels]
    write_series(frames, tmp_path / "film.nii.gz")
    return tmp_path / "film.nii.gz"


@pytest.mark.parametrize("suffix", [".nii.gz", ".zarr", ".mrc"])
def test_all_frames_of_a_file_go_to_one_file_with_one_history_and_back(
    command: Command, film: Path, tmp_path: Path, suffix: str
) -> None:
    out, back = tmp_path / f"out{suffix}", tmp_path / f"back{suffix}"
    result = command("prepare", "pad", film, "-o", out, "--multiple=16")
    assert result.code == 0, result.err
    assert "3 frames of (32, 32, 32) voxels of 2" in result.out
    frames = read_series(out)
    alone = tmp_path / "alone.nii.gz"
    for number, frame in enumerate(frames):
        command(
            "prepare", "pad", f"{film}::{number}", "-o", alone, "--multiple=16",
            "--overwrite",
        )  # fmt: skip
        np.testing.assert_array_equal(frame.read(), io.read(alone).read())
        np.testing.assert_allclose(frame.affine, io.read(alone).affine, atol=1e-4)
    if suffix != ".mrc":  # has no room for the time
        assert frames[0].metadata["series"] == Series("t", (3,), 2.0, "second")
    (record,) = prepare.read_records(prepare.records_path(out))
    assert (record.step, record.source.name) == ("pad", "film.nii.gz")
    assert command("prepare", "undo", out, "-o", back).code == 0
    for frame, source in zip(read_series(back), read_series(film), strict=True):
        np.testing.assert_array_equal(frame.read(), source.read())


def test_frames_and_their_masks_go_together_and_warnings_of_all_are_kept(
    command: Command, film: Path, tmp_path: Path
) -> None:
    masks, out = tmp_path / "masks.nii.gz", tmp_path / "out.nii.gz"
    result = command("prepare", "brain-mask", film, "-o", masks, "--method=otsu")
    assert result.code == 0, result.err
    (record,) = prepare.read_records(prepare.records_path(masks))
    for number, remark in enumerate(record.remarks):
        assert remark.startswith(f"film.nii.gz::{number}: the mask is")
        assert f"warning: {remark}" in result.err
    result = command("prepare", "mask", film, "-o", out, "--mask", masks)
    assert result.code == 0, result.err
    assert prepare.read_records(prepare.records_path(out))[-1].partner is not None
    for frame, mask, source in zip(
        read_series(out), read_series(masks), read_series(film), strict=True
    ):
        wanted = np.where(mask.read() > 0, source.read(), 0)
        np.testing.assert_array_equal(frame.read(), wanted)


@pytest.mark.parametrize(
    ("step", "inputs", "name", "sentence"),
    [
        (
            "crop --margin=0",
            ("",),
            "out.nii.gz",
            "or prepare one, as in film.nii.gz::1",
        ),
        ("slices", ("",), "out.nii.gz", "or prepare one, as in film.nii.gz::1"),
        ("pad", ("",), "out.raw", "or name one frame, as in FILE::0"),
        ("pad", ("::0", "::1"), "out.nii.gz", "one file for 2 volumes; give a folder"),
    ],
)
def test_frames_that_make_no_series_are_refused_and_nothing_is_left(
    command: Command,
    film: Path,
    tmp_path: Path,
    step: str,
    inputs: tuple[str, ...],
    name: str,
    sentence: str,
) -> None:
    texts = [f"{film}{one}" for one in inputs]
    result = command("prepare", *step.split(), *texts, "-o", tmp_path / name)
    assert result.code == 1
    assert sentence in result.sentence
    assert list(tmp_path.iterdir()) == [film]


def test_t1_and_t2_of_one_head_come_onto_one_grid(
    command: Command, tmp_path: Path, tiny: list[str]
) -> None:
    """Two scans as the scanner wrote them: oblique, on grids of their own."""
    if not T1.exists():
        pytest.skip(f"needs {T1.name} in the folder shared/data beside the checkout")
    out = tmp_path / "pair"
    result = command("prepare", "pair", T1, T2, "-o", out, "--n4=false")
    assert result.code == 0, result.err
    a, b = open_domain([str(out / "a")])[0], open_domain([str(out / "b")])[0]
    assert a.shape == b.shape
    np.testing.assert_array_equal(a.affine, b.affine)
    first = np.linalg.inv(io.read(T1).affine) @ a.affine
    np.testing.assert_allclose(first, first.round(), atol=1e-4)
    # where one head ends, so does the other
    inside = a.read() > 100, b.read() > 100
    overlap = (inside[0] & inside[1]).sum() / (inside[0] | inside[1]).sum()
    assert overlap > 0.85
    for one, original in ((a, T1), (b, T2)):
        records = prepare.opened(one.metadata["files"][0]).metadata["prepared"]
        assert records[0].source.name == original.name
        back = tmp_path / original.name
        result = command("prepare", "undo", one.metadata["files"][0], "-o", back)
        assert result.code == 0
        source, again = io.read(original), io.read(back)
        assert again.shape == source.shape
        np.testing.assert_allclose(again.affine, source.affine, atol=1e-3)


def test_subjects_are_split_by_one_command_and_trained_on_by_another(
    command: Command, heads: Path, tmp_path: Path, tiny: list[str]
) -> None:
    out = tmp_path / "split"
    result = command(
        "prepare", "split", "--a", heads / "*_T1w.nii.gz", "--b",
        heads / "*_T2w.nii.gz", "-o", out, "--validation=0.3", "--test=0.3",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "subjects for train: 1" in result.out
    trained = command(
        "train", "--a", out / "a.json", "--b", out / "b.json", "--run",
        tmp_path / "run", "--sampling.pairs=true", "--loss.paired=1",
        "--validation.every=1", *tiny, "--steps=1",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    assert "is not used" not in trained.err


def test_preparing_starts_without_heavy_libraries(process: Command) -> None:
    program = (
        "import sys, time; start = time.process_time(); "
        "from napari_cyclegan3d import prepare; "
        "heavy = {'torch', 'SimpleITK', 'napari', 'qtpy', 'scipy.ndimage', 'pooch'}; "
        "print(sorted(heavy & set(sys.modules)), time.process_time() - start)"
    )
    result = process(program)
    assert result.code == 0, result.err
    loaded, seconds = result.out.strip().rsplit(" ", 1)
    assert loaded == "[]"
    assert float(seconds) < 2
