import numpy as np
import pytest

from napari_cyclegan3d import prepare
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import limits
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare import STEPS, PrepareDone, Warned, Working


def test_every_step_has_a_title_one_sentence_and_settings_with_defaults() -> None:
    for name, step in STEPS.items():
        assert name == step.name
        assert step.title[0].isupper()
        assert step.help.endswith(".")
        assert bool(step.partner_is) == (step.partner != "none")
        defaults = step.settings()
        for field, info in step.settings.model_fields.items():
            assert (info.description or "").endswith("."), field
            if type(getattr(defaults, field)) in (int, float):
                assert limits(info) or field in ("outside", "value", "threshold"), field


@pytest.mark.parametrize("name", [n for n in STEPS if n not in ("n4", "undo")])
def test_a_step_tells_what_it_does_and_is_recorded_last(
    ball: Volume, name: str
) -> None:
    step = STEPS[name]
    partner = None if step.partner == "none" else ball
    events = list(prepare.prepared(ball, name, step.settings(), partner))
    assert all(isinstance(one, Working | Warned) for one in events[:-1])
    fractions = [one.fraction for one in events if isinstance(one, Working)]
    assert fractions
    assert all(0 <= one <= 1 for one in fractions)
    done = events[-1]
    assert isinstance(done, PrepareDone)
    assert done.record.step == name
    assert done.volume.metadata["prepared"] == (done.record,)
    assert done.record.before.shape == ball.shape
    assert done.record.after.shape == done.volume.shape
    np.testing.assert_allclose(done.record.after.affine, done.volume.affine)
    assert done.volume.read().shape == done.volume.shape
    assert "prepared" not in ball.metadata


def test_history_grows_with_every_step(ball: Volume) -> None:
    volume = prepare.run(ball, "pad", margin=(1, 1, 1), multiple=1)
    volume = prepare.run(volume, "crop")
    volume = prepare.run(volume, "resample", spacing=(3, 3, 3))
    assert [one.step for one in volume.metadata["prepared"]] == [
        "pad",
        "crop",
        "resample",
    ]


def test_what_is_warned_of_stands_in_the_record(ball: Volume) -> None:
    *_, done = prepare.prepared(ball, "brain-mask", STEPS["brain-mask"].settings())
    assert isinstance(done, PrepareDone)
    assert "not a brain extraction" in done.record.remarks[0]


def test_impossible_requests_are_refused_in_one_sentence(ball: Volume) -> None:
    with pytest.raises(InputError, match="step 'n5': there is none; known are n4"):
        prepare.run(ball, "n5")
    with pytest.raises(InputError, match="mask: needs a second volume, the mask"):
        prepare.run(ball, "mask")
    with pytest.raises(InputError, match="pad: takes no second volume"):
        prepare.run(ball, "pad", ball)
    with pytest.raises(InputError, match="unknown setting 'shrinkage'"):
        prepare.run(ball, "n4", shrinkage=2)


def test_an_abandoned_step_ends_at_once(ball: Volume) -> None:
    events = prepare.prepared(ball, "crop", STEPS["crop"].settings())
    next(events)
    events.close()
    with pytest.raises(StopIteration):
        next(events)
