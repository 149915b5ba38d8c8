"""Graphs in TorchScript.

TorchScript is a language of its own: its programs compute with tensors, and PyTorch
reads their values in C++, without Python's pickle. Two of its operations, though, open
files, and a class can have code that runs while it is read. Files that name any of
these are refused before PyTorch sees them. What remains can compute for very long, or
take much memory, as any network can.
"""

import io
import re
import zipfile
from collections.abc import Callable

import torch
from torch import Tensor

from napari_cyclegan3d.engine.errors import InputError

# only code is packed; weights lie open
MOST_CODE = 2**26
# opening files; code that runs at loading; Python that is called
FORBIDDEN = re.compile(
    r"\b(from_file|save|load_tensor|__setstate__|PythonOp|import_ir_module)\b"
)
LIBRARY = re.compile(r"\bops\.(\w+)")
LIBRARIES = {"aten", "prim", "quantized"}
DAMAGED = "the TorchScript in it is damaged, or of a PyTorch that is too new"
Run = Callable[[Tensor], Tensor]


def open_torchscript(content: bytes) -> torch.jit.ScriptModule:
    """Read a graph, on the CPU.

    Raises:
        InputError: It is damaged, or does more than to compute.
    """
    _check(content)
    try:
        module: torch.jit.ScriptModule = torch.jit.load(
            io.BytesIO(content), map_location="cpu"
        )
        module.eval()
    # PyTorch's reader meets damage anywhere, and says so in many ways
    except (RuntimeError, ValueError, AttributeError, LookupError, TypeError):
        raise InputError(DAMAGED) from None
    return module


def _check(content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            packed = sum(e.file_size for e in entries if e.compress_type)
            opened = sum(e.file_size for e in entries if not e.compress_type)
            names = {entry.filename for entry in entries}
            sound = content.startswith(b"PK\x03\x04") and len(names) == len(entries)
            if not sound or packed > MOST_CODE or opened > len(content):
                raise InputError(DAMAGED)
            if archive.testzip() is not None:  # PyTorch looks at no checksum
                raise InputError(DAMAGED)
            texts = [archive.read(e) for e in entries if "/code/" in e.filename]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        raise InputError(DAMAGED) from None
    except RuntimeError:  # a password
        raise InputError(DAMAGED) from None
    for text in texts:
        _check_code(text.decode("latin-1"))


def _check_code(text: str) -> None:
    found = FORBIDDEN.search(text)
    if found:
        raise InputError(
            f"its TorchScript uses {found[1]}, which does more than to compute; it is "
            "not opened"
        )
    for library in LIBRARY.findall(text):
        if library not in LIBRARIES:
            raise InputError(
                f"its TorchScript needs operations of {library}, which PyTorch does "
                "not have here"
            )


def run_torchscript(module: torch.jit.ScriptModule, image: Tensor) -> Tensor:
    """The one output for one input."""
    result = module(image)
    if isinstance(result, tuple | list) and len(result) == 1:
        result = result[0]
    if not isinstance(result, Tensor):
        raise InputError("it gives something else than one image; it cannot be used")
    return result
