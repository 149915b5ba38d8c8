"""How numbers and verdicts are written, in the page, the table and the terminal."""

from napari_cyclegan3d.engine.hallucination.findings import Decision, Kind, Verdict

DASH = "–"
_SYMBOLS = {
    "meter": "m",
    "centimeter": "cm",
    "millimeter": "mm",
    "micrometer": "µm",
    "nanometer": "nm",
    "pixel": "px",
}
# numbers below it are written without a power of ten
_PLAIN = 1e6
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
VERDICTS: dict[Verdict, str] = {
    "contradicted": "The raw volume could have shown this structure, and does not: "
    "the network invented or changed it.",
    "missing": "The raw volume shows something that the network left out.",
    "unverifiable": "The raw volume could not show this even if it were real: it is "
    "the network's word alone.",
    "uncontradicted": "Agrees with the raw volume that it was made from; there was no "
    "independent evidence, so noise that was turned into structure looks the same.",
    "supported": "Evidence that is independent of the network's input shows it.",
}
# red for what is contradicted alone; nothing looks safe
VERDICT_COLOURS: dict[Verdict, str] = {
    "contradicted": "#c1121f",
    "missing": "#005ac8",
    "unverifiable": "#8a7f9e",
    "uncontradicted": "#5f6b76",
    "supported": "#9aa3ab",
}
KINDS: dict[Kind, str] = {
    "inserted": "a structure that the enhanced volume shows",
    "deleted": "a structure that the raw volume shows and the enhanced one does not",
    "changed": "a place where the two differ in contrast or shape",
    "artefact": "unlike domain B (a seam, a pattern): an artefact, no hallucination",
}
DECISIONS: dict[Decision, str] = {
    "real": "real",
    "hallucination-impactful": "hallucination, impactful",
    "hallucination-benign": "hallucination, benign",
    "artefact": "artefact",
    "unsure": "unsure",
}
RUNGS = {
    1: "registered pairs, held out",
    2: "pseudo-pairs: clean volumes of domain B, degraded as the fit says",
    3: "identity pass: clean volumes of domain B translated as they are",
    4: "objects planted in this volume",
    5: "none: robust deviations of this volume itself, uncalibrated",
}


def number(value: float | None, digits: int = 3) -> str:
    """A number as short as it can be; a dash where nothing was measured."""
    if value is None:
        return DASH
    text = f"{value:.{digits}g}"
    if "e" in text and 1 <= abs(value) < _PLAIN:
        text = f"{float(text):.0f}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        power = str(int(exponent)).translate(_RAISED)
        return f"{mantissa.replace('-', '−')} × 10{power}"
    return text.replace("-", "−")


def probability(value: float) -> str:
    """A probability; far in the tail no more is known than that it is small."""
    return "< 10⁻⁶" if value < 1e-6 else number(value, 2)


def share(value: float | None) -> str:
    """A share of 1 as per cent."""
    return DASH if value is None else f"{100 * value:.3g} %"


def symbol(unit: str) -> str:
    """A unit of length as it stands behind a number."""
    return _SYMBOLS.get(unit, unit)


def triple(values: tuple[float, ...], unit: str = "") -> str:
    """A position along z, y, x, with its unit."""
    text = ", ".join(number(one, 6) for one in values)
    return f"{text} {symbol(unit)}".rstrip()


def sides(values: tuple[float, ...], unit: str = "") -> str:
    """Sides along z, y, x, with their unit."""
    text = " × ".join(number(one, 5) for one in values)
    return f"{text} {symbol(unit)}".rstrip()


def plural(count: int, noun: str) -> str:
    """A count and its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
