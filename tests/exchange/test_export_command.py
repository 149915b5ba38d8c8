"""The command: one sentence for wrong use, and nothing lost or half-written."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Volume

Export = Callable[..., tuple[int, str, str]]
Saved = Callable[..., Path]


def sentence(err: str) -> str:
    assert err.count("error: ") == 1, err
    assert "Traceback" not in err
    return err.split("error: ")[1]


def test_a_model_becomes_torchscript(
    export: Export, saved: Saved, tmp_path: Path
) -> None:
    output = tmp_path / "model.pt"
    code, said, err = export(saved(), "--format", "torchscript", "-o", output)
    assert code == 0, err
    assert f"{output}: torchscript" in said
    assert torch.jit.load(output)(torch.full((1, 1, 8, 8, 8), 1000.0)).isfinite().all()


def test_the_other_direction_goes_out_where_it_is_asked_for(
    export: Export, saved: Saved, tmp_path: Path
) -> None:
    model, output = saved(scale=2), tmp_path / "model.pt"
    code, said, err = export(
        *(model, "--format", "torchscript", "-o", output, "--direction", "b_to_a")
    )
    assert code == 0, err
    assert "note: The channel of noise" in said
    image = torch.full((1, 1, 16, 16, 16), 30.0)
    assert torch.jit.load(output)(image).shape == (1, 1, 8, 8, 8)


def test_a_volume_freezes_what_each_volume_has_of_its_own(
    export: Export, saved: Saved, scan: Volume, tmp_path: Path
) -> None:
    model = saved(intensity={"scope": "volume"})
    io.write(scan, tmp_path / "scan.tif")
    output = tmp_path / "model.pt"
    usual = (model, "--format", "torchscript", "-o", output)
    _, said, _ = export(*usual)
    assert "note: Each volume is normalised on its own" in said
    code, said, err = export(*usual, "--volume", tmp_path / "scan.tif", "--overwrite")
    assert code == 0, err
    assert "note:" not in said


def test_a_card_is_written_beside_its_pictures(
    export: Export, training: Path, tmp_path: Path
) -> None:
    output = tmp_path / "card.md"
    code, _, err = export(
        *(training / "model.safetensors", "--format", "card", "-o", output),
        *("--authors", "Anna Meier", "--license", "MIT", "--name", "Fibres"),
    )
    assert code == 0, err
    assert output.read_text(encoding="utf-8").startswith("# Fibres\n")
    assert {path.name for path in tmp_path.iterdir()} == {
        "card.md",
        "card_preview.png",
        "card_curves.png",
    }


@pytest.mark.parametrize("name", ["model.pt", "card.md", "card_curves.png"])
def test_nothing_is_replaced_unless_asked(
    name: str, export: Export, training: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    kind = "torchscript" if name == "model.pt" else "card"
    output = tmp_path / ("model.pt" if name == "model.pt" else "card.md")
    usual = (training / "model.safetensors", "--format", kind, "-o", output)
    code, _, err = export(*usual)
    assert code == 1
    assert f"{tmp_path / name}: exists already; replace it with --overwrite" in err
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"
    assert export(*usual, "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (("--format", "onnx", "-o", "model.pt"), "ends in .onnx"),
        (("--format", "torchscript", "-o", "none/model.pt"), "does not exist"),
        (("--format", "bioimageio", "-o", "m.zip"), "--authors"),
        (("--format", "bioimageio", "-o", "m.zip", "--authors", "A"), "--license"),
        (("--format", "torchscript", "-o", "m.pt", "--volume", "no.tif"), "no.tif"),
        (("--format", "card", "-o", "card.md", "--run", "."), "holds no training"),
    ],
)
def test_what_cannot_be_done_gets_one_sentence(
    options: tuple[str, ...],
    remedy: str,
    export: Export,
    saved: Saved,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    model = saved()
    code, _, err = export(model, *options)
    assert code == 1
    assert remedy in sentence(err)
    assert list(tmp_path.iterdir()) == [model]


def test_a_file_that_is_no_model_gets_one_sentence(
    export: Export, tmp_path: Path
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"no model")
    code, _, err = export(
        tmp_path / "model.safetensors", "--format", "card", "-o", tmp_path / "card.md"
    )
    assert code == 1
    assert "not a safetensors file" in sentence(err)


def test_a_missing_library_is_named_with_what_installs_it(
    saved: Saved, tmp_path: Path
) -> None:
    program = (
        "import sys; sys.modules['onnxscript'] = None; "
        "from napari_cyclegan3d import cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    output = tmp_path / "model.onnx"
    done = subprocess.run(
        [
            *(sys.executable, "-c", program, "export", saved()),
            *("--format", "onnx", "-o", output),
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 1
    assert "pip install 'napari-cyclegan3d[export]'" in sentence(done.stderr)
    assert not output.exists()
