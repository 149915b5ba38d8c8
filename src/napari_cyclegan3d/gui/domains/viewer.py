"""The layer of the viewer that shows what a row of a domain names."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from napari.layers import Image

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.layers import LayerData, to_layer_data, to_volume
from napari_cyclegan3d.gui.source import Source
from napari_cyclegan3d.gui.worker import Executor, Failure

if TYPE_CHECKING:
    import napari


class ShownSources:
    """Finds the layers of sources, and opens files that are not shown yet.

    Args:
        viewer: The viewer with the layers.
        executor: Runs the reading of files.
    """

    def __init__(
        self, viewer: "napari.viewer.Viewer | None", executor: Executor
    ) -> None:
        self.viewer = viewer
        self._executor = executor
        self._opened: dict[str, Image] = {}
        self._ended = False

    def find(self, source: Source) -> Image | None:
        """The layer that shows the whole of a source; None: there is none."""
        if self.viewer is None:
            return None
        layers = [one for one in self.viewer.layers if isinstance(one, Image)]
        if isinstance(source.item, Image):
            return source.item if source.item in layers else None
        opened = self._opened.get(source.item)
        if opened is not None and opened in layers:
            return opened
        return next((one for one in layers if _file_of(one) == source.item), None)

    def show(
        self,
        source: Source,
        on_layer: Callable[[Image], None],
        on_refusal: Callable[[str], None],
    ) -> None:
        """Hand over the layer of a source; a file is read off the GUI thread first.

        Args:
            source: What is to be seen; its region does not matter.
            on_layer: Called with the layer.
            on_refusal: Called with one sentence if there can be none.
        """
        layer = self.find(source)
        if layer is not None:
            on_layer(layer)
            return
        if self.viewer is None or isinstance(source.item, Image):
            on_refusal(f"{source.name}: is no longer in the viewer; type the numbers")
            return
        whole = Source(source.item)

        def add(data: LayerData) -> None:
            if not self._ended and self.viewer is not None:
                layer = self.viewer.add_image(data[0], **data[1])
                self._opened[str(whole.item)] = layer
                on_layer(layer)

        def fail(failure: Failure) -> None:
            if not self._ended:
                on_refusal(failure.message)

        self._executor(_read(whole), add, fail, lambda: None)

    def end(self) -> None:
        """Add no more layers to the viewer."""
        self._ended = True


def _read(source: Source) -> Iterator[LayerData]:
    volumes = source.volumes()
    if len(volumes) != 1:
        raise InputError(
            f"{source.name}: holds {len(volumes)} volumes; add the one you mean as a "
            "row of its own, or type the numbers"
        )
    yield to_layer_data(volumes[0])


def _file_of(layer: Image) -> str | None:
    """The one file that a layer is the whole of, as far as its metadata tell."""
    try:
        metadata = to_volume(layer, 0).metadata
    except InputError:
        return None
    files = metadata.get("files", ())
    if len(files) != 1 or "region" in metadata:
        return None
    inside = [metadata.get("dataset")]
    if layer.ndim == 3:  # one frame of a file, not all of it
        inside.append(metadata.get("frame"))
    return "::".join([files[0], *(str(one) for one in inside if one is not None)])
