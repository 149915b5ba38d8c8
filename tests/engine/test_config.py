import inspect
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from napari_cyclegan3d.engine import config as settings
from napari_cyclegan3d.engine.config import EnhanceConfig, TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.sections.patches import IntensityConfig
from napari_cyclegan3d.engine.settings import Settings, load_yaml, parse, to_yaml

MODELS = [
    model
    for _, model in inspect.getmembers(settings, inspect.isclass)
    if issubclass(model, Settings)
]
FIELDS = [
    pytest.param(model, field, id=f"{model.__name__}.{name}")
    for model in MODELS
    for name, field in model.model_fields.items()
]
CHANGED = {
    "scale": 2,
    "patch": [24, 32, 48],
    "steps": 77,
    "seed": 5,
    "generator": {"filters": 8, "noise": False},
    "loss": {"adversarial": "bce", "cycle_a": 1.5},
    "optim": {"lr_generator": 1e-5, "schedule": "linear"},
    "intensity": {"method": "percentile", "percentiles": [1, 99.9]},
}


@pytest.mark.parametrize(("model", "field"), FIELDS)
def test_every_setting_is_described(model: type[Settings], field: FieldInfo) -> None:
    group = field.annotation
    if inspect.isclass(group) and issubclass(group, Settings):
        assert group.__doc__
    else:
        assert field.description, f"{model.__name__}: a field without a description"


@pytest.mark.parametrize("values", [{}, CHANGED], ids=["defaults", "changed"])
def test_settings_written_as_yaml_and_read_again_are_the_same(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    before = parse(TrainConfig, values)
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(before), encoding="utf-8")
    assert parse(TrainConfig, load_yaml(path)) == before
    assert before == TrainConfig() or values


def test_enhance_settings_survive_yaml(tmp_path: Path) -> None:
    before = EnhanceConfig(tile=(64, 32, 16), overlap=0.25, direction="b_to_a")
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(before), encoding="utf-8")
    assert parse(EnhanceConfig, load_yaml(path)) == before


@pytest.mark.parametrize(
    ("values", "key", "known"),
    [
        ({"stesp": 10}, "stesp", list(TrainConfig.model_fields)),
        ({"optim": {"lr": 1}}, "optim.lr", ["lr_generator", "lr_discriminator"]),
    ],
)
def test_an_unknown_setting_is_named_together_with_the_known_ones(
    values: dict[str, Any], key: str, known: list[str]
) -> None:
    with pytest.raises(InputError) as refusal:
        parse(TrainConfig, values)
    message = str(refusal.value)
    assert f"unknown setting '{key}'" in message
    assert all(name in message for name in known)


def test_a_patch_that_does_not_fit_the_networks_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError) as refusal:
        parse(TrainConfig, {"patch": (50, 64, 64)})
    message = str(refusal.value)
    assert "patch (50, 64, 64): each side must be a multiple of 4" in message
    assert message.endswith("nearest is (48, 64, 64)")


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_the_nearest_patch_that_is_proposed_is_accepted(layers: int) -> None:
    judge = {"layers": layers}
    with pytest.raises(InputError) as refusal:
        parse(TrainConfig, {"patch": (1, 33, -8), "discriminator": judge})
    proposed = str(refusal.value).partition("nearest is (")[2].rstrip(")").split(",")
    parse(TrainConfig, {"patch": [int(n) for n in proposed], "discriminator": judge})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"steps": 0}, "setting steps = 0: input should be greater than or equal to 1"),
        ({"scale": 3}, "setting scale = 3: input should be 1, 2 or 4"),
        ({"steps": "many"}, "setting steps = 'many': input should be a valid integer"),
        ({"patch": (32, 32)}, "setting patch, entry 3, = "),
        ({"optim": {"lr_generator": float("nan")}}, "setting optim.lr_generator = nan"),
        ({"loss": {"identity_b": -1}}, "setting loss.identity_b = -1"),
        ({"device": "gpu"}, "setting device = 'gpu'"),
        ({"optim": 3}, "setting optim = 3"),
    ],
)
def test_an_impossible_value_is_named_with_its_setting(
    values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError) as refusal:
        parse(TrainConfig, values)
    message = str(refusal.value)
    assert message.startswith(sentence)
    assert "\n" not in message


@pytest.mark.parametrize("limits", [(99.0, 1.0), (-1, 99), (1, 101), (50, 50)])
def test_percentiles_that_are_no_range_are_refused(limits: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="0 <= lower < upper <= 100"):
        parse(IntensityConfig, {"percentiles": limits})


def test_a_tile_without_voxels_is_refused() -> None:
    with pytest.raises(InputError, match=r"tile \(8, 0, 8\): each side"):
        parse(EnhanceConfig, {"tile": (8, 0, 8)})


def test_settings_cannot_be_changed_once_made() -> None:
    with pytest.raises(ValueError, match="frozen"):
        TrainConfig().steps = 3


def nested_aliases(levels: int) -> str:
    """A few lines that name ten to the power of `levels` numbers."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for level in range(1, levels):
        inner = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{inner}]")
    return "\n".join([*lines, f"steps: *a{levels - 1}"])


@pytest.mark.parametrize(
    "text",
    [
        "steps: [1, 2",
        "- 1\n- 2",
        "",
        "just a word",
        "steps: 2020-13-45",
        "steps: " + "9" * 5000,
        "steps: " + "[" * 5000,
        "steps: !!python/object/apply:os.getcwd []",
        "\x00",
        nested_aliases(9),
    ],
    ids=[
        "unclosed",
        "list",
        "empty",
        "word",
        "date",
        "huge number",
        "deep",
        "code",
        "binary",
        "aliases",
    ],
)
def test_a_file_that_holds_no_settings_is_refused_in_a_sentence(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refusal:
        parse(TrainConfig, load_yaml(path))
    assert len(str(refusal.value)) < 1000


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"steps: \xff\xfe")
    with pytest.raises(InputError, match="not a YAML file"):
        load_yaml(path)


def test_a_missing_file_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.yaml: No such file"):
        load_yaml(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"device": "gpu"}, "setting device = 'gpu': cannot be used. auto, cpu"),
        ({"patch": 32}, "setting patch = 32: give a list of values"),
        ({"patch": [32, 32]}, "setting patch, entry 3, = .*: this value is missing"),
        ({"loss": {"cycle_losses": ["l1", "l3"]}}, "entry 2, = 'l3': .* Terms l1, mse"),
        ({"generator": {"encoder": [64]}}, "encoder = .*: give at least 2 values"),
        ({"loss": {"label_real": [1, 2, 3]}}, "label_real = .*: give at most 2"),
    ],
)
def test_a_value_of_the_wrong_form_is_answered_in_the_user_s_words(
    values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) as refusal:
        parse(TrainConfig, values)
    assert "^" not in str(refusal.value)
    assert "tuple" not in str(refusal.value)


def test_a_paired_loss_without_pairs_is_refused() -> None:
    with pytest.raises(InputError, match=r"loss\.paired 3 without sampling\.pairs"):
        parse(TrainConfig, {"loss": {"paired": 3}})
    parse(TrainConfig, {"loss": {"paired": 3}, "sampling": {"pairs": True}})


def test_a_channel_that_volumes_do_not_have_is_refused() -> None:
    parse(TrainConfig, {"loss": {"cycle_losses": ["l1[0]*2"]}})
    with pytest.raises(InputError, match=r"loss term l1\[0\+1\]: volumes have one"):
        parse(TrainConfig, {"loss": {"cycle_losses": ["mse", "l1[0+1]"]}})
