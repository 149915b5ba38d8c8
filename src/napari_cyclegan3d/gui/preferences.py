"""What the user prefers everywhere: Preferences ▸ CycleGAN 3D of napari."""

from dataclasses import dataclass
from pathlib import Path

PLUGIN = "napari-cyclegan3d"


@dataclass(frozen=True)
class Preferences:
    """The settings of the manifest's `configurations`.

    Attributes:
        device: auto, cpu, mps, cuda or cuda:1 …
        models: Folder in which runs are made and models are looked for.
        preview_every: Steps between previews of a training.
        memory: GB that an enhancement may take.
    """

    device: str = "auto"
    models: str = ""
    preview_every: int = 100
    memory: float = 2.0

    @property
    def folder(self) -> Path:
        """The folder for runs and models."""
        return Path(self.models or "~/cyclegan3d-runs").expanduser()


def preferences() -> Preferences:
    """What the user has set; the defaults where napari cannot keep it (before 0.9)."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return Preferences()
    try:
        chosen = get_plugin_settings(PLUGIN).defaults
    except (AttributeError, KeyError, ValueError):  # the plugin is not registered
        return Preferences()
    return Preferences(
        chosen.device, chosen.models, chosen.preview_every, chosen.memory
    )
