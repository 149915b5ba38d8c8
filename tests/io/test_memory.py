"""The memory of a process does not grow with the volumes that go through it."""

import subprocess
import sys
from pathlib import Path

import pytest

PROC = Path("/proc/self/status")
pytestmark = pytest.mark.skipif(not PROC.exists(), reason="needs Linux's /proc")

# 200 MB are written in tiles, read in tiles and in thin columns, and copied
PASS_THROUGH = """
import sys, threading
from itertools import product
from pathlib import Path
import numpy as np
from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Planned, Volume

def resident():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000

def watch():
    while not done.wait(0.005):
        peak[0] = max(peak[0], resident())

shape = (192, 512, 512)
regions = [
    tuple(slice(a, a + n) for a, n in zip(start, (32, 256, 256)))
    for start in product(range(0, 192, 32), (0, 256), (0, 256))
]
folder, suffix = Path(sys.argv[1]), sys.argv[2]
planned = Volume(Planned(shape, np.dtype(np.float32)))
# what the libraries load at their first use is no growth
io.write(Volume(np.zeros((2, 2, 2), np.float32)), folder / f"small{suffix}")
io.read(folder / f"small{suffix}").read()
before, peak, done = resident(), [0], threading.Event()
watcher = threading.Thread(target=watch, daemon=True)
watcher.start()
with io.create(planned, folder / f"a{suffix}") as sink:
    for number, region in enumerate(regions):
        sink[region] = number
    assert sink[0:192, 0:512, 7:8].max() == 22
volume = io.read(folder / f"a{suffix}")
with io.create(volume, folder / f"b{suffix}") as sink:
    for region in regions:
        sink[region] = volume.read(region)
again = io.read(folder / f"b{suffix}")
assert again.read((slice(None), slice(None), slice(500, 504))).max() == 23
done.set()
watcher.join()
print(max(peak[0], resident()) - before)
"""


@pytest.mark.parametrize("suffix", [".tif", ".nii", ".nii.gz", ".h5", ".zarr"])
def test_memory_grows_by_less_than_a_volume_that_is_written_read_and_copied(
    suffix: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", PASS_THROUGH, str(tmp_path), suffix]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stderr
    # what zarr's threads keep for themselves is some 100 MB, whatever the size
    assert float(run.stdout) < (150 if suffix == ".zarr" else 100)
