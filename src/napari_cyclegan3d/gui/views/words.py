"""Title, key and explanation of every view, in the order of the buttons."""

from napari_cyclegan3d.gui.views.running import Comparison, Extra

COMPARISONS: dict[Comparison, tuple[str, str, str]] = {
    "side by side": (
        "Side by side",
        "",
        "Raw and enhanced beside each other, and the truth if it is known, with one "
        "camera",
    ),
    "curtain": (
        "Curtain",
        "S",
        "Left of a cut the raw volume, right of it the enhanced one; also in 3D",
    ),
    "lens": (
        "Lens",
        "L",
        "Around the cursor the raw volume, elsewhere the enhanced one",
    ),
    "blink": (
        "Blink",
        "B",
        "Raw and enhanced in turn, fewer than three times a second",
    ),
}
EXTRAS: dict[Extra, tuple[str, str, str]] = {
    "residual": (
        "Residual",
        "",
        "What the raw volume contradicts: orange is invented, blue is missing",
    ),
    "outlines": ("Outlines", "", "The suspects as contours"),
    "cross": (
        "Cross",
        "X",
        "A cross at the cursor in all views, and what is known of that place",
    ),
    "profile": (
        "Profile",
        "",
        "Grey values along a line that you drag, with the band in which the raw volume "
        "should lie",
    ),
    "orthogonal": (
        "Planes",
        "",
        "The two other planes, in a dock; with Shift they follow the cursor",
    ),
}
