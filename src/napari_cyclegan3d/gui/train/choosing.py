"""What another dock has prepared becomes what is trained on."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.source import Item

if TYPE_CHECKING:
    from napari_cyclegan3d.gui.train.dock import TrainDock


def choose(
    dock: "TrainDock", sources: Mapping[str, Sequence[Item]], *, pairs: bool
) -> bool:
    """Put volumes into the domains of a dock, as `TrainDock.choose` says."""
    if dock.is_busy:
        dock.status.refuse(
            "A training is running; stop it, or wait for its end, before other volumes "
            "are chosen."
        )
        return False
    try:
        if pairs:
            paired = dock.settings.form.values()["loss"]["paired"] or 1.0
            changes = {"sampling": {"pairs": True}, "loss": {"paired": paired}}
            dock.settings.apply(changes)
    except InputError as error:
        dock.status.refuse(str(error))
        return False
    dock.tabs.setCurrentIndex(0)
    dock.data.put(sources, add=pairs)
    return True
