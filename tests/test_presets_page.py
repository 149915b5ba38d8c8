"""The page about presets names all of them, and only tests that there are."""

import re
from pathlib import Path

from napari_cyclegan3d.engine.presets import preset_names

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_the_page_has_a_paragraph_a_line_and_a_result_for_every_preset() -> None:
    headings = [line for line in PAGE.splitlines() if line.startswith("### ")]
    for name in preset_names():
        assert any(f"`{name}`" in heading for heading in headings)
        assert PAGE.count(f"| `{name}`") >= 3  # list, networks, short training


def test_every_test_that_the_page_names_exists() -> None:
    named = TEST.findall(PAGE)
    assert len(named) == PAGE.count("::test_") > 50
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), name


def test_every_function_of_the_projects_has_a_test_or_an_explanation() -> None:
    table = PAGE.partition("| function | in | here |")[2].strip().splitlines()[1:]
    assert len(table) > 60
    for row in table:
        function, seeds, here = (cell.strip() for cell in row.strip("|").split("|"))
        assert function
        assert seeds
        assert "::test_" in here or len(here) > len("no")
