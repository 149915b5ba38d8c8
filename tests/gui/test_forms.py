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
    QComboBox,
    QDoubleSpinBox,
    QSpinBox,
    QWidget,
)

from napari_cyclegan3d.engine.config import EnhanceConfig, TrainConfig
from napari_cyclegan3d.engine.settings import Settings, parse
from napari_cyclegan3d.gui.forms import SettingsForm

MODELS = [TrainConfig, EnhanceConfig]
FAR = 2**31 - 1


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


def random_value(annotation: Any, info: FieldInfo, rng: np.random.Generator) -> Any:
    if annotation is bool:
        return bool(rng.random() < 0.5)
    if annotation in (int, float):
        return random_number(annotation, info, rng)
    if annotation is str:
        return str(rng.choice(["auto", "cpu", "cuda", "cuda:13", "mps"]))
    kinds = get_args(annotation)
    if get_origin(annotation) is Literal:
        return kinds[rng.integers(len(kinds))]
    if NoneType in kinds:
        return None if rng.random() < 0.3 else random_value(kinds[0], info, rng)
    return tuple(random_value(kind, info, rng) for kind in kinds)


def random_settings(model: type[Settings], rng: np.random.Generator) -> Settings:
    values: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, Settings):
            values[name] = random_settings(kind, rng).model_dump()
        elif name == "patch":
            values[name] = tuple(4 * int(side) for side in rng.integers(20, 300, 3))
        elif name == "percentiles":
            ends = rng.choice([0, 0.05, 1e-4, 12.5, 50, 99.95, 100], 2, replace=False)
            values[name] = tuple(sorted(map(float, ends)))
        else:
            values[name] = random_value(kind, info, rng)
    return parse(model, values)


def parts(form: SettingsForm) -> Iterator[tuple[QWidget, FieldInfo]]:
    """The widget of each setting, sections included."""
    for part in (form, *form.findChildren(SettingsForm)):
        for name, info in part.model.model_fields.items():
            kind = info.annotation
            if not (isinstance(kind, type) and issubclass(kind, Settings)):
                direct = Qt.FindChildOption.FindDirectChildrenOnly
                widget = part.findChild(QWidget, name, direct)
                assert widget is not None, name
                yield widget, info


def boxes(widget: QWidget, kind: type[QWidget]) -> list[Any]:
    own = [widget] if isinstance(widget, kind) else []
    return [*own, *widget.findChildren(kind)]


@pytest.fixture(params=MODELS, ids=lambda model: model.__name__)
def form(request: pytest.FixtureRequest, qtbot: QtBot) -> SettingsForm:
    form = SettingsForm(request.param)
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


@pytest.mark.parametrize("rate", [2e-4, 4e-4, 1e-7, 3.3e-6, 0.1, 1e-10])
def test_small_numbers_are_neither_rounded_nor_shown_as_others(
    rate: float, qtbot: QtBot
) -> None:
    form = SettingsForm(TrainConfig)
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
    form = SettingsForm(TrainConfig)
    qtbot.addWidget(form)
    box = form.findChild(QDoubleSpinBox, "lr_generator")
    box.selectAll()
    qtbot.keyClicks(box, typed)
    value = form.value()
    assert isinstance(value, TrainConfig)
    assert value.optim.lr_generator == rate


def test_a_digit_of_a_very_small_number_can_be_changed(qtbot: QtBot) -> None:
    form = SettingsForm(TrainConfig)
    qtbot.addWidget(form)
    form.set_value(parse(TrainConfig, {"optim": {"lr_generator": 1e-5}}))
    box = form.findChild(QDoubleSpinBox, "lr_generator")
    line = box.lineEdit()
    line.setSelection(0, 1)
    qtbot.keyClicks(line, "7")
    assert form.values()["optim"]["lr_generator"] == 7e-5


def test_what_is_no_number_cannot_be_typed(qtbot: QtBot) -> None:
    form = SettingsForm(TrainConfig)
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
    tile = {"tile": (8, 8, 8)} if form.model is EnhanceConfig else {}
    before = parse(form.model, {"device": "cpu", **tile})
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


def replaced(settings: Settings, section: str, name: str, value: Any) -> Settings:
    """The settings with one value replaced, unchecked."""
    if not section:
        return settings.model_copy(update={name: value})
    part = getattr(settings, section).model_copy(update={name: value})
    return settings.model_copy(update={section: part})


def leaves(settings: Settings, section: str = "") -> Iterator[tuple[str, str, Any]]:
    """Section, name and value of each setting."""
    for name, value in settings:
        if isinstance(value, Settings):
            yield from leaves(value, name)
        else:
            yield section, name, value


def test_a_change_of_any_setting_is_told(form: SettingsForm) -> None:
    told: list[bool] = []
    form.changed.connect(lambda: told.append(True))
    rng = np.random.default_rng(6)
    before = form.value()
    tried = set()
    for _ in range(12):
        now = {(s, n): value for s, n, value in leaves(before)}
        for section, name, value in leaves(random_settings(form.model, rng)):
            if value == now[section, name]:
                continue
            tried.add((section, name))
            form.set_value(before)
            told.clear()
            form.set_value(replaced(before, section, name, value))
            assert told, (section, name, value)
    assert tried == {(section, name) for section, name, _ in leaves(before)}
