"""Which device computes, and why."""

import ctypes

import torch

from napari_cyclegan3d.engine.errors import InputError


def choose_device(name: str) -> tuple[torch.device, str]:
    """The device for a setting, and a sentence that says what was chosen and why.

    Args:
        name: "auto", "cpu", "mps", "cuda" or "cuda:N".

    Raises:
        InputError: The device does not exist on this machine.
    """
    if name == "auto":
        return _automatic()
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise InputError(
                f"device {name}: PyTorch sees {count} CUDA devices here; choose "
                f"'auto', 'cpu' or a CUDA build of PyTorch"
            )
        return device, f"{name} ({torch.cuda.get_device_name(device)}), as asked"
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("device mps: not available here; choose 'auto' or 'cpu'")
    return device, f"{name}, as asked"


def _automatic() -> tuple[torch.device, str]:
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info(0)
        name = torch.cuda.get_device_name(0)
        return torch.device("cuda:0"), f"cuda:0 ({name}, {free / 1e9:.0f} GB free)"
    if torch.backends.mps.is_available():
        return torch.device("mps"), "mps (the GPU of this Mac)"
    return (
        torch.device("cpu"),
        f"cpu ({torch.get_num_threads()} threads; PyTorch sees no CUDA device)",
    )


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The number format for a setting: bf16 where the hardware computes with it.

    Args:
        name: "auto", "fp32" or "bf16".
        device: Where to compute.
    """
    if name == "auto":
        name = "bf16" if _computes_bf16(device) else "fp32"
    return torch.bfloat16 if name == "bf16" else torch.float32


def _computes_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # other processors emulate bf16, slower than fp32
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return False


def is_memory_shortage(error: BaseException) -> bool:
    """Whether an error says that the device, or the computer, is out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # PyTorch's allocator on the CPU has no exception of its own
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def tune_allocator() -> None:
    """Let glibc keep and reuse large blocks; for the start of a command-line program.

    Convolutions ask for the same large buffers over and over, and by default each goes
    back to the system at once. Does nothing elsewhere than on Linux with glibc.
    """
    # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_ARENA_MAX of malloc.h
    keep_below, trim_above, heaps = -3, -1, -8
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(keep_below, 1 << 30)
    mallopt(trim_above, 2**31 - 1)
    # with a heap for each thread that reads or writes, the gaps in all of them add up
    mallopt(heaps, 1)
