"""What settings leave open until it is known which process does the work."""

import re
from pathlib import Path

import torch

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.devices import choose_device
from napari_cyclegan3d.engine.errors import MemoryShortageError
from napari_cyclegan3d.engine.memory import release_memory
from napari_cyclegan3d.engine.precision import fastest_precision

# GB, the least that the settings allow
LEAST_MEMORY = 0.1
# GB of code and buffers of libraries that come only with their first use
LATER = 0.05


def settled(model: Model, config: EnhanceConfig, processes: int = 1) -> EnhanceConfig:
    """The settings for a process like this one, which does nothing else.

    The number format is chosen, and `memory` is what remains for the work beside what
    the program has taken already. On a GPU, where the work is, the program takes none.

    Args:
        model: The model, loaded.
        config: `memory` stands for all processes together, and for all they take.
        processes: How many share the memory.

    Raises:
        InputError: The device does not exist.
        MemoryShortageError: Not enough would remain.
    """
    device, _ = choose_device(config.device)
    network = model.generator(config.direction).to(device).eval()
    dtype = fastest_precision(config.precision, network, device)
    precision = "bf16" if dtype == torch.bfloat16 else "fp32"
    # after the probe: it loads what the work needs, and leaves what can be given back
    release_memory()
    taken = resident_bytes() / 1e9 + LATER if device.type == "cpu" else 0.0
    left = config.memory / processes - taken
    if left < LEAST_MEMORY:
        among = f" for {processes} processes" if processes > 1 else ""
        raise MemoryShortageError(
            f"memory {config.memory:g} GB{among}: the program itself takes "
            f"{taken:.2g} GB{' in each' if among else ''}; give at least "
            f"{(taken + LEAST_MEMORY) * processes + 0.05:.1f} GB"
        )
    return config.model_copy(update={"precision": precision, "memory": left})


def resident_bytes() -> int:
    """Memory that this process has now; 0 where the system does not tell (Linux does).

    Pages of files that are mapped, such as the program itself, count.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"^VmRSS:\s*(\d+) kB", status, re.MULTILINE)
    return 1024 * int(found[1]) if found else 0
