"""The tables of docs/presets.md, between their markers."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Line = dict[str, Any]
NETWORKS = {"a_to_b": "A → B", "b_to_a": "B → A", "judge_b": "discriminator of B"}


def replace_tables(page: Path, networks: Sequence[Line], lines: Sequence[Line]) -> None:
    """Write the tables that there are results for; text around them stays."""
    text = page.read_text(encoding="utf-8")
    short = sorted(
        (one for one in lines if one["table"] == "short"),
        key=lambda one: one["name"].split()[0],
    )
    quality = [one for one in lines if one["table"] == "quality"]
    text = _replaced(text, "networks", _networks(networks))
    if short:
        text = _replaced(text, "short", _short(short))
    if quality:
        text = _replaced(text, "quality", _quality(quality))
    page.write_text(text, encoding="utf-8")


def _replaced(text: str, name: str, table: str) -> str:
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    # a function, so that nothing in the table is read as a reference to a group
    return pattern.sub(lambda _: f"{begin}\n{table}\n{end}", text)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    body = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in body)


def _networks(lines: Iterable[Line]) -> str:
    rows = []
    for one in lines:
        network = NETWORKS[one["network"]]
        if one["network"] == "judge_b" and "srgan" in one["name"]:
            network = "discriminator"
        published = f"{one['published']:,}" if one["published"] else "not known"
        if one["why"]:
            published += f" ({one['why']})"
        reach = " + ".join(map(str, one["halo"])) if "halo" in one else ""
        rows.append(
            (
                _title(one["name"]),
                _sizes(one["patch"]),
                network,
                f"{one['weights']:,}",
                published,
                reach,
            )
        )
    head = ("preset", "patch A → B", "network", "weights", "published", "sees")
    return _table(head, _without_repeats(rows))


def _short(lines: Iterable[Line]) -> str:
    rows = [
        (
            _title(one["name"]),
            one["data"],
            f"{_sizes(one['patch'])}, {one['batch']}{_narrower(one['small'])}",
            f"{one['steps']} of {one['seconds'] / one['steps']:.1f} s",
            f"{one['leading']}: {one['first']:.3g} → {one['last']:.3g}",
            "" if one["contrast"] is None else f"{one['contrast']:.2f}",
            f"{one['spread']:.2f}",
            f"{one['correlation']:.2f}",
        )
        for one in lines
    ]
    head = (
        *("preset", "data", "patch A → B, batch", "steps", "first 10 → last 10"),
        *("contrast_b", "spread", "correlation"),
    )
    return _table(head, rows)


def _quality(lines: Iterable[Line]) -> str:
    rows = []
    for one in lines:
        method, trained = one["method"], one["method"] == one["name"]
        if trained:
            method = f"**trained, seed {one['seed']}**"
        elif one["seed"] != 0:
            continue  # what is not trained has no seed
        budget = f"{one['seconds'] / 60:.1f} min; {_flat(one['changes'])}"
        rows.append(
            (
                _title(one["name"]),
                one["part"],
                method,
                f"{one['psnr']:.2f} dB",
                f"{one['ssim']:.3f}",
                budget if trained and one["part"] == "choosing" else "",
            )
        )
    rows.sort(key=lambda row: (row[0], row[1]))
    head = (
        "preset",
        "part",
        "method",
        "PSNR",
        "SSIM",
        "training; other than the preset",
    )
    return _table(head, _without_repeats(rows))


def _without_repeats(rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """The first two columns only where they change."""
    shown, before = [], ("", "")
    for row in rows:
        same = (row[0], row[1]) == before
        before = (row[0], row[1])
        shown.append(["", "", *row[2:]] if same else list(row))
    return shown


def _flat(settings: Line, prefix: str = "") -> str:
    """Settings in one line."""
    texts = []
    for key, value in settings.items():
        if isinstance(value, dict):
            texts.append(_flat(value, f"{key}."))
        else:
            shown = ",".join(map(str, value)) if isinstance(value, list) else value
            texts.append(f"{prefix}{key} {shown}")
    return ", ".join(texts)


def _title(name: str) -> str:
    preset, _, variant = name.partition(" ")
    return f"`{preset}` {variant}".strip()


def _sizes(patches: Sequence[Sequence[int]]) -> str:
    texts = ["×".join(map(str, one)) for one in patches]
    return texts[0] if texts[0] == texts[1] else " → ".join(texts)


def _narrower(small: Line) -> str:
    layers = small.get("discriminator", {}).get("layers")
    return "" if layers is None else f"; discriminators of {layers} layers"
