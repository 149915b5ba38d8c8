"""How verdicts and decisions look: their words, colours and keys.

Nothing is ever coloured as safe: what nothing speaks against has no colour at all.
"""

from dataclasses import dataclass

from qtpy.QtCore import Qt
from qtpy.QtGui import QBrush, QColor

from napari_cyclegan3d.engine.hallucination.findings import Decision, Verdict


@dataclass(frozen=True)
class Look:
    """What a verdict looks like.

    Attributes:
        colour: As #rrggbb, visible on dark and on light ground.
        hatched: Whether its patch in the list is hatched.
    """

    colour: str
    hatched: bool = False

    def brush(self) -> QBrush:
        """Fills its patch in the list."""
        style = (
            Qt.BrushStyle.BDiagPattern if self.hatched else Qt.BrushStyle.SolidPattern
        )
        return QBrush(QColor(self.colour), style)


NEUTRAL = "#9b9b9b"
LOOKS: dict[Verdict, Look] = {
    "contradicted": Look("#e0433f"),
    "missing": Look("#3d8fe6"),
    "unverifiable": Look("#9486b8", hatched=True),
    "uncontradicted": Look(NEUTRAL),
    "supported": Look(NEUTRAL),
}


@dataclass(frozen=True)
class Choice:
    """A decision that a person can take.

    Attributes:
        key: That takes it.
        word: On its button.
        meaning: In a sentence.
    """

    key: str
    word: str
    meaning: str


CHOICES: dict[Decision, Choice] = {
    "real": Choice("1", "Real", "It is there in the object that was scanned."),
    "hallucination-impactful": Choice(
        "2", "Impactful", "Hallucinated, and it would change a conclusion."
    ),
    "hallucination-benign": Choice(
        "3", "Benign", "Hallucinated, but it changes no conclusion."
    ),
    "artefact": Choice("4", "Artefact", "Of the scan or the tiles, not invented."),
    "unsure": Choice("0", "?", "Looked at, and it cannot be decided."),
}
