import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.pairing import matched
from napari_cyclegan3d.engine.sources import Domains
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.domains import absolute, open_domain, open_volume, split
from napari_cyclegan3d.io.origins import read_sources, write_sources
from napari_cyclegan3d.prepare.splitting import SplitSettings, write_split
from napari_cyclegan3d.prepare.splitting import split as draw

IMAGES = (
    "sub-10/anat/sub-10_T1w.nii.gz",
    "sub-10/anat/sub-10_T2w.nii.gz",
    "sub-01/ses-a/anat/sub-01_ses-a_run-01_T1w.nii.gz",
    "sub-01/ses-a/anat/sub-01_ses-a_run-02_T1w.nii.gz",
    "sub-01/ses-a/anat/sub-01_ses-a_T2w.nii.gz",
    "sub-01/ses-b/anat/sub-01_ses-b_acq-fast_T1w.nii",
    "sub-02/anat/sub-02_T1w.nii.gz",
)
# what lies in real datasets and is no image of a subject
OTHERS = (
    "derivatives/fmriprep/sub-01/anat/sub-01_T1w.nii.gz",
    "sourcedata/sub-01/anat/sub-01_T1w.nii.gz",
    "sub-01/ses-a/anat/preview.png",
    "sub-01/ses-a/anat/._sub-01_ses-a_T2w.nii.gz",
    "sub-01/ses-a/anat/sub-02_T1w.nii.gz",
    ".git/sub-01/anat/sub-01_T1w.nii.gz",
)


def save(path: Path, shape: tuple[int, int, int] = (4, 5, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    if suffix == ".png":
        path.write_bytes(b"a picture")
    else:
        io.write(Volume(np.zeros(shape, np.uint8), unit="millimeter"), path)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A BIDS folder with sessions, runs, a missing T2w, and what else lies there."""
    root = tmp_path / "ds"
    for name in (*IMAGES, *OTHERS):
        save(root / name)
    (root / "dataset_description.json").write_text(
        '{"Name": "x", "BIDSVersion": "1"}', encoding="utf-8"
    )
    (root / "participants.tsv").write_text("participant_id\nsub-01\n", encoding="utf-8")
    return root


def names(text: str) -> list[str]:
    return [volume.name for volume in open_domain([text])]


def stems(text: str) -> list[str]:
    return [name.partition(".")[0] for name in names(text)]


def test_a_suffix_gives_all_its_images_subject_by_subject(dataset: Path) -> None:
    assert names(f"bids:{dataset}?suffix=T1w") == [
        "sub-01_ses-a_run-01_T1w.nii.gz",
        "sub-01_ses-a_run-02_T1w.nii.gz",
        "sub-01_ses-b_acq-fast_T1w.nii",
        "sub-02_T1w.nii.gz",
        "sub-10_T1w.nii.gz",
    ]
    assert stems(f"bids:{dataset}?suffix=T2w") == ["sub-01_ses-a_T2w", "sub-10_T2w"]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ("subject=10,02", ["sub-02_T1w", "sub-10_T1w"]),
        ("sub=sub-02", ["sub-02_T1w"]),
        ("subject=0*&session=b", ["sub-01_ses-b_acq-fast_T1w"]),
        ("session=ses-a&run=1", ["sub-01_ses-a_run-01_T1w"]),
        ("run=02", ["sub-01_ses-a_run-02_T1w"]),
        ("acquisition=fast", ["sub-01_ses-b_acq-fast_T1w"]),
        ("acq=fast&datatype=anat", ["sub-01_ses-b_acq-fast_T1w"]),
        ("with=T2w&run=2", ["sub-01_ses-a_run-02_T1w"]),
        ("with=T2w&subject=10", ["sub-10_T1w"]),
    ],
)
def test_conditions_choose_among_the_images(
    conditions: str, expected: list[str], dataset: Path
) -> None:
    assert stems(f"bids:{dataset}?suffix=T1w&{conditions}") == expected


def test_images_are_those_of_the_files_with_a_region_where_one_is_given(
    dataset: Path,
) -> None:
    whole, part = (
        open_domain([f"bids:{dataset}?suffix=T2w{end}"])[0]
        for end in ("", "[0:2,:,1:4]")
    )
    path = dataset / "sub-01/ses-a/anat/sub-01_ses-a_T2w.nii.gz"
    assert whole.metadata["files"] == (str(path.resolve()),)
    assert (whole.shape, part.shape) == ((4, 5, 6), (2, 5, 3))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("?suffix=T1w", "names no folder"),
        ("{ds}", r"holds T1w \(5\), T2w \(2\); choose with suffix=, as in bids:"),
        ("{ds}?suffix=FLAIR", r"no image has suffix=FLAIR; there are T1w \(5\), T2w"),
        ("{ds}?suffix=T1w&subject=01,99", r"has sub=99; there are 01 \(4\), 02 \(1\)"),
        ("{ds}?suffix=T1w&sub=1", r"has sub=1; there are 01"),
        ("{ds}?suffix=T1w&with=bold", "no image has suffix=bold"),
        ("{ds}?suffix=T1w&echo=1", "no image has echo=1; there are none with it"),
        ("{ds}?suffix=T2w&session=b", "no image fulfils all conditions"),
        ("{ds}?sufix=T1w", "'sufix' is nothing to choose by; known are suffix,"),
        ("{ds}?suffix=T1w&subject", "'subject' is no condition; write"),
        ("{ds}?suffix=", "'suffix=' is no condition"),
        ("{ds}?sub=01&subject=02", "there twice; .*commas, as in subject=01,02"),
        ("{ds}/gone?suffix=T1w", "gone: no such folder; correct the path behind bids:"),
        ("{ds}/derivatives?suffix=T1w", r"holds no folder sub-…, as the root"),
        ("{ds}?suffix=T1w&MagneticFieldStrength=3", "there are none with it"),
    ],
)
def test_what_names_nothing_is_refused_in_a_sentence(
    text: str, sentence: str, dataset: Path
) -> None:
    with pytest.raises(InputError, match=sentence) as refusal:
        open_domain([f"bids:{text.format(ds=dataset)}"])
    assert len(str(refusal.value).splitlines()) == 1


def test_a_folder_of_subjects_without_images_says_which_files_are_known(
    tmp_path: Path,
) -> None:
    (tmp_path / "sub-01" / "anat").mkdir(parents=True)
    with pytest.raises(InputError, match=r"hold no image that can be read; known"):
        open_domain([f"bids:{tmp_path}?suffix=T1w"])


def test_derivatives_are_a_bids_folder_of_their_own(dataset: Path) -> None:
    root = dataset / "derivatives" / "fmriprep"
    assert names(f"bids:{root}?suffix=T1w") == ["sub-01_T1w.nii.gz"]


def test_links_whose_content_was_never_fetched_are_refused(dataset: Path) -> None:
    path = dataset / "sub-02/anat/sub-02_T1w.nii.gz"
    path.unlink()
    path.symlink_to("../../.git/annex/objects/MD5E-s5--0.nii.gz")
    with pytest.raises(InputError, match=r"sub-02_T1w.*1 of 5 are; .*`datalad get`"):
        open_domain([f"bids:{dataset}?suffix=T1w"])
    assert len(names(f"bids:{dataset}?suffix=T1w&subject=01,10")) == 4


def test_fields_of_json_files_choose_and_the_nearest_one_counts(dataset: Path) -> None:
    def say(name: str, **content: Any) -> None:
        (dataset / name).write_text(json.dumps(content), encoding="utf-8")

    say("T1w.json", MagneticFieldStrength=3, Manufacturer="Siemens")
    say("sub-02/sub-02_T1w.json", MagneticFieldStrength=1.5)
    anat = "sub-01/ses-a/anat/sub-01_ses-a"
    say(f"{anat}_T1w.json", Manufacturer="GE")
    say(f"{anat}_run-02_T1w.json", MagneticFieldStrength=7.0)
    (dataset / "sub-10/anat/sub-10_T1w.json").write_text("{no json", encoding="utf-8")
    (dataset / "sub-10/anat/T1w.json").write_text("[1, 2]", encoding="utf-8")
    start = f"bids:{dataset}?suffix=T1w&MagneticFieldStrength"
    assert stems(f"{start}=1.5,7") == ["sub-01_ses-a_run-02_T1w", "sub-02_T1w"]
    assert stems(f"{start}=3.0") == [
        "sub-01_ses-a_run-01_T1w",
        "sub-01_ses-b_acq-fast_T1w",
        "sub-10_T1w",
    ]
    assert stems(f"bids:{dataset}?suffix=T1w&Manufacturer=GE") == [
        "sub-01_ses-a_run-01_T1w",
        "sub-01_ses-a_run-02_T1w",
    ]


def test_one_volume_is_meant_where_one_image_fulfils_the_conditions(
    dataset: Path,
) -> None:
    volume = open_volume(f"bids:{dataset}?suffix=T1w&subject=02[1:3,:,:]")
    assert volume.shape == (2, 5, 6)
    with pytest.raises(InputError, match=r"means 2 images .* where one is needed"):
        open_volume(f"bids:{dataset}?suffix=T2w")


def test_a_text_means_the_same_from_any_folder(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dataset.parent)
    text = absolute("bids:ds?suffix=T1w&subject=01,02")
    assert text == f"bids:{dataset}?suffix=T1w&sub=01,02"
    assert names(text) == names("bids:ds?suffix=T1w&subject=01,02")


def test_images_of_several_times_are_all_their_frames(dataset: Path) -> None:
    path = dataset / "sub-02/func/sub-02_task-rest_bold.nii.gz"
    path.parent.mkdir()
    nib.save(nib.Nifti1Image(np.zeros((6, 5, 4, 3), np.float32), np.eye(4)), path)
    frames = open_domain([f"bids:{dataset}?suffix=bold&task=rest"])
    assert [frame.name for frame in frames] == [f"{path.name}::{n}" for n in range(3)]


def test_scans_of_one_subject_are_held_out_together(dataset: Path) -> None:
    volumes = open_domain([f"bids:{dataset}?suffix=T1w"])
    for seed in range(6):
        train, validate = split(volumes, 0.3, seed)
        assert train
        assert validate
        seen = {volume.name[:6] for volume in train}
        assert not seen & {volume.name[:6] for volume in validate}


def test_a_drawn_test_set_shares_no_subject_with_what_is_trained_on(
    dataset: Path, tmp_path: Path
) -> None:
    a = open_domain([f"bids:{dataset}?suffix=T1w&with=T2w"])
    a += open_domain([f"bids:{dataset}?suffix=T1w&subject=02"])
    b = open_domain([f"bids:{dataset}?suffix=T2w"])
    settings = SplitSettings(validation=0.4, test=0)
    lists = tmp_path / "lists"
    write_split(draw(a, b, settings), lists, settings)
    seen, held_out = (
        {
            volume.name[:6]
            for name in "ab"
            for volume in open_domain([f"{lists}/{name}.json"], part)
        }
        for part in ("train", "validate")
    )
    assert seen
    assert held_out
    assert not seen & held_out


def test_pairs_are_those_of_one_subject_and_session(dataset: Path) -> None:
    a = open_domain([f"bids:{dataset}?suffix=T1w&with=T2w&subject=10"])
    a += open_domain([f"bids:{dataset}?suffix=T1w&with=T2w&run=2"])
    b = open_domain([f"bids:{dataset}?suffix=T2w"])
    assert matched(a, b) == [(0, 1), (1, 0)]


def test_subjects_and_sessions_without_a_partner_are_named(dataset: Path) -> None:
    a = open_domain([f"bids:{dataset}?suffix=T1w"])
    b = open_domain([f"bids:{dataset}?suffix=T2w"])
    alone = (
        r"^sub-01_ses-b_acq-fast_T1w\.nii, sub-02_T1w\.nii\.gz of A: B has no volume "
        r"of sub-01 ses-b, sub-02; leave them out, in a bids: text with &with=T2w$"
    )
    with pytest.raises(InputError, match=alone):
        matched(a, b)
    several = (
        r"^sub-01_ses-a_run-01.*run-02.* of A and sub-01_ses-a_T2w.* of B: .*run=1"
    )
    with pytest.raises(InputError, match=several):
        matched(open_domain([f"bids:{dataset}?suffix=T1w&with=T2w"]), b)


def test_a_training_finds_its_bids_volumes_again(dataset: Path, tmp_path: Path) -> None:
    a, b = (
        open_domain([f"bids:{dataset}?suffix={suffix}&subject=10"])
        for suffix in ("T1w", "T2w")
    )
    run = tmp_path / "run"
    run.mkdir()
    write_sources(run, Domains(a, b, a, b))
    for key, texts in read_sources(run).items():
        (again,) = open_domain([text for text in texts if text])
        (first,) = a if key.endswith("a") else b
        assert again.name == first.name
        assert again.metadata["files"] == first.metadata["files"]
