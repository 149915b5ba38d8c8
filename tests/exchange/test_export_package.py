"""Packages of bioimage.io say how a model is used, and pass the makers' own test."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from napari_cyclegan3d.engine.checkpoint import Direction, Model, load_model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.inference import EnhanceDone, enhance
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.exchange.bioimageio import write_package
from napari_cyclegan3d.exchange.credits import Credits, authors_in
from napari_cyclegan3d.exchange.graph import Outgoing, outgoing
from napari_cyclegan3d.exchange.processing import postprocessing, preprocessing
from napari_cyclegan3d.exchange.runs import Run
from napari_cyclegan3d.exchange.samples import expected, sample

core = pytest.importorskip("bioimageio.core")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

ModelMaker = Callable[..., Model]
CREDITS = Credits(authors_in("Anna Meier (ESRF); Jan Novák"), "CC-BY-4.0")


@dataclass(frozen=True)
class Package:
    """A package, and its content."""

    path: Path
    out: Outgoing

    @property
    def said(self) -> dict[str, Any]:
        with zipfile.ZipFile(self.path) as archive:
            return dict(yaml.safe_load(archive.read("rdf.yaml")))


Maker = Callable[..., Package]


@pytest.fixture(scope="module")
def packaged(model_of: ModelMaker, tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """A function that packages an untrained model."""

    def make(
        direction: Direction = "a_to_b", run: Run | None = None, **settings: Any
    ) -> Package:
        out = outgoing(model_of(**settings), direction)
        path = tmp_path_factory.mktemp("package") / "model.zip"
        write_package(out, path, CREDITS, run=run)
        return Package(path, out)

    return make


@pytest.fixture(scope="module")
def enlarging(packaged: Maker) -> Package:
    """A model that enlarges, from A to B."""
    return packaged(scale=2)


def steps(processing: list[dict[str, Any]]) -> list[str]:
    return [one["id"] for one in processing if one["id"] != "ensure_dtype"]


def test_a_package_passes_the_test_and_says_sizes_voxels_and_grey_values(
    packaged: Maker, tmp_path: Path
) -> None:
    package = packaged("b_to_a", scale=2)
    summary = core.test_model(package.path)
    assert summary.status == "passed", summary.format()
    said, sizes = package.said, package.out.sizes
    assert set(said["weights"]) == {"torchscript", "onnx"}
    (taken,), (given,) = said["inputs"], said["outputs"]
    for axis in taken["axes"][2:]:
        assert axis["size"] == {"min": sizes.smallest, "step": 8}
        assert axis["scale"] == pytest.approx(0.325)
        assert axis["unit"] == "micrometer"
    for axis in given["axes"][2:]:
        assert axis["scale"] == pytest.approx(0.65)
        assert axis["halo"] == sizes.seen // 2
    assert steps(taken["preprocessing"]) == ["scale_linear", "scale_linear"]
    assert steps(given["postprocessing"]) == ["scale_linear"]
    assert [one["name"] for one in said["authors"]] == ["Anna Meier", "Jan Novák"]
    assert said["license"] == "CC-BY-4.0"
    with zipfile.ZipFile(package.path) as archive:
        archive.extract("cover.png", tmp_path)
        assert b"## Validation" in archive.read("README.md")
    with Image.open(tmp_path / "cover.png") as picture:
        assert picture.width == 2 * picture.height


def test_a_package_holds_the_model_itself(enlarging: Package, tmp_path: Path) -> None:
    package = enlarging
    with zipfile.ZipFile(package.path) as archive:
        archive.extract("model.safetensors", tmp_path)
    model = load_model(tmp_path / "model.safetensors")
    assert model.header == package.out.model.header
    before = package.out.model.networks
    for name, network in model.networks.items():
        for key, tensor in network.state_dict().items():
            assert tensor.equal(before[name].state_dict()[key])


def test_others_get_the_voxels_that_an_enhancement_gives(enlarging: Package) -> None:
    grey = np.random.default_rng(2).normal(1000, 200, (48, 80, 64)).astype(np.float32)
    package = enlarging
    result = core.predict(
        model=package.path, inputs=grey[None, None], blocksize_parameter=3
    )
    found = result.members["output"].data.to_numpy()[0, 0]
    settings = EnhanceConfig(device="cpu", precision="fp32")
    *_, done = enhance(Volume(grey), package.out.model, settings)
    assert isinstance(done, EnhanceDone)
    # borders are mirrored there, and padded as in training here
    inside = (slice(2 * package.out.sizes.seen, -2 * package.out.sizes.seen),) * 3
    result_here = done.volume.read()[inside]
    assert result_here.size > 0
    np.testing.assert_allclose(found[inside], result_here, atol=5e-3)


def test_slices_of_a_model_that_fits_each_volume_pass_the_test(
    packaged: Maker, training: Path
) -> None:
    rule = {"scope": "volume", "method": "percentile"}
    run = Run(training)
    package = packaged(
        name="model", run=run, dims=2, slice_axis="y", patch=(1, 32, 32), intensity=rule
    )
    said = package.said
    assert said["name"] == f"{training.name} (A to B)", "the file's name says nothing"
    assert [axis.get("id") for axis in said["inputs"][0]["axes"]][2:] == ["z", "x"]
    assert steps(said["inputs"][0]["preprocessing"]) == ["scale_range", "scale_linear"]


def test_a_rule_for_each_volume_becomes_steps_of_the_standard(
    model_of: ModelMaker,
) -> None:
    def made(**rule: Any) -> list[dict[str, Any]]:
        model = model_of(intensity={"scope": "volume"} | rule)
        out = outgoing(model, "a_to_b")
        assert steps(postprocessing(out)) == ["scale_linear"]
        return preprocessing(out)

    (zscore,) = made()
    assert zscore["id"] == "zero_mean_unit_variance"
    assert "batch" not in zscore["kwargs"]["axes"]
    limits, middle = made(method="percentile", percentiles=(2, 98))
    assert limits["kwargs"]["max_percentile"] == 98
    assert middle["kwargs"] == {"gain": 2, "offset": -1}
    with pytest.raises(InputError, match="--volume"):
        made(method="percentile", percentiles=(0.1, 0.9))


def test_an_example_comes_from_the_volume_or_from_the_training(
    model_of: ModelMaker, scan: Volume, training: Path
) -> None:
    out = outgoing(model_of(), "a_to_b")
    side = out.sizes.smallest
    taken = sample(out, scan, None)
    assert taken.shape == (1, 1, side, side, side)
    assert np.isin(taken, scan.read()).all()
    model = load_model(training / "model.safetensors")
    trained = outgoing(model, "a_to_b")
    shown = sample(trained, None, Run(training))
    assert 800 < shown.mean() < 1200
    assert np.isfinite(expected(trained, shown)).all()


@pytest.mark.parametrize(
    ("credits", "remedy"),
    [
        (Credits(), "--authors"),
        (Credits(authors_in("Anna Meier")), "--license"),
        (Credits(authors_in("Anna Meier"), "CC-BY-4"), "CC-BY-4.0"),
    ],
)
def test_authors_and_licence_are_asked_for(
    credits: Credits, remedy: str, model_of: ModelMaker, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=remedy):
        write_package(outgoing(model_of(), "a_to_b"), tmp_path / "m.zip", credits)
    assert list(tmp_path.iterdir()) == []


def test_authors_are_read_with_their_affiliations() -> None:
    assert authors_in(" Anna Meier (ESRF) ;Jan Novák;") == (
        ("Anna Meier", "ESRF"),
        ("Jan Novák", ""),
    )
    with pytest.raises(InputError, match="semicolons"):
        authors_in("Anna (ESRF) Meier")
