"""An example of what a network takes and gives: arrays to test it, and a picture."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from napari_cyclegan3d.engine.intensity import Intensity, fit_intensity
from napari_cyclegan3d.engine.tiling import read_reflected
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.exchange.graph import Graph, Outgoing, slices_of
from napari_cyclegan3d.exchange.runs import Run
from napari_cyclegan3d.io.pictures import CONTRAST, panel

SIDE = 256
Grey = NDArray[np.float32]


def sample(outgoing: Outgoing, volume: Volume | None, run: Run | None) -> Grey:
    """Grey values of the smallest size that the network takes: (1, 1, z, y, x).

    From the middle of the volume if there is one, else from the last preview of the
    training, else smooth random numbers. What is too small is mirrored.

    Raises:
        InputError: The preview of the training is damaged.
    """
    dims, side = outgoing.network.dims, outgoing.sizes.smallest
    if volume is None:
        volume = _preview(outgoing, run) or _random(outgoing)
    else:
        volume = slices_of(volume, outgoing.model)
    shape = (side,) * 3 if dims == 3 else (1, side, side)
    starts = [(size - one) // 2 for size, one in zip(volume.shape, shape, strict=True)]
    spans = [(s, s + one) for s, one in zip(starts, shape, strict=True)]
    grey = read_reflected(volume, spans).astype(np.float32)
    return grey[None, None] if dims == 3 else grey[None]


def expected(outgoing: Outgoing, grey: Grey) -> Grey:
    """What the model makes of an example; one that it fits to, where it fits to each.

    Args:
        outgoing: What goes out.
        grey: As `sample` gives it.

    Raises:
        InputError: The example shows nothing to fit to.
    """
    fit_in = outgoing.fit_in
    if fit_in is None:
        whole = Volume(grey.reshape(-1, *grey.shape[-2:]), name="the example")
        fit_in = fit_intensity([whole], outgoing.rule)
    graph = Graph(outgoing.network, fit_in, outgoing.fit_out).eval()
    with torch.inference_mode():
        out: Grey = graph(torch.from_numpy(grey)).numpy()
    return out


def cover(outgoing: Outgoing, grey: Grey, result: Grey) -> Image.Image:
    """Input and result side by side, twice as wide as high.

    Slices of the model's own thumbnails where it has some.
    """
    thumbnails = outgoing.model.header.provenance.thumbnails
    if outgoing.direction == "a_to_b" and {"real_a", "fake_b"} <= thumbnails.keys():
        planes = [thumbnails["real_a"].image(), thumbnails["fake_b"].image()]
    else:
        planes = [_shown(grey), _shown(result)]
    picture = Image.new("L", (2 * SIDE, SIDE), 0)
    for number, plane in enumerate(planes):
        longest = max(plane.shape)
        rows, columns = (max(1, SIDE * side // longest) for side in plane.shape)
        # voxels are repeated: a cover must not look smoother than the data
        tile = Image.fromarray(plane).resize((columns, rows), Image.Resampling.NEAREST)
        corner = (number * SIDE + (SIDE - columns) // 2, (SIDE - rows) // 2)
        picture.paste(tile, corner)
    return picture


def _shown(image: Grey) -> NDArray[np.uint8]:
    volume = image.reshape(-1, *image.shape[-2:])
    low, high = np.percentile(volume[np.isfinite(volume)], CONTRAST)
    return panel(volume, float(low), float(high))


def _typical(outgoing: Outgoing) -> Intensity:
    """The fit of the input, or that of the training where each volume has its own."""
    header = outgoing.model.header
    trained = (
        header.intensity_a if outgoing.direction == "a_to_b" else header.intensity_b
    )
    return outgoing.fit_in or trained


def _preview(outgoing: Outgoing, run: Run | None) -> Volume | None:
    """The input of the last preview, in grey values."""
    if run is None:
        return None
    images = run.preview(outgoing.model.header.provenance.steps)
    name = "real_a" if outgoing.direction == "a_to_b" else "real_b"
    if name not in images or min(images[name].shape) < 2:
        return None
    image = images[name]
    grey = _typical(outgoing).invert(image[None] if image.ndim == 2 else image)
    return Volume(grey, name="preview")


def _random(outgoing: Outgoing) -> Volume:
    """Smooth random numbers like the grey values of the training."""
    from scipy.ndimage import gaussian_filter

    dims, side = outgoing.network.dims, outgoing.sizes.smallest
    noise = np.random.default_rng(0).normal(size=(side,) * dims)
    smooth = gaussian_filter(noise, 2)
    values = (smooth / smooth.std()).astype(np.float32)
    grey = _typical(outgoing).invert(values if dims == 3 else values[None])
    return Volume(grey, name="random numbers")
