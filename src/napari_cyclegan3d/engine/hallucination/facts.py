"""Which volumes, model and programs an inspection was about, to trace it."""

import hashlib
from importlib.metadata import version
from typing import Any

import numpy as np

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.hallucination.findings import ModelFacts, VolumeFacts
from napari_cyclegan3d.engine.volume import Volume

PLANES = 2**24
LIBRARIES = ("torch", "numpy", "scipy")


def volume_facts(volume: Volume) -> VolumeFacts:
    """Name, grid and hash of a volume; all of its voxels are read, slab by slab."""
    digest = hashlib.sha256()
    digest.update(f"{volume.shape} {volume.dtype.name} ".encode())
    digest.update(np.ascontiguousarray(volume.affine).tobytes())
    depth, height, width = volume.shape
    step = max(1, PLANES // (height * width))
    for start in range(0, depth, step):
        slab = volume.read((slice(start, start + step), slice(None), slice(None)))
        digest.update(_little(slab).tobytes())
    files = volume.metadata.get("files")
    return VolumeFacts(
        name=volume.name,
        shape=volume.shape,
        spacing=volume.spacing,
        unit=volume.unit,
        dtype=volume.dtype.name,
        sha256=digest.hexdigest(),
        source=str(files[0]) if files else None,
    )


def model_facts(model: Model) -> ModelFacts:
    """Name, hash of the weights and origin of a model."""
    digest = hashlib.sha256()
    for name, network in sorted(model.networks.items()):
        for key, tensor in sorted(network.state_dict().items()):
            digest.update(f"{name}.{key}".encode())
            digest.update(tensor.detach().cpu().float().numpy().tobytes())
    origin = model.header.provenance
    return ModelFacts(
        name=model.name,
        sha256=digest.hexdigest(),
        steps=origin.steps,
        date=origin.date,
        volumes_a=origin.volumes_a,
        volumes_b=origin.volumes_b,
    )


def versions() -> dict[str, str]:
    """Versions of what computes, by name."""
    return {name: version(name) for name in LIBRARIES}


def _little(voxels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """In the byte order that does not depend on the machine."""
    return np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("<"))
