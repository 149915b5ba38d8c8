"""Settings → form → settings, without loss."""

from collections.abc import Iterator
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
from pydantic.fields import FieldInfo
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QLineEdit,
    QSpinBox,
    QWidget,
)
from superqt import QCollapsible

from napari_cyclegan3d.engine.config import EnhanceConfig, TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.presets import load_preset, preset_names
from napari_cyclegan3d.engine.settings import Settings, parse
from napari_cyclegan3d.gui.forms import MORE, SettingsForm
from napari_cyclegan3d.gui.labels import LABELS, TITLES, label
from napari_cyclegan3d.gui.parts import folded, scrolled
from napari_cyclegan3d.gui.raw_dialog import ROWS
from napari_cyclegan3d.prepare.pairs import PairSettings
from napari_cyclegan3d.prepare.splitting import SplitSettings
from napari_cyclegan3d.prepare.steps import STEPS

MODELS = [TrainConfig, EnhanceConfig]
FAR = 2**31 - 1
# places in the viewer, not numbers in a form
HIDDEN = ("preview_a", "preview_b")
HIDDEN_IN: dict[type[Settings], tuple[str, ...]] = {
    TrainConfig: HIDDEN,
    EnhanceConfig: (),
}


def unfolded(form: SettingsForm) -> SettingsForm:
    """The form as somebody has it who types into it."""
    for fold in form.findChildren(QCollapsible):
        fold.expand(animate=False)
    return form


def limits(info: FieldInfo) -> dict[str, float]:
    return {
        key: getattr(rule, key)
        for rule in info.metadata
        for key in ("ge", "gt", "le", "lt")
        if getattr(rule, key, None) is not None
    }


def random_number(kind: type, info: FieldInfo, rng: np.random.Generator) -> Any:
    """A limit, or a number of four digits between the limits, of any magnitude."""
    rules = limits(info)
    ends = [rules[key] for key in ("ge", "le") if key in rules]
    if ends and rng.random() < 0.3:
        return kind(rng.choice(ends))
    low = max(rules.get("ge", 0), rules.get("gt", 0), 1 if kind is int else 1e-7)
    high = min(rules.get("le", FAR), rules.get("lt", FAR))
    drawn = np.exp(rng.uniform(np.log(low), np.log(high)))
    if kind is int:
        return int(drawn)
    # four digits may round up to an exclusive limit
    rounded = float(f"{drawn:.4g}")
    return rounded if low <= rounded < high else low


TERMS = ("l1", "mse*0.5", "gradient[0]", "fsc[0]*1e-3", "ssim")
LISTS: dict[str, tuple[Any, ...]] = {
    "encoder": (2, 64, 1024, 16, 8, 4, 32),
    "decoder": (8, 512, 3, 2, 77, 128),
    "strides": (1, 2, 2, 1, 2, 2),
    "cycle_losses": TERMS,
    "identity_losses": TERMS,
    "paired_losses": TERMS,
}


def random_value(name: str, info: FieldInfo, rng: np.random.Generator) -> Any:
    kind, kinds = info.annotation, get_args(info.annotation)
    if kind is bool:
        return bool(rng.random() < 0.5)
    if kind in (int, float):
        return random_number(kind, info, rng)
    if kind is str:
        return str(rng.choice(["auto", "cpu", "cuda", "cuda:13", "mps"]))
    if get_origin(kind) is Literal:
        return kinds[rng.integers(len(kinds))]
    if NoneType in kinds and rng.random() < 0.3:
        return None
    if name in LISTS:
        return LISTS[name][: int(rng.integers(2, len(LISTS[name]) + 1))]
    if name in ("kickstart", "freeze_steps"):
        return int(rng.integers(1_000_000))
    if name == "tile":
        return tuple(int(side) for side in rng.integers(1, FAR, 3))
    low, high = sorted(int(end) for end in rng.choice(99999, 2, replace=False))
    if name == "label_fake":
        return -high / 1e4, (low - 99999) / 1e4
    return low / 1e3, high / 1e3


def random_values(model: type[Settings], rng: np.random.Generator) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, Settings):
            values[name] = random_values(kind, rng)
        elif name != "patch" and name not in HIDDEN:
            values[name] = random_value(name, info, rng)
    return values


def random_settings(model: type[Settings], rng: np.random.Generator) -> Settings:
    """Settings of which each is drawn, until they do not contradict each other."""
    while True:
        values = random_values(model, rng)
        if model is TrainConfig:
            generator, judge = values["generator"], values["discriminator"]
            generator["decoder"] = LISTS["decoder"][: len(generator["encoder"]) - 1]
            if judge["strides"] is not None:
                judge["strides"] = LISTS["strides"][: judge["layers"] + 2]
            if values["loss"]["adversarial"] == "bce":
                values["loss"] |= {"label_fake": (0.0, 0.25), "label_real": (0.75, 0.9)}
            sides = 256 * rng.integers(2, 1000, 3)
            sides[: 3 - values["dims"]] = 1
            values["patch"] = tuple(int(side) for side in sides)
        try:
            return parse(model, values)
        except InputError:
            continue


def parts(form: SettingsForm) -> Iterator[tuple[QWidget, FieldInfo]]:
    """The widget of each setting, sections included."""
    for part in (form, *form.findChildren(SettingsForm)):
        for name, info in part.model.model_fields.items():
            kind = info.annotation
            section = isinstance(kind, type) and issubclass(kind, Settings)
            if not section and name not in HIDDEN:
                direct = Qt.FindChildOption.FindDirectChildrenOnly
                widget = part.findChild(QWidget, name, direct)
                assert widget is not None, name
                yield widget, info


def boxes(widget: QWidget, kind: type[QWidget]) -> list[Any]:
    own = [widget] if isinstance(widget, kind) else []
    return [*own, *widget.findChildren(kind)]


@pytest.fixture(params=MODELS, ids=lambda model: model.__name__)
def form(request: pytest.FixtureRequest, qtbot: QtBot) -> SettingsForm:
    form = unfolded(SettingsForm(request.param, hidden=HIDDEN_IN[request.param]))
    qtbot.addWidget(form)
    return form


def test_a_new_form_shows_the_defaults(form: SettingsForm) -> None:
    assert form.value() == form.model()


def test_a_form_gives_back_any_settings_that_it_is_given(form: SettingsForm) -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        settings = random_settings(form.model, rng)
        form.set_value(settings)
        assert form.value() == settings


@pytest.mark.parametrize("name", preset_names())
def test_a_form_gives_back_every_preset(name: str, qtbot: QtBot) -> None:
    form = SettingsForm(TrainConfig)
    qtbot.addWidget(form)
    settings = parse(TrainConfig, load_preset(name).settings)
    form.set_value(settings)
    assert form.value() == settings != TrainConfig()


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("encoder", "8, 16,32 ,64,2", (8, 16, 32, 64, 2)),
        ("cycle_losses", " l1,ssim*0.5 ", ("l1", "ssim*0.5")),
        ("paired_losses", "fsc[0]*1e-3", ("fsc[0]*1e-3",)),
    ],
)
def test_a_list_is_typed_with_commas(
    name: str, typed: str, value: tuple[Any, ...], qtbot: QtBot
) -> None:
    form = unfolded(SettingsForm(TrainConfig))
    qtbot.addWidget(form)
    line = form.findChild(QLineEdit, name)
    line.clear()
    qtbot.keyClicks(line, typed)
    values = form.value().model_dump()
    assert {**values["generator"], **values["loss"]}[name] == value


@pytest.mark.parametrize(
    ("name", "typed", "reason"),
    [
        ("encoder", "8, many, 8, 8, 8", "setting generator.encoder, entry 2, = 'many'"),
        ("encoder", "8, 8, 8, 8, 1", "setting generator.encoder, entry 5, = '1'"),
        ("encoder", "8, 8, , 8, 8", "setting generator.encoder, entry 3, = ''"),
        ("encoder", "8, 8, 8, 8", "generator.decoder has 4 entries for an encoder"),
        ("cycle_losses", "l1, l3", "setting loss.cycle_losses, entry 2, = 'l3'"),
        ("cycle_losses", "", "setting loss.cycle_losses = ()"),
    ],
)
def test_a_list_that_cannot_be_is_refused_in_a_sentence(
    name: str, typed: str, reason: str, qtbot: QtBot
) -> None:
    form = unfolded(SettingsForm(TrainConfig))
    qtbot.addWidget(form)
    form.findChild(QLineEdit, name).setText(typed)
    with pytest.raises(InputError) as refused:
        form.value()
    assert str(refused.value).startswith(reason)


def test_every_section_has_a_title(qtbot: QtBot) -> None:
    used = []
    for model in (TrainConfig, InspectConfig):
        form = SettingsForm(model)
        qtbot.addWidget(form)
        sections = [name for name, value in model() if isinstance(value, Settings)]
        folds = form.findChildren(QCollapsible)
        assert [fold.text() for fold in folds] == [f"▸ {TITLES[s]}" for s in sections]
        assert not any(fold.isExpanded() for fold in folds)
        used += sections
    assert used == list(TITLES)


@pytest.mark.parametrize("rate", [2e-4, 4e-4, 1e-7, 3.3e-6, 0.1, 1e-10])
def test_small_numbers_are_neither_rounded_nor_shown_as_others(
    rate: float, qtbot: QtBot
) -> None:
    form = unfolded(SettingsForm(TrainConfig))
    qtbot.addWidget(form)
    form.set_value(parse(TrainConfig, {"optim": {"lr_generator": rate}}))
    value = form.value()
    assert isinstance(value, TrainConfig)
    assert value.optim.lr_generator == rate
    box = form.findChild(QDoubleSpinBox, "lr_generator")
    assert float(box.text()) == rate


@pytest.mark.parametrize(
    ("typed", "rate"),
    [("0.0002", 2e-4), ("2e-4", 2e-4), ("1e-07", 1e-7), ("3.5E-6", 3.5e-6)],
)
def test_small_numbers_can_be_typed_as_people_write_them(
    typed: str, rate: float, qtbot: QtBot
) -> None:
    form = unfolded(SettingsForm(TrainConfig))
    qtbot.addWidget(form)
    box = form.findChild(QDoubleSpinBox, "lr_generator")
    box.selectAll()
    qtbot.keyClicks(box, typed)
    value = form.value()
    assert isinstance(value, TrainConfig)
    assert value.optim.lr_generator == rate


def test_a_digit_of_a_very_small_number_can_be_changed(qtbot: QtBot) -> None:
    form = unfolded(SettingsForm(TrainConfig))
    qtbot.addWidget(form)
    form.set_value(parse(TrainConfig, {"optim": {"lr_generator": 1e-5}}))
    box = form.findChild(QDoubleSpinBox, "lr_generator")
    line = box.lineEdit()
    line.setSelection(0, 1)
    qtbot.keyClicks(line, "7")
    assert form.values()["optim"]["lr_generator"] == 7e-5


def test_a_negative_number_can_be_typed_where_it_may_be_negative(qtbot: QtBot) -> None:
    form = unfolded(SettingsForm(TrainConfig))
    qtbot.addWidget(form)
    low, _ = boxes(form.findChild(QWidget, "label_fake"), QDoubleSpinBox)
    low.selectAll()
    qtbot.keyClicks(low, "-0.25")
    assert form.values()["loss"]["label_fake"] == (-0.25, 0)


def test_what_is_no_number_cannot_be_typed(qtbot: QtBot) -> None:
    form = unfolded(SettingsForm(TrainConfig))
    qtbot.addWidget(form)
    before = form.value()
    box = form.findChild(QDoubleSpinBox, "lr_generator")
    for text in ("many", "1e", "-", "1e-", "5000", "-1", "nan", "inf"):
        box.selectAll()
        qtbot.keyClicks(box, text)
        qtbot.keyClick(box, Qt.Key.Key_Return)
        rate = form.values()["optim"]["lr_generator"]
        assert 0 < rate <= 0.1
        form.value()
        form.set_value(before)


def test_tooltips_are_the_descriptions(form: SettingsForm) -> None:
    for widget, info in parts(form):
        assert info.description
        assert widget.toolTip() == f"<qt>{info.description}</qt>"


def test_limits_are_those_of_the_settings(form: SettingsForm) -> None:
    seen = 0
    for widget, info in parts(form):
        rules = limits(info)
        for box in (*boxes(widget, QSpinBox), *boxes(widget, QDoubleSpinBox)):
            seen += bool(rules)
            if "ge" in rules:
                assert box.minimum() == rules["ge"]
            if "gt" in rules:
                assert rules["gt"] < box.minimum() <= rules["gt"] + 1e-9
            if "le" in rules:
                assert box.maximum() == rules["le"]
            if "lt" in rules:
                assert rules["lt"] - 1e-9 <= box.maximum() < rules["lt"]
    assert seen > 1


def test_choices_are_those_of_the_settings(form: SettingsForm) -> None:
    for widget, info in parts(form):
        if get_origin(info.annotation) is Literal:
            assert isinstance(widget, QComboBox)
            shown = [widget.itemData(row) for row in range(widget.count())]
            assert tuple(shown) == get_args(info.annotation)


def test_the_wheel_changes_no_value_and_scrolls_what_is_around(
    form: SettingsForm,
) -> None:
    # what is automatic is switched off
    given: dict[str, Any] = {"tile": (8, 8, 8)}
    if form.model is TrainConfig:
        given = {"optim": {"kickstart": 5, "freeze_steps": 0}}
    before = parse(form.model, {"device": "cpu", **given})
    form.set_value(before)
    wheeled = [*boxes(form, QAbstractSpinBox), *boxes(form, QComboBox)]
    assert len(wheeled) >= 7
    for box in wheeled:
        for turn in (120, -120):
            event = QWheelEvent(
                QPointF(3, 3),
                QPointF(3, 3),
                QPoint(),
                QPoint(0, turn),
                Qt.MouseButton.NoButton,
                Qt.KeyboardModifier.NoModifier,
                Qt.ScrollPhase.NoScrollPhase,
                False,
            )
            QApplication.sendEvent(box, event)
            assert not event.isAccepted()
    assert form.value() == before


def edit(widget: QWidget, value: Any) -> None:
    """Change a setting as a user does."""
    match widget:
        case QCheckBox():
            widget.setChecked(value)
        case QComboBox() if widget.isEditable():
            widget.setCurrentText(value)
        case QComboBox():
            widget.setCurrentIndex(widget.findData(value))
        case QLineEdit():
            widget.setText(", ".join(map(str, value)))
        case QAbstractSpinBox():
            widget.setValue(value)
        case _:
            edit_parts(widget, value)


def edit_parts(row: QWidget, value: Any) -> None:
    direct = Qt.FindChildOption.FindDirectChildrenOnly
    first, *others = row.findChildren(QWidget, options=direct)
    if isinstance(first, QCheckBox):  # automatic
        first.setChecked(value is None)
        if value is not None:
            edit(others[0], value)
        return
    for part, one in zip((first, *others), value, strict=True):
        edit(part, one)


def leaves(settings: Settings) -> Iterator[Any]:
    """The value of each setting, in the order of `parts`."""
    for name, value in settings:
        if not isinstance(value, Settings) and name not in HIDDEN:
            yield value
    for _, value in settings:
        if isinstance(value, Settings):
            yield from leaves(value)


def test_every_setting_can_be_edited_and_each_change_is_told(
    form: SettingsForm,
) -> None:
    told: list[bool] = []
    form.changed.connect(lambda: told.append(True))
    rng = np.random.default_rng(6)
    tried = set()
    for _ in range(40):
        form.set_value(form.model())
        wanted = random_settings(form.model, rng)
        defaults, values = leaves(form.model()), leaves(wanted)
        for (widget, _), default, value in zip(
            parts(form), defaults, values, strict=True
        ):
            told.clear()
            edit(widget, value)
            assert bool(told) == (value != default), (widget.objectName(), value)
            if told:
                tried.add(widget)
        assert form.value() == wanted
    assert [w.objectName() for w, _ in parts(form) if w not in tried] == []


def test_what_is_automatic_shows_no_earlier_value(qtbot: QtBot) -> None:
    form = SettingsForm(EnhanceConfig)
    qtbot.addWidget(form)
    form.set_value(EnhanceConfig(tile=(5, 6, 7)))
    form.set_value(EnhanceConfig())
    row = form.findChild(QWidget, "tile")
    assert [box.value() for box in row.findChildren(QSpinBox)] == [0, 0, 0]


def sections_of(model: type[Settings]) -> list[type[Settings]]:
    kinds = [info.annotation for info in model.model_fields.values()]
    inner = [
        one for one in kinds if isinstance(one, type) and issubclass(one, Settings)
    ]
    return [model, *inner]


def test_every_setting_has_a_label_of_its_own_and_every_label_a_setting() -> None:
    used = set()
    steps = [step.settings for step in STEPS.values()]
    trained = (*sections_of(TrainConfig), *sections_of(InspectConfig))
    for model in (*trained, *steps, PairSettings, SplitSettings):
        labels = [label(model, name) for name in model.model_fields]
        assert len(set(labels)) == len(labels)
        for name, info in model.model_fields.items():
            kind = info.annotation
            if not (isinstance(kind, type) and issubclass(kind, Settings)):
                key = f"{model.__name__}.{name}"
                key = key if key in LABELS else name
                assert key in LABELS or name in HIDDEN
                used.add(key)
    rows = [(f"RawLayout.{name}", name) for name in ROWS]
    used |= {key if key in LABELS else name for key, name in rows}
    assert set(LABELS) <= used


def test_a_label_explains_its_setting_as_its_editor_does(form: SettingsForm) -> None:
    titles = {title.buddy(): title for title in form.findChildren(QLabel)}
    for widget, info in parts(form):
        assert titles[widget].toolTip() == widget.toolTip()
        assert info.description in widget.toolTip()
        assert widget.accessibleName() == titles[widget].text()


def test_what_matters_less_is_folded_and_nothing_is_lost(qtbot: QtBot) -> None:
    form = SettingsForm(EnhanceConfig, top=("direction", "memory"))
    qtbot.addWidget(form)
    fold = form.findChild(QCollapsible)
    assert fold.text() == f"▸ {MORE}"
    assert not fold.isExpanded()
    for name in EnhanceConfig.model_fields:
        widget = form.findChild(QWidget, name)
        assert fold.isAncestorOf(widget) == (name not in ("direction", "memory"))
    settings = parse(EnhanceConfig, {"overlap": 0.25, "memory": 3.5})
    form.set_value(settings)
    assert form.value() == settings


def test_what_is_hidden_is_kept_and_cannot_be_edited(qtbot: QtBot) -> None:
    form = SettingsForm(TrainConfig, hidden=("seed", "keep"))
    qtbot.addWidget(form)
    assert form.findChild(QWidget, "seed") is None
    settings = parse(TrainConfig, {"seed": 7, "keep": 9, "steps": 5})
    form.set_value(settings)
    assert form.value() == settings


def test_the_arrow_of_a_section_has_the_colour_of_its_text(qtbot: QtBot) -> None:
    fold = folded("Losses", QWidget())
    qtbot.addWidget(fold)
    button = fold.toggleButton()
    # an icon would keep the colour it was drawn in
    assert button.icon().pixmap(1).toImage().pixelColor(0, 0).alpha() == 0
    assert button.text() == "▸ Losses"
    button.click()
    assert button.text() == "▾ Losses"
    fold.collapse(animate=False)
    assert button.text() == "▸ Losses"
    assert button.accessibleName() == "Losses"


def test_the_width_of_a_page_does_not_depend_on_its_height(qtbot: QtBot) -> None:
    page = QWidget()
    area = scrolled(page)
    qtbot.addWidget(area)
    area.resize(300, 300)
    area.show()
    widths = set()
    for height in (100, 1000):
        page.setMinimumHeight(height)
        QApplication.processEvents()
        widths.add(page.width())
    assert len(widths) == 1, "pictures that fit the width would change the height"


def test_sections_that_were_unfolded_can_be_unfolded_again(qtbot: QtBot) -> None:
    first, second = (SettingsForm(TrainConfig, top=("steps",)) for _ in range(2))
    for form in (first, second):
        qtbot.addWidget(form)
    assert first.unfolded() == []
    first.unfold(["more", "loss", "of an older version"])
    assert first.unfolded() == ["more", "loss"]
    second.unfold(first.unfolded())
    assert second.unfolded() == ["more", "loss"]
