"""Previews at places that the user chooses."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.intensity import fit_intensity
from napari_cyclegan3d.engine.training import (
    Domains,
    PreviewReady,
    StepDone,
    train,
)
from napari_cyclegan3d.engine.volume import Volume

ConfigMaker = Callable[..., TrainConfig]
Images = dict[str, np.ndarray]


def previewed(config: TrainConfig, domains: Domains, run: Path) -> Images:
    """The images of the first preview."""
    events = train(config, domains, run)
    try:
        return next(dict(e.images) for e in events if isinstance(e, PreviewReady))
    finally:
        events.close()


def normalised(volumes: list[Volume], number: int, config: TrainConfig) -> np.ndarray:
    """A whole volume as the networks see it."""
    intensity = fit_intensity(volumes, config.intensity)
    return intensity.apply(volumes[number].read())


@pytest.fixture
def several(blobs: Domains) -> Domains:
    """Two volumes in each domain, of different shapes."""
    a, b = blobs.a[0], blobs.b[0]
    return Domains(
        [a, replace(a, array=a.read()[::-1, 2:], name="other fast scan")],
        [b, replace(b, array=b.read()[1:, ::-1], name="other slow scan")],
    )


@pytest.mark.parametrize(
    ("place", "starts"),
    [
        ((1, 12, 12, 11), (6, 6, 5)),
        ((1, 0, 0, 0), (0, 0, 0)),
        ((1, 23, 23, 21), (12, 12, 10)),
    ],
    ids=["middle", "first corner", "last corner"],
)
def test_a_preview_shows_its_place_moved_into_the_volume_and_nothing_else_changed(
    tmp_path: Path,
    tiny: ConfigMaker,
    several: Domains,
    place: tuple[int, ...],
    starts: tuple[int, ...],
) -> None:
    config = tiny(
        steps=1, preview_every=1, preview_a=place, augment={"angle": 20, "noise": 0.3}
    )
    images = previewed(config, several, tmp_path / "run")
    whole = normalised(several.a, 1, config)
    inside = tuple(slice(start, start + 12) for start in starts)
    np.testing.assert_allclose(images["real_a"], whole[inside], rtol=1e-6)
    drawn = previewed(
        config.model_copy(update={"preview_a": None}), several, tmp_path / "drawn"
    )
    np.testing.assert_array_equal(images["real_b"], drawn["real_b"])


def test_a_preview_of_b_at_2x_has_its_place_in_voxels_of_b(
    tmp_path: Path, tiny: ConfigMaker, enlarged: Domains
) -> None:
    config = tiny(scale=2, steps=1, preview_every=1, preview_b=(0, 20, 22, 24))
    images = previewed(config, enlarged, tmp_path / "run")
    whole = normalised(enlarged.b, 0, config)
    np.testing.assert_allclose(images["real_b"], whole[8:32, 10:34, 12:36], rtol=1e-6)


SRGAN: dict[str, Any] = {
    "method": "srgan",
    "scale": 2,
    "loss": {"paired": 1},
    "generator": {"kind": "srresnet", "filters": 4},
}


def test_an_enlargement_that_makes_a_itself_shows_both_at_the_place_of_b(
    tmp_path: Path, tiny: ConfigMaker, enlarged: Domains
) -> None:
    degrade = {"blur": 0.01, "noise": 0.0}
    config = tiny(
        steps=1, preview_every=1, preview_b=(0, 21, 23, 25), degrade=degrade, **SRGAN
    )
    images = previewed(config, Domains([], enlarged.b), tmp_path / "run")
    whole = normalised(enlarged.b, 0, config)
    np.testing.assert_allclose(images["real_b"], whole[8:32, 10:34, 12:36], rtol=1e-6)
    fine = images["real_b"].reshape(12, 2, 12, 2, 12, 2)
    np.testing.assert_allclose(images["real_a"], fine.mean((1, 3, 5)), atol=1e-5)


@pytest.mark.parametrize(
    "places",
    [
        {"preview_a": (1, 12, 12, 11)},
        {"preview_b": (0, 12, 12, 11)},
        {"preview_a": (1, 12, 12, 11), "preview_b": (1, 0, 0, 0)},
    ],
    ids=["a", "b", "both"],
)
def test_pairs_are_shown_at_one_place_whichever_domain_names_it(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains, places: dict[str, Any]
) -> None:
    first = blobs.a[0].read()
    fast = [Volume(first, name="fast_01"), Volume(first[::-1], name="fast_02")]
    # in another order, told apart by their names
    slow = [Volume(-first[::-1], name="slow_02"), Volume(-first, name="slow_01")]
    config = tiny(steps=1, preview_every=1, sampling={"pairs": True}, **places)
    images = previewed(config, Domains(fast, slow), tmp_path / "run")
    inside = (slice(6, 18), slice(6, 18), slice(5, 17))
    np.testing.assert_allclose(
        images["real_a"], normalised(fast, 1, config)[inside], rtol=1e-5
    )
    np.testing.assert_allclose(
        images["real_b"], normalised(slow, 0, config)[inside], rtol=1e-5
    )


@pytest.mark.parametrize(
    ("axis", "index"),
    [
        ("z", (7, slice(6, 18), slice(5, 17))),
        ("y", (slice(1, 13), 12, slice(5, 17))),
        ("x", (slice(1, 13), slice(6, 18), 11)),
    ],
)
def test_a_slice_is_shown_at_its_place_along_any_axis(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains, axis: str, index: Any
) -> None:
    config = tiny(
        dims=2,
        slice_axis=axis,
        patch=(1, 12, 12),
        steps=1,
        preview_every=1,
        preview_a=(0, 7, 12, 11),
    )
    images = previewed(config, blobs, tmp_path / "run")
    whole = normalised(blobs.a, 0, config)
    np.testing.assert_allclose(images["real_a"], whole[index], rtol=1e-6)


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ({"preview_a": (1, 0, 0, 0)}, r"^preview_a \(1, .*: its domain has 1 volumes"),
        ({"preview_a": (0, 24, 0, 0)}, r"outside fast scan of shape \(24, 26, 22\)"),
        ({"preview_b": (0, 0, 0, 26)}, r"outside slow scan of shape \(22, 24, 26\)"),
    ],
    ids=["number", "a", "b"],
)
def test_a_place_where_nothing_is_is_refused_before_anything_is_written(
    tmp_path: Path,
    tiny: ConfigMaker,
    blobs: Domains,
    place: dict[str, Any],
    sentence: str,
) -> None:
    with pytest.raises(InputError, match=sentence):
        next(train(tiny(**place), blobs, tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


def test_a_place_with_a_negative_number_is_no_setting(tiny: ConfigMaker) -> None:
    with pytest.raises(InputError, match="setting preview_a"):
        tiny(preview_a=(0, -1, 0, 0))


def test_the_place_does_not_change_the_training_and_may_change_on_resume(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    plain, placed = tiny(steps=4), tiny(steps=4, preview_a=(0, 9, 9, 9))
    expected = [
        e for e in train(plain, blobs, tmp_path / "plain") if isinstance(e, StepDone)
    ]
    events = train(plain, blobs, tmp_path / "run")
    ours = [next(events) for _ in range(3)][1:]
    events.close()
    resumed = train(placed, blobs, tmp_path / "run", resume=True)
    ours += [e for e in resumed if isinstance(e, StepDone)]
    assert ours == expected
