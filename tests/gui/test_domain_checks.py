"""What a user is warned of before a training."""

from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.domains.checks import Warnings, find_warnings
from napari_cyclegan3d.gui.domains.facts import Facts, look_at
from napari_cyclegan3d.gui.source import Source


@pytest.fixture
def file(tmp_path: Path) -> Any:
    """A function: a file with noise, as the text of a source."""

    def write(
        name: str, size: float = 1.0, unit: str = "micrometer", seed: int | None = None
    ) -> str:
        seed = crc32(name.encode()) if seed is None else seed
        noise = np.random.default_rng(seed).normal(size=(24, 26, 28))
        place = np.diag([size, size, size, 1.0])
        path = tmp_path / name
        io.write(Volume(noise.astype(np.float32), place, unit), path)
        return str(path)

    return write


def facts(*texts: str) -> list[Facts | None]:
    return [look_at(Source(text)) for text in texts]


def rows(warnings: Warnings) -> set[tuple[str, int]]:
    return set(warnings.rows)


def test_volumes_that_go_together_are_not_warned_of(file: Any, tiny: Any) -> None:
    known = {
        "a": facts(file("a1.tif"), file("a2.tif")),
        "b": facts(file("b1.tif"), file("b2.tif")),
        "validate_a": facts(file("a3.tif")),
        "validate_b": facts(file("b3.tif")),
    }
    assert find_warnings(known, tiny()).all() == []


def test_voxel_sizes_that_do_not_fit_the_scale_are_told(file: Any, tiny: Any) -> None:
    known = {"a": facts(file("a.tif", 2.0)), "b": facts(file("b.tif", 1.0))}
    (sentence,) = find_warnings(known, tiny()).all()
    assert "2 × 2 × 2" in sentence
    assert "scale is 1" in sentence
    assert find_warnings(known, tiny(scale=2)).all() == []
    assert find_warnings(known).all() == []


def test_voxel_sizes_are_compared_whatever_their_unit(file: Any, tiny: Any) -> None:
    same = {
        "a": facts(file("a.tif", 0.002, "millimeter")),
        "b": facts(file("b.tif", 2.0)),
    }
    assert find_warnings(same, tiny()).all() == []
    other = same | {"b": facts(file("c.tif", 1.0))}
    (sentence,) = find_warnings(other, tiny()).all()
    assert "2 × 2 × 2" in sentence


def test_voxels_without_a_size_are_not_compared(file: Any, tiny: Any) -> None:
    known = {
        "a": facts(file("a.tif", 1.0, "pixel")),
        "b": facts(file("b.tif", 1.0, "micrometer")),
    }
    assert find_warnings(known, tiny(scale=2)).all() == []


def test_uneven_voxel_sizes_inside_a_domain_are_told_at_the_odd_one(file: Any) -> None:
    known = {"a": facts(file("a.tif"), file("b.tif", 1.5), file("c.tif"))}
    warnings = find_warnings(known)
    assert rows(warnings) == {("a", 1)}
    assert "1.5 µm" in warnings.all()[0]


def test_the_same_voxels_in_both_domains_are_told(file: Any) -> None:
    one, copy = file("one.tif", seed=1), file("copy.tif", seed=1)
    warnings = find_warnings({"a": facts(one), "b": facts(file("b.tif"), copy)})
    assert rows(warnings) == {("b", 1)}
    assert "one.tif" in warnings.all()[0]


def test_validation_that_is_trained_on_is_told(file: Any) -> None:
    seen, copy, other = file("s.tif", seed=1), file("c.tif", seed=1), file("o.tif")
    whole = facts(copy, f"{seen}[4:12,:,:]", other)
    warnings = find_warnings({"a": facts(seen), "validate_a": whole})
    assert rows(warnings) == {("validate_a", 0), ("validate_a", 1)}
    apart = {
        "a": facts(f"{seen}[0:8,:,:]"),
        "validate_a": facts(f"{seen}[8:16,:,:]"),
    }
    assert find_warnings(apart).all() == []


def test_volumes_that_are_smaller_than_the_patch_are_told(file: Any, tiny: Any) -> None:
    known = {"a": facts(file("a.tif")), "b": facts(f"{file('b.tif')}[0:10,:,:]")}
    warnings = find_warnings(known, tiny())
    assert rows(warnings) == {("b", 0)}
    assert "patch (12, 12, 12)" in warnings.all()[0]
    slices = tiny(dims=2, patch=(1, 12, 12))
    assert find_warnings(known, slices).all() == []


def test_a_row_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    warnings = find_warnings({"b": [None, look_at(Source(str(tmp_path / "gone.tif")))]})
    assert rows(warnings) == {("b", 1)}
    assert "gone.tif" in warnings.all()[0]


def test_a_sentence_is_said_once_however_many_rows_it_is_about() -> None:
    warnings = Warnings()
    for row in (0, 1, 1):
        warnings.add(("a", row), "too small")
    assert warnings.rows == {("a", 0): ["too small"], ("a", 1): ["too small"]}
    assert warnings.all() == ["too small"]
