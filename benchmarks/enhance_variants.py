"""The ways to send a volume through a network that benchmarks/enhance.py compares.

Each gets the image as an array in memory and gives the result as one, whatever the
device is.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from measure import Sample, measured
from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.devices import tune_allocator
from napari_cyclegan3d.engine.inference import EnhanceDone, enhance
from napari_cyclegan3d.engine.networks import Generator
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.volume import Volume

Image = NDArray[np.float32]
Work = Callable[[Image], Image]
Forward = Callable[[Tensor], Tensor]
# what serves MONAI best: on a CPU, more than one window at a time is slower
WINDOWS_AT_ONCE = {"cpu": 1, "cuda": 4}
LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}


@dataclass(frozen=True)
class Setting:
    """Where a variant runs.

    Attributes:
        folder: Where the model file and the image are.
        window: Side of MONAI's windows, in voxels.
        device: "cpu" or "cuda".
    """

    folder: Path
    window: int
    device: str

    @property
    def model_path(self) -> Path:
        """The model, as a training saves it."""
        return self.folder / "model.safetensors"

    def network(self) -> Generator:
        """The network alone, on the device."""
        return load_model(self.model_path).a_to_b.to(self.device)


def _ours(setting: Setting, precision: str, *, tuned: bool = True) -> Work:
    if tuned:
        tune_allocator()
    model = load_model(setting.model_path)
    config = parse(EnhanceConfig, {"device": setting.device, "precision": precision})

    def work(image: Image) -> Image:
        *_, last = enhance(Volume(image), model, config)
        return cast(EnhanceDone, last).volume.read()

    return work


def _one_pass(setting: Setting) -> Work:
    network = setting.network()
    return _on_tensors(setting, network.dims, network)


def _monai(setting: Setting, **options: Any) -> Work:
    network = setting.network()
    return _on_tensors(setting, network.dims, _windows(setting, network, **options))


def _monai_tuned(setting: Setting) -> Work:
    tune_allocator()
    network = setting.network()
    layout = LAYOUTS[network.dims]
    # PyTorch's stubs do not know these forms of `to`
    fast: Any = network.to(torch.bfloat16)
    fast = fast.to(memory_format=layout)

    def predict(windows: Tensor) -> Tensor:
        rounded: Any = windows.to(torch.bfloat16, memory_format=layout)
        return cast(Tensor, fast(rounded)).float()

    return _on_tensors(setting, network.dims, _windows(setting, predict))


def _windows(setting: Setting, predict: Forward, **options: Any) -> Forward:
    """MONAI's sliding windows; it is imported here, where it is there."""
    from monai.inferers import sliding_window_inference

    return partial(
        sliding_window_inference,
        roi_size=setting.window,
        sw_batch_size=WINDOWS_AT_ONCE[setting.device.partition(":")[0]],
        predictor=predict,
        **options,
    )


def _on_tensors(setting: Setting, dims: int, forward: Forward) -> Work:
    """An array through `forward`, all of it, or slice by slice in 2D."""

    @torch.inference_mode()
    def work(image: Image) -> Image:
        whole = torch.from_numpy(image).to(setting.device)
        if dims == 3:
            out = forward(whole[None, None])[0, 0]
        else:
            out = torch.stack([forward(one[None, None])[0, 0] for one in whole])
        return cast(Image, out.cpu().numpy())

    return work


@dataclass(frozen=True)
class Variant:
    """One way.

    Attributes:
        label: What the table says.
        precision: Number format of the convolutions.
        prepare: Loads the network, and gives what is timed.
        always: Whether networks other than unet1x are measured this way.
    """

    label: str
    precision: str
    prepare: Callable[[Setting], Work]
    always: bool = False


VARIANTS = {
    "one_pass": Variant("one pass, fp32", "fp32", _one_pass, always=True),
    "monai": Variant("MONAI, default (overlap .25)", "fp32", _monai, always=True),
    "monai_half": Variant(
        "MONAI, overlap .5, Gaussian",
        "fp32",
        partial(_monai, overlap=0.5, mode="gaussian"),
    ),
    "monai_tuned": Variant("MONAI, bf16, tuned", "bf16", _monai_tuned),
    "ours_fp32": Variant(
        "enhance, fp32", "fp32", partial(_ours, precision="fp32"), always=True
    ),
    "ours_bf16": Variant(
        "enhance, bf16", "bf16", partial(_ours, precision="bf16"), always=True
    ),
    # as from Python, where nobody tunes the allocator of the process
    "ours_untuned": Variant(
        "enhance, bf16, allocator as it is",
        "bf16",
        partial(_ours, precision="bf16", tuned=False),
    ),
}


def enhance_mapped(setting: Setting, deep: int) -> Sample:
    """Enhance in bf16 from a file to a file, `deep` times as many planes.

    Args:
        setting: Where.
        deep: How often the image is repeated along z.
    """
    image = np.load(setting.folder / "image.npy", mmap_mode="r")
    shape = (deep * image.shape[0], *image.shape[1:])
    source, target = (
        np.lib.format.open_memmap(
            setting.folder / f"{name}.npy", "w+", np.float32, shape
        )
        for name in ("mapped_in", "mapped_out")
    )
    for start in range(0, shape[0], image.shape[0]):
        source[start : start + image.shape[0]] = image
    tune_allocator()
    model = load_model(setting.model_path)
    config = parse(EnhanceConfig, {"device": setting.device, "precision": "bf16"})
    with measured(setting.device) as cost:
        for _ in enhance(Volume(source), model, config, target):
            pass
    return asdict(cost)
