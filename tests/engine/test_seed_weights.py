"""Checkpoints of 3DCycleGaN, rebuilt here layer by layer from what is known of it."""

import os
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, cat, nn, relu
from torch.nn.functional import max_pool3d

from napari_cyclegan3d.engine.checkpoint import load_model, save_model
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.seed_weights import import_seed_weights


def conv(inputs: int, outputs: int) -> nn.Conv3d:
    return nn.Conv3d(inputs, outputs, 3, padding=1)


class Single(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = conv(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.conv(x))


class Doubling(nn.Module):
    def __init__(self, inputs: int, middle: int, outputs: int) -> None:
        super().__init__()
        up = nn.ConvTranspose3d(middle, outputs, 3, 2, padding=1, output_padding=1)
        self.block = nn.Sequential(Single(inputs, middle), up, nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


def pool(x: Tensor) -> Tensor:
    return max_pool3d(x, 2)


class Original(nn.Module):
    """Any of the pooled U-Nets; which layers there are says which."""

    def __init__(self, name: str, f: int) -> None:
        super().__init__()
        self.name = name
        self.conv1, self.conv2 = conv(1, 2 * f), conv(2 * f, 4 * f)
        down = name in ("d2", "d4")
        if down:
            self.conv3s, self.conv3 = conv(4 * f, 8 * f), conv(8 * f, 8 * f)
        self.center = Doubling(8 * f if down else 4 * f, 2 * f, f)
        if down:
            self.dec2, self.dec1 = Doubling(9 * f, f, f), Single(5 * f, f // 2)
        elif name == "1":
            self.dec2, self.dec1 = Doubling(5 * f, f, f), Single(3 * f, f // 2)
        else:
            self.dec2 = Doubling(5 * f, 2 * f, 2 * f)
            if name == "x4":
                self.dec2s = Doubling(3 * f, f, 2 * f)
            self.dec1 = Doubling(4 * f, f, f // 2)
        self.final = nn.Conv3d(f // 2, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = relu(self.conv1(pool(x) if self.name == "d4" else x))
        two = relu(self.conv2(one if self.name == "x4" else pool(one)))
        if self.name in ("d2", "d4"):
            three = relu(self.conv3(relu(self.conv3s(pool(two)))))
            up = self.dec2(cat([self.center(pool(three)), three], 1))
            return self.final(self.dec1(cat([up, two], 1)))
        center = self.center(pool(two))
        up = self.dec2(cat([center, two], 1))
        skip = self.dec2s(cat([center, one], 1)) if self.name == "x4" else one
        return self.final(self.dec1(cat([up, skip], 1)))


class Deep(nn.Module):
    """The VGG-like U-Net."""

    def __init__(self, f: int) -> None:
        super().__init__()
        widths = {"1": (0.5, 2), "2": (2, 4), "3s": (4, 8), "3": (8, 8), "4s": (8, 16)}
        widths |= {"4": (16, 16), "5s": (16, 16), "5": (16, 16)}
        for name, (inputs, outputs) in widths.items():
            layer = conv(int(inputs * f) if name != "1" else 1, outputs * f)
            setattr(self, f"conv{name}", layer)
        self.center = Doubling(16 * f, 16 * f, 8 * f)
        self.dec5 = Doubling(24 * f, 16 * f, 8 * f)
        self.dec4 = Doubling(24 * f, 16 * f, 4 * f)
        self.dec3 = Doubling(12 * f, 8 * f, 2 * f)
        self.dec2 = Doubling(6 * f, 4 * f, f)
        self.dec1 = Single(3 * f, f)
        self.final = nn.Conv3d(f, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = [relu(self.conv1(x))]
        skips.append(relu(self.conv2(pool(skips[-1]))))
        for first, second in (("3s", "3"), ("4s", "4"), ("5s", "5")):
            inner = relu(getattr(self, f"conv{first}")(pool(skips[-1])))
            skips.append(relu(getattr(self, f"conv{second}")(inner)))
        x = self.center(pool(skips[4]))
        for number in (5, 4, 3, 2, 1):
            x = getattr(self, f"dec{number}")(cat([x, skips[number - 1]], 1))
        return self.final(x)


class Judge(nn.Module):
    def __init__(self, f: int, layers: int = 3) -> None:
        super().__init__()
        sequence: list[nn.Module] = [nn.Conv3d(1, f, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i in range(1, layers + 1):
            stride = 1 if i == layers else 2
            before, after = f * min(8, 2 ** (i - 1)), f * min(8, 2**i)
            sequence += [
                nn.Conv3d(before, after, 4, stride, 1, bias=False),
                nn.BatchNorm3d(after),
                nn.LeakyReLU(0.2),
            ]
        sequence.append(nn.Conv3d(after, 1, 4, 1, 1))
        self.model = nn.Sequential(*sequence)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.model(x))


Networks = dict[str, nn.Module]
PAIRS = {1: ("1", "1"), 2: ("x2", "d2"), 4: ("x4", "d4")}


def networks(scale: int, f: int = 4, ndf: int = 4, layers: int = 3) -> Networks:
    found: Networks = {
        "netG_A": Original(PAIRS[scale][0], f),
        "netG_B": Original(PAIRS[scale][1], f),
        "netD_A": Judge(ndf, layers),
        "netD_B": Judge(ndf, layers),
    }
    return randomised(found)


def randomised(found: Networks) -> Networks:
    random = torch.Generator().manual_seed(7)
    for network in found.values():
        for parameter in network.parameters():
            mean, std = (0, 0.1) if parameter.ndim > 1 else (0.5, 0.5)
            nn.init.normal_(parameter, mean, std, generator=random)
        network.eval().requires_grad_(False)
    return found


def checkpoint(found: Networks, prefix: str = "module.") -> dict[str, Any]:
    states = {
        name: OrderedDict((prefix + k, v) for k, v in network.state_dict().items())
        for name, network in found.items()
    }
    # optimisers and losses are not looked at, but must be read
    step = torch.ones(3, requires_grad=True).sum() * 2
    optimiser = {
        "state": {0: {"step": 1, "exp_avg": torch.ones(3)}},
        "param_groups": [],
    }
    return {
        "step": 1200,
        "model_state_dict": states,
        "optimizer_state_dict": {"optimizer_G": optimiser},
        "loss": {"loss_G_A": step},
    }


def saved(content: Any, tmp_path: Path) -> Path:
    path = tmp_path / "2x_1ms_001200.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(content, path)
    return path


def assert_same(ours: nn.Module, theirs: nn.Module, image: Tensor) -> None:
    expected = theirs(image)
    assert expected.std() > 1e-3
    torch.testing.assert_close(ours(image), expected, rtol=1e-5, atol=1e-5)


def noise(*sides: int) -> Tensor:
    return torch.randn((2, 1, *sides), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("prefix", ["module.", ""])
def test_imported_generators_give_what_the_original_ones_give(
    scale: int, prefix: str, tmp_path: Path
) -> None:
    original = networks(scale)
    model = import_seed_weights(saved(checkpoint(original, prefix), tmp_path))
    assert_same(model.a_to_b, original["netG_A"], noise(8, 12, 8))
    assert model.b_to_a is not None
    assert_same(model.b_to_a, original["netG_B"], noise(16, 32, 16))
    assert (model.header.scale, model.b_to_a.inputs) == (scale, 1)


def test_the_deep_generators_are_known_by_their_shapes(tmp_path: Path) -> None:
    original = networks(1) | randomised({"netG_A": Deep(2), "netG_B": Deep(2)})
    model = import_seed_weights(saved(checkpoint(original), tmp_path))
    assert_same(model.a_to_b, original["netG_A"], noise(32, 32, 64))
    assert_same(model.generator("b_to_a"), original["netG_B"], noise(32, 32, 64))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_imported_discriminators_give_the_logits_of_the_original_judgements(
    layers: int, tmp_path: Path
) -> None:
    original = networks(1, layers=layers)
    model = import_seed_weights(saved(checkpoint(original), tmp_path))
    image = noise(32, 32, 40)
    for ours, theirs in ((model.judge_b, "netD_A"), (model.judge_a, "netD_B")):
        assert ours is not None
        judgement = torch.sigmoid(ours(image))
        torch.testing.assert_close(
            judgement, original[theirs](image), rtol=1e-5, atol=1e-6
        )
    assert model.judge_a is not None
    assert not torch.allclose(model.judge_a(image), model.judge_b(image), atol=1e-3)


def test_statistics_of_a_batch_norm_that_did_move_are_folded_in_as_well(
    tmp_path: Path,
) -> None:
    original = networks(1)
    for module in original["netD_A"].modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean = torch.linspace(-1, 1, module.num_features)
            module.running_var = torch.linspace(0.5, 2, module.num_features)
    model = import_seed_weights(saved(checkpoint(original), tmp_path))
    image = noise(32, 32, 32)
    expected = original["netD_A"](image)
    torch.testing.assert_close(torch.sigmoid(model.judge_b(image)), expected)


@pytest.mark.parametrize(("f", "ndf"), [(2, 4), (6, 2), (32, 64)])
def test_widths_follow_from_the_shapes(f: int, ndf: int, tmp_path: Path) -> None:
    path = saved(checkpoint(networks(2, f=f, ndf=ndf)), tmp_path)
    config = import_seed_weights(path).header.config
    assert (config.generator.filters, config.discriminator.filters) == (f, ndf)


def test_an_imported_model_is_saved_and_loaded_like_any_other(tmp_path: Path) -> None:
    original = networks(2)
    model = import_seed_weights(saved(checkpoint(original), tmp_path))
    save_model(model, tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    assert again.header == model.header
    assert_same(again.a_to_b, original["netG_A"], noise(8, 8, 8))


def test_what_is_not_in_a_checkpoint_is_said_to_be_unknown(tmp_path: Path) -> None:
    model = import_seed_weights(saved(checkpoint(networks(2)), tmp_path))
    origin, config = model.header.provenance, model.header.config
    assert origin.steps == 1200
    assert origin.volumes_a[0].startswith("unknown (3DCycleGaN, 2x_1ms_001200")
    assert (origin.unit_a, origin.spacing_b) == ("pixel", (0.5, 0.5, 0.5))
    assert (config.intensity.method, config.intensity.scope) == ("zscore", "volume")
    assert model.header.receptive_field == {"a_to_b": (12, 16), "b_to_a": (32, 40)}


def without(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda state: state["model_state_dict"].pop(name)


def transposed(state: dict[str, Any]) -> None:
    weights = state["model_state_dict"]["netG_A"]
    weights["module.conv2.weight"] = weights["module.conv2.weight"].transpose(0, 1)


def not_finite(state: dict[str, Any]) -> None:
    state["model_state_dict"]["netG_B"]["module.final.bias"][:] = float("nan")


def other_channels(state: dict[str, Any]) -> None:
    weights = state["model_state_dict"]["netG_A"]
    weights["module.conv1.weight"] = weights["module.conv1.weight"].repeat(
        1, 3, 1, 1, 1
    )


def mixed(state: dict[str, Any]) -> None:
    nets = state["model_state_dict"]
    nets["netG_B"] = nets["netG_A"]


def no_bias_of_the_norm(state: dict[str, Any]) -> None:
    del state["model_state_dict"]["netD_B"]["module.model.3.bias"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without("netG_B"), "holds no weights of netG_B"),
        (without("netD_A"), "holds no weights of netD_A"),
        (lambda state: state.pop("model_state_dict"), "holds no weights of netG_A"),
        (lambda state: state.update(model_state_dict=[1]), "holds no weights"),
        (lambda state: state["model_state_dict"]["netG_A"].clear(), "UNetSim3d both"),
        (
            lambda state: state["model_state_dict"]["netG_A"].popitem(),
            "UNetSim3d both",
        ),
        (transposed, "UNetSim3d both"),
        (other_channels, "with one channel"),
        (mixed, "UNetSim3dSRx2 with"),
        (no_bias_of_the_norm, "netD_B is not one"),
        (not_finite, "netG_B are no finite numbers"),
    ],
)
def test_other_networks_are_refused_in_one_sentence(
    change: Callable[[dict[str, Any]], Any], sentence: str, tmp_path: Path
) -> None:
    state = checkpoint(networks(2))
    change(state)
    with pytest.raises(InputError, match=sentence) as refusal:
        import_seed_weights(saved(state, tmp_path))
    assert "001200.pt: " in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [[1, 2], torch.ones(3), {}, {"a": 1}, "text"])
def test_files_with_something_else_in_them_are_refused(
    content: Any, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"001200\.pt: "):
        import_seed_weights(saved(content, tmp_path))


class Attack:
    """What a pickle may do to whoever trusts it."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.victim),)


def test_code_in_a_checkpoint_never_runs(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    path = saved({**checkpoint(networks(1)), "loss": Attack(victim)}, tmp_path)
    with pytest.raises(InputError, match="tensors and plain values alone"):
        import_seed_weights(path)
    assert not victim.exists()
    torch.load(path, weights_only=False)
    assert victim.exists()  # the attack is one


def test_a_file_that_would_unpack_to_more_than_it_holds_is_refused(
    tmp_path: Path,
) -> None:
    path = saved({"model_state_dict": torch.zeros(100_000)}, tmp_path)
    packed = tmp_path / "packed.pt"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry), zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="or damaged"):
        import_seed_weights(packed)


@pytest.mark.parametrize("part", [0, 1, 100, 0.5, 0.99])
def test_a_cut_off_file_is_refused(part: float, tmp_path: Path) -> None:
    path = saved(checkpoint(networks(1)), tmp_path)
    content = path.read_bytes()
    size = part if isinstance(part, int) else int(part * len(content))
    path.write_bytes(content[:size])
    with pytest.raises(InputError, match="or damaged"):
        import_seed_weights(path)


def test_weights_that_have_changed_on_disk_are_refused(tmp_path: Path) -> None:
    path = saved(checkpoint(networks(1)), tmp_path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2  # far from names and directory: weights
    content[middle : middle + 100] = bytes(100)
    path.write_bytes(content)
    assert zipfile.ZipFile(path).testzip() is not None
    with pytest.raises(InputError, match="or damaged"):
        import_seed_weights(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        import_seed_weights(tmp_path / "nothing.pt")
    with pytest.raises(InputError, match="no such file"):
        import_seed_weights(tmp_path)
