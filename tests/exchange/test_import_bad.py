"""Packages that are damaged, hostile or of another kind are refused in one sentence."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from napari_cyclegan3d.engine.checkpoint import HEADER_KEY, load_model
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.exchange.importing import import_model, read_foreign

pytest.importorskip("bioimageio.core")
pytest.importorskip("onnxruntime")

from .packages import (  # noqa: TID252
    MOMENTS,
    Doubling,
    Words,
    changed,
    onnx_graph,
    package,
    torchscript,
    write,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound package of slices."""
    return package(tmp_path / "made", torchscript(Doubling(2), 2), 2)


def words_of(folder: Path) -> Words:
    words: Words = yaml.safe_load((folder / "rdf.yaml").read_text(encoding="utf-8"))
    return words


def refused(path: Path, *words: str) -> None:
    """One short sentence with these words, and no file."""
    target = path.parent / "never.safetensors"
    with pytest.raises(InputError) as caught:
        import_model(path, target)
    said = str(caught.value)
    assert all(word in said for word in words), said
    assert "\n" not in said
    assert len(said) < 600
    assert not target.exists()


def with_words(folder: Path, change: Callable[[Words], Any]) -> Path:
    words = words_of(folder)
    change(words)
    write(folder, words)
    return folder


CHANGES: dict[str, tuple[Callable[[Words], Any], str]] = {
    "type": (lambda w: w.update(type="dataset"), "dataset"),
    "version": (lambda w: w.update(format_version="0.3.2"), "0.3.2"),
    "two inputs": (lambda w: w["inputs"].append(w["inputs"][0]), "2 inputs"),
    "no output": (lambda w: w.update(outputs=[]), "0 outputs"),
    "channels": (
        lambda w: w["inputs"][0]["axes"][1].update(channel_names=["r", "g", "b"]),
        "3 channels",
    ),
    "time": (
        lambda w: w["inputs"][0]["axes"].insert(2, {"type": "time", "id": "time"}),
        "axes",
    ),
    "rim": (
        lambda w: w["outputs"][0]["axes"][2]["size"].update(offset=-4),
        "smaller than its input",
    ),
    "scale": (lambda w: [a.update(scale=0.5) for a in w["outputs"][0]["axes"][2:]], ""),
    "size": (
        lambda w: w["inputs"][0]["axes"][2].update(size={"min": 10**9, "step": 1}),
        "impossible sizes",
    ),
    "shape": (lambda w: w["inputs"][0]["axes"][2].update(size="large"), "damaged"),
    "state dict": (
        lambda w: w.update(weights={"pytorch_state_dict": {"source": "weights.pt"}}),
        "Python code",
    ),
    "step": (
        lambda w: w["inputs"][0].update(preprocessing=[{"id": "custom"}]),
        "custom",
    ),
    "late step": (
        lambda w: w["inputs"][0].update(
            preprocessing=[{"id": "clip", "kwargs": {"min": 0}}, MOMENTS]
        ),
        "measured on the whole volume",
    ),
    "result step": (
        lambda w: w["outputs"][0].update(postprocessing=[MOMENTS]),
        "the whole of them",
    ),
    "nonsense": (lambda w: w["inputs"][0].pop("axes"), "damaged"),
    "outside": (
        lambda w: w["weights"]["torchscript"].update(source="../secret.pt"),
        "outside",
    ),
    "absolute": (
        lambda w: w["weights"]["torchscript"].update(source="/etc/passwd"),
        "outside",
    ),
    "internet": (
        lambda w: w["weights"]["torchscript"].update(source="https://x.org/w.pt"),
        "internet",
    ),
    "sha256": (
        lambda w: w["weights"]["torchscript"].update(sha256="0" * 64),
        "SHA-256",
    ),
    "missing": (
        lambda w: w["weights"]["torchscript"].update(source="no.pt"),
        "no file no.pt",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_package_that_cannot_be_used_is_refused(name: str, folder: Path) -> None:
    change, word = CHANGES[name]
    refused(with_words(folder, change), word)


def test_an_example_that_comes_out_otherwise_is_a_refusal(folder: Path) -> None:
    words = words_of(folder)
    words["inputs"][0]["test_tensor"] = {"source": "input.npy"}
    words["outputs"][0]["test_tensor"] = {"source": "output.npy"}
    write(folder, words)
    refused(folder, "own example")
    payload = np.array([{"a": 1}], dtype=object)
    np.save(folder / "input.npy", payload, allow_pickle=True)
    refused(folder, "example is damaged")


class Opens:
    """Its pickle would make a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_as_weights_is_never_opened(folder: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    content = pickle.dumps(Opens(trap))
    for weights in (content, _torch_file(trap)):
        (folder / "weights.pt").write_bytes(weights)
        with_words(folder, lambda w: w["weights"]["torchscript"].pop("sha256", None))
        refused(folder, "TorchScript", "damaged")
    assert not trap.exists()


def _torch_file(trap: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save(Opens(trap), buffer)
    return buffer.getvalue()


def test_torchscript_that_opens_files_is_not_read(folder: Path, tmp_path: Path) -> None:
    class Writes(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.from_file("FILE", True, 16) + x

    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(Writes()), buffer)
    (folder / "weights.pt").write_bytes(buffer.getvalue())
    with_words(folder, lambda w: w["weights"]["torchscript"].pop("sha256"))
    refused(folder, "from_file", "not opened")


def test_flipped_and_missing_bytes_are_refused(folder: Path) -> None:
    weights = folder / "weights.pt"
    whole = weights.read_bytes()
    with_words(folder, lambda w: w["weights"]["torchscript"].pop("sha256"))
    for place in range(0, len(whole), len(whole) // 12):
        weights.write_bytes(whole[:place])
        refused(folder, "damaged")


def test_onnx_that_needs_other_files_or_operations_is_refused(tmp_path: Path) -> None:
    content = onnx_graph(Doubling(2), 2)
    model = onnx.load_model_from_string(content)
    weight = model.graph.initializer[0]
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/passwd")
    outside = model.SerializeToString()
    model = onnx.load_model_from_string(content)
    model.graph.node[1].domain = "org.stranger"
    for bad, word in (
        (outside, "another file"),
        (model.SerializeToString(), "org.stranger"),
        (content[:300], ""),
        (b"nothing", "damaged"),
    ):
        refused(package(tmp_path / "made", bad, 2, form="onnx"), word)


def test_zips_that_are_bombs_or_no_packages_are_refused(
    folder: Path, tmp_path: Path
) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        words = words_of(folder)
        words["weights"]["torchscript"].pop("sha256")
        archive.writestr("rdf.yaml", yaml.safe_dump(words))
        archive.writestr("weights.pt", bytes(2**25))
    refused(bomb, "would unpack")
    long = tmp_path / "long.zip"
    with zipfile.ZipFile(long, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rdf.yaml", b"a" * 2**22)
    refused(long, "4 MB", "at most 1 MB")
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("../rdf.yaml", "type: model")
    refused(empty, "has no rdf.yaml")
    cut = tmp_path / "cut.zip"
    cut.write_bytes(bomb.read_bytes()[:-40])
    refused(cut, "no .zip, or damaged")


def test_what_is_no_model_at_all_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.zip", "no such file")
    refused(tmp_path, "no rdf.yaml")
    text = tmp_path / "rdf.yaml"
    text.write_text("[" * 5000, encoding="utf-8")
    refused(text, "no YAML")
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"x")
    refused(picture, ".zip")


def test_an_attached_model_that_is_none_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"x" * 100)
    changed(folder, attachments=[{"source": "model.safetensors"}])
    refused(folder, "model.safetensors", "not a safetensors file")


def test_a_model_file_with_a_changed_graph_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    imported = read_foreign(folder)
    path = tmp_path / "changed.safetensors"
    graph = imported.model.a_to_b.graph
    header = imported.model.header.model_dump_json()
    for tensor in (graph[:-1].clone(), torch.zeros_like(graph), graph.float()):
        save_file({"a_to_b.graph": tensor}, path, metadata={HEADER_KEY: header})
        with pytest.raises(InputError):
            load_model(path)
    save_file({"a_to_b.graph": graph}, path, metadata={HEADER_KEY: header})
    assert load_model(path).header.foreign == imported.model.header.foreign
