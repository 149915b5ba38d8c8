"""docs/formats.md says what round trips through the formats find."""

import importlib.util
from pathlib import Path
from types import ModuleType

from napari_cyclegan3d import io

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "formats.md"
KEPT = {"voxel size": "spacing", "origin": "origin", "unit": "unit"}


def script() -> ModuleType:
    path = ROOT / "scripts" / "formats_page.py"
    spec = importlib.util.spec_from_file_location("formats_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_round_trips_find() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == script().page(), "run: python scripts/formats_page.py"


def test_the_page_has_every_format_and_agrees_with_their_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    lines = [line.split("|") for line in text.splitlines() if line.startswith("| ")]
    titles, _, *rows = ([cell.strip() for cell in line[1:-1]] for line in lines)
    for row in io.FORMATS:
        if row.create is None:
            assert f"{row.name} ({row.suffixes[0]}" in text
            continue
        mine = [one for one in rows if one[0].startswith(row.name)]
        assert mine
        for cells in (dict(zip(titles, one, strict=True)) for one in mine):
            for title, field in KEPT.items():
                assert cells[title] == getattr(row, field), (row.name, title)
            assert cells["rotation, mirroring"] == row.rotation, row.name
            assert (cells["4D"] != "no") == row.series, row.name
