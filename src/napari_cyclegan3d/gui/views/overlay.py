"""What was found, drawn over the volumes: the residual, and the suspects' outlines."""

from napari.layers import Image, Labels
from napari.utils import Colormap

from napari_cyclegan3d.gui.views.temporary import Caption, Changed

# easy to tell apart without red and green; noise stays transparent
INVENTED, MISSING = (1.0, 0.55, 0.0), (0.2, 0.6, 1.0)
FAINT, STRONG = 2.0, 6.0  # standard deviations of the noise
RESIDUAL_COLOURS = Colormap(
    [(*INVENTED, 1), (*INVENTED, 0), (*MISSING, 0), (*MISSING, 1)],
    controls=[0, 0.5 - FAINT / STRONG / 2, 0.5 + FAINT / STRONG / 2, 1],
    name="invented – missing",
)
LEGEND = "orange: invented · blue: missing in the enhanced volume"


class ResidualOverlay:
    """The residual in two colours, with a legend on the canvas.

    Args:
        layer: The residual, signed, in standard deviations of the noise.
        caption: Has the legend.
    """

    def __init__(self, layer: Image, caption: Caption) -> None:
        self._caption = caption
        self._changed = Changed()
        span = layer.contrast_limits_range
        self._changed.set(
            layer,
            contrast_limits_range=(min(span[0], -STRONG), max(span[1], STRONG)),
            contrast_limits=(-STRONG, STRONG),
            colormap=RESIDUAL_COLOURS,
            blending="translucent_no_depth",
            rendering="translucent",
            opacity=0.8,
            visible=True,
        )
        bar = getattr(layer, "colorbar", None)
        if bar is not None:
            self._changed.set(bar, visible=True)
        caption.say("residual", LEGEND)

    def end(self) -> None:
        """Give the layer back as it was."""
        self._caption.say("residual")
        self._changed.restore()


class Outlines:
    """The suspects as contours, so that the grey values below stay seen.

    Args:
        layer: The suspects.
    """

    def __init__(self, layer: Labels) -> None:
        self._changed = Changed()
        self._changed.set(layer, contour=1, visible=True)

    def end(self) -> None:
        """Give the layer back as it was."""
        self._changed.restore()
