import json
import os
import pickle
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_cyclegan3d.engine.checkpoint import (
    HEADER_KEY,
    Model,
    load_model,
    load_state,
    save_model,
    save_state,
)
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.sections.networks import DiscriminatorConfig

ModelMaker = Callable[..., Model]
Limited = Callable[[int], AbstractContextManager[None]]


def tensors_of(model: Model) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value
        for name, network in model.networks.items()
        for key, value in network.state_dict().items()
    }


def header_of(path: Path) -> dict[str, Any]:
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    return json.loads(json.loads(raw[8 : 8 + size])["__metadata__"][HEADER_KEY])


def with_header(path: Path, text: str) -> None:
    """The same weights under another header."""
    save_file(load_file(path), path, metadata={HEADER_KEY: text})


@pytest.fixture
def saved(tmp_path: Path, random_model: ModelMaker) -> Path:
    path = tmp_path / "knee.safetensors"
    save_model(random_model(), path)
    return path


@pytest.mark.parametrize(
    "kind",
    [
        {"scale": 1, "noise": False},
        {"scale": 2, "norm": "instance"},
        {"scale": 4, "norm": "affine"},
        {"judge": DiscriminatorConfig(filters=2, layers=2, norm="none")},
    ],
    ids=["1x", "2x", "4x", "judge"],
)
def test_a_saved_model_is_loaded_as_it_was(
    tmp_path: Path, random_model: ModelMaker, kind: dict[str, Any]
) -> None:
    model, path = random_model(**kind), tmp_path / "knee.safetensors"
    save_model(model, path)
    loaded = load_model(path)
    assert loaded.header == model.header
    assert loaded.name == "knee"
    before, after = tensors_of(model), tensors_of(loaded)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert list(tmp_path.iterdir()) == [path]


def test_a_loaded_model_gives_the_same_output(
    saved: Path, random_model: ModelMaker
) -> None:
    image = torch.randn(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    loaded = load_model(str(saved)).a_to_b
    assert torch.equal(loaded(image), random_model().a_to_b(image))
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_a_model_file_tells_its_receptive_field_and_where_it_comes_from(
    saved: Path,
) -> None:
    header = header_of(saved)
    assert header["format"] == 1
    assert header["receptive_field"] == {"a_to_b": [12, 16], "b_to_a": [12, 16]}
    assert header["provenance"]["volumes_a"] == ["fast"]
    assert header["config"]["generator"]["filters"] == 2


def test_a_model_knows_the_generator_and_the_scale_of_a_direction(
    random_model: ModelMaker,
) -> None:
    model = random_model(4)
    assert model.generator("a_to_b") is model.a_to_b
    assert model.generator("b_to_a") is model.b_to_a
    assert (model.scale("a_to_b"), float(model.scale("b_to_a"))) == (4, 0.25)


def test_a_model_that_cannot_be_written_leaves_the_old_file(
    tmp_path: Path, saved: Path, random_model: ModelMaker
) -> None:
    before = saved.read_bytes()
    model = random_model(seed=1)
    object.__setattr__(model.header, "scale", object())  # has no JSON
    with pytest.raises(ValueError, match="serialize"):
        save_model(model, saved)
    assert saved.read_bytes() == before
    assert list(tmp_path.iterdir()) == [saved]


def test_on_a_full_disk_the_old_model_and_the_old_state_stay(
    tmp_path: Path, random_model: ModelMaker, limited: Limited
) -> None:
    model, state = tmp_path / "knee.safetensors", tmp_path / "state.pt"
    model.write_bytes(b"old")
    state.write_bytes(b"old")
    refused = r"knee\.safetensors: could not be written"
    with pytest.raises(InputError, match=refused), limited(1000):
        save_model(random_model(), model)
    refused = r"state\.pt: could not be written"
    with pytest.raises(InputError, match=refused), limited(1000):
        save_state({"gan": torch.zeros(5000)}, state)
    assert model.read_bytes() == state.read_bytes() == b"old"
    assert sorted(tmp_path.iterdir()) == [model, state]


class Payload:
    """A pickle that makes a file when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def plain_pickle(path: Path, payload: Payload) -> None:
    path.write_bytes(pickle.dumps({"gan": payload}, protocol=2))


def torch_file(path: Path, payload: Payload) -> None:
    torch.save({"gan": payload, "steps": torch.zeros(3)}, path)


def old_torch_file(path: Path, payload: Payload) -> None:
    torch.save({"gan": payload}, path, _use_new_zipfile_serialization=False)


def numpy_file(path: Path, payload: Payload) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([payload], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    "write", [plain_pickle, torch_file, old_torch_file, numpy_file]
)
@pytest.mark.parametrize(
    ("load", "name"), [(load_model, "a.safetensors"), (load_state, "state.pt")]
)
def test_code_in_a_file_is_refused_and_does_not_run(
    tmp_path: Path,
    write: Callable[[Path, Payload], None],
    load: Callable[[Path], object],
    name: str,
) -> None:
    marker, path = tmp_path / "marker", tmp_path / name
    write(path, Payload(marker))
    with pytest.raises(InputError, match=name):
        load(path)
    assert not marker.exists()


def test_the_payload_of_these_tests_would_run_where_pickles_are_trusted(
    tmp_path: Path,
) -> None:
    marker, path = tmp_path / "marker", tmp_path / "state.pt"
    torch_file(path, Payload(marker))
    torch.load(path, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.999])
def test_a_truncated_model_is_refused(saved: Path, share: float) -> None:
    raw = saved.read_bytes()
    saved.write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(InputError, match=r"knee\.safetensors: not a safetensors file"):
        load_model(saved)


def test_a_safetensors_file_of_others_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"layer.weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="no model of napari-cyclegan3d"):
        load_model(path)


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model file"):
        load_model(tmp_path / "missing.safetensors")
    with pytest.raises(InputError, match="is a folder"):
        load_model(tmp_path)


def test_a_model_of_a_newer_format_is_refused_with_the_advice_to_update(
    saved: Path,
) -> None:
    newer = header_of(saved) | {"format": 2, "something": "new"}
    with_header(saved, json.dumps(newer))
    with pytest.raises(InputError, match=r"model format 2.*update napari-cyclegan3d"):
        load_model(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"surprise": 1},
        {"config": {"stesp": 3}},
        {"config": None},
        {"scale": 3},
        {"format": 0},
        {"format": None},
        {"intensity_a": {"offset": "NaN", "gain": 1}},
        {"config": {"generator": {"filters": 10**9}}},
    ],
    ids=lambda change: json.dumps(change).replace(" ", ""),
)
def test_a_header_with_unknown_keys_or_impossible_values_is_refused(
    saved: Path, change: dict[str, Any]
) -> None:
    with_header(saved, json.dumps(header_of(saved) | change))
    with pytest.raises(InputError, match="header of the model is damaged"):
        load_model(saved)


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[]", "3", '"text"', "[" * 200_000, "9" * 5000, '{"format": 1}'],
    ids=["empty", "text", "list", "number", "string", "deep", "huge", "bare"],
)
def test_a_header_that_is_no_header_is_refused(saved: Path, text: str) -> None:
    with_header(saved, text)
    with pytest.raises(InputError, match="header of the model is damaged"):
        load_model(saved)


def test_weights_that_do_not_fit_the_settings_are_refused(
    saved: Path, random_model: ModelMaker
) -> None:
    wider = random_model(filters=4).header
    with_header(saved, wider.model_dump_json())
    with pytest.raises(InputError, match="the weights of a_to_b do not fit"):
        load_model(saved)


def test_a_model_without_one_of_its_weights_is_refused(
    tmp_path: Path, saved: Path, random_model: ModelMaker
) -> None:
    tensors = load_file(saved)
    del tensors["judge_b.layers.0.bias"]
    header = random_model().header.model_dump_json()
    save_file(tensors, saved, metadata={HEADER_KEY: header})
    with pytest.raises(InputError, match="the weights of judge_b do not fit"):
        load_model(saved)


STATE = {
    "gan": {"weights": torch.arange(6.0).reshape(2, 3), "steps_done": 7},
    "sampler": {"state": {"state": 2**127 + 3, "inc": 1}},
    "images": [torch.zeros(1, 2, 2, 2)],
}


def test_a_saved_state_is_loaded_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(STATE, path)
    loaded = load_state(path)
    assert loaded["sampler"] == STATE["sampler"]
    assert torch.equal(loaded["gan"]["weights"], STATE["gan"]["weights"])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_state_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "state.pt"
    save_state(STATE, path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(InputError, match=r"state\.pt: not a saved state"):
        load_state(path)


def test_a_state_with_flipped_bytes_is_refused_or_read_but_never_crashes(
    tmp_path: Path,
) -> None:
    sound, path = tmp_path / "sound.pt", tmp_path / "state.pt"
    save_state(STATE, sound)
    with zipfile.ZipFile(sound) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (pickled,) = (name for name in parts if name.endswith("data.pkl"))
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(parts[pickled])
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in (parts | {pickled: bytes(damaged)}).items():
                archive.writestr(name, content)
        try:
            load_state(path)
        except InputError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("content", [[1, 2], 3, torch.zeros(2)])
def test_a_torch_file_that_is_no_state_is_refused(
    tmp_path: Path, content: object
) -> None:
    path = tmp_path / "state.pt"
    torch.save(content, path)
    with pytest.raises(InputError, match="not a saved state"):
        load_state(path)


def test_a_missing_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a saved state"):
        load_state(tmp_path / "state.pt")


def test_the_same_model_is_always_written_as_the_same_bytes(
    tmp_path: Path, random_model: ModelMaker
) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_model(random_model(), first)
    save_model(random_model(), second)
    assert first.read_bytes() == second.read_bytes()
