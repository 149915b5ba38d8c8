import argparse
from pathlib import Path

import pytest
import torch
from torch import nn

from napari_cyclegan3d.cli import importing
from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.networks import Generator, PatchDiscriminator
from napari_cyclegan3d.engine.sections.networks import (
    DiscriminatorConfig,
    GeneratorConfig,
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The file of a training of 3DCycleGaN, two filters wide."""
    path = tmp_path / "run_000100.pt"
    generator = Generator(1, GeneratorConfig(filters=2), noise=False)
    judge = PatchDiscriminator(DiscriminatorConfig(filters=2, layers=1, norm="batch"))
    networks: dict[str, nn.Module] = {"netG_A": generator, "netG_B": generator}
    networks |= {"netD_A": judge, "netD_B": judge}
    states = {name: network.state_dict() for name, network in networks.items()}
    torch.save({"step": 100, "model_state_dict": states}, path)
    return path


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    importing.add_arguments(parser)
    return importing.run(parser.parse_args([str(text) for text in arguments]))


def test_a_checkpoint_becomes_a_model_file(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model.safetensors"
    assert run(checkpoint, "-o", output) == 0
    model = load_model(output)
    assert (model.header.scale, model.header.provenance.steps) == (1, 100)
    image = torch.randn(1, 1, 8, 8, 8)
    weights = torch.load(checkpoint)["model_state_dict"]["netG_A"]
    model.generator("b_to_a").load_state_dict(weights)
    assert torch.equal(model.a_to_b(image), model.generator("b_to_a")(image))
    said = capsys.readouterr().out
    assert f"{output}: unet at 1x, 2 filters, 100 steps" in said


def test_an_existing_output_is_replaced_only_when_asked(
    checkpoint: Path, tmp_path: Path
) -> None:
    output = tmp_path / "model.safetensors"
    output.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="--overwrite"):
        run(checkpoint, "-o", output)
    assert output.read_text(encoding="utf-8") == "mine"
    assert run(checkpoint, "-o", output, "--overwrite") == 0
    assert load_model(output).header.scale == 1


@pytest.mark.parametrize("name", ["model.pt", "model", "nowhere/model.safetensors"])
def test_an_impossible_output_is_refused_before_the_work(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=name):
        run(tmp_path / "missing.pt", "-o", tmp_path / name)


def test_a_refused_checkpoint_leaves_no_file(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="damaged"):
        run(damaged, "-o", tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == [damaged]
