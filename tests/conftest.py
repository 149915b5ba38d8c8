import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import pytest
import torch

from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.hallucination.findings import (
    CalibrationFit,
    CardRow,
    Finding,
    GlobalNumbers,
    Inspection,
    NoiseFit,
    OperatorFit,
    VolumeFacts,
)
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.memory import release_memory
from napari_cyclegan3d.engine.volume import Volume

Limited = Callable[[int], AbstractContextManager[None]]

# small tensors gain nothing from threads, and sums come out the same everywhere
torch.set_num_threads(1)
# models of equal trainings are equal files, whenever they are saved
os.environ["SOURCE_DATE_EPOCH"] = "1750000000"


@pytest.fixture(scope="module", autouse=True)
def _memory_given_back() -> Iterator[None]:
    """What the tests of a file have freed is not counted against those of the next."""
    yield
    release_memory()


@pytest.fixture
def limited() -> Limited:
    """A block in which no file grows beyond so many bytes, as if the disk were full."""

    resource = pytest.importorskip("resource", reason="limits are those of POSIX")

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)

    return limit


@pytest.fixture
def inspected() -> Inspected:
    """An inspection of 24 × 32 × 32 voxels of 2 µm with six findings, made by hand."""
    shape, affine = (24, 32, 32), np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (10, -20, 30)
    labels = np.zeros(shape, np.int32)
    residual = np.random.default_rng(3).normal(size=shape).astype(np.float16)
    suspicion = np.zeros(shape, np.float16)
    findings = []
    verdicts = (
        ("inserted", "contradicted", 5.5),
        ("deleted", "missing", 5.0),
        ("inserted", "unverifiable", 3.1),
        ("changed", "contradicted", 2.9),
        ("inserted", "uncontradicted", 1.2),
        ("inserted", "supported", 0.1),
    )
    for number, (kind, verdict, value) in enumerate(verdicts, 1):
        z, y, x = 3 * number, 4 * number, 28 - 4 * number
        box = ((z - 1, z + 2), (y - 2, y + 2), (x - 2, x + 2))
        place = tuple(slice(*ends) for ends in box)
        labels[place], suspicion[place] = number, value
        residual[place] += 5 if kind == "deleted" else -5
        power = 1.5 if verdict == "unverifiable" else 6.0
        support = 1.0 if verdict == "supported" else 0.1
        findings.append(
            Finding(
                id=number,
                rank=number,
                kind=kind,
                verdict=verdict,
                suspicion=value,
                p=10**-value,
                q=min(1.0, 6 / number * 10**-value),
                power=power,
                confirmation=power * support,
                support=support,
                support_low=support - 2 / power,
                support_high=support + 2 / power,
                residual_z=5.0 if kind == "deleted" else -5.0,
                rse=1.4,
                prior_only=0.8 if verdict == "unverifiable" else 0.2,
                contrast_enhanced=40.0,
                contrast_raw=4.0,
                voxels=48,
                volume=384.0,
                diameter=9.02,
                elongation=1.3,
                centre=(z, y, x),
                world=(10 + 2 * z, -20 + 2 * y, 30 + 2 * x),
                box=box,
            )
        )
    facts = VolumeFacts(
        name="fast scan",
        shape=shape,
        spacing=(2, 2, 2),
        unit="micrometer",
        dtype="float32",
        sha256="0" * 64,
    )
    inspection = Inspection(
        version="0.1.0",
        versions={"numpy": np.__version__},
        date="2026-01-01T00:00:00Z",
        seconds=12.5,
        passes=5,
        config=InspectConfig(),
        raw=facts,
        enhanced=facts.model_copy(update={"name": "fast scan enhanced"}),
        unit="micrometer",
        operator=OperatorFit(
            relation="degraded",
            scale=1,
            gain=1.02,
            offset=-3.0,
            blur=(1.2, 1.1, 1.1),
            shift=(0.02, 0.0, -0.01),
            correlation=0.93,
        ),
        noise=NoiseFit(
            sigma=20.0,
            level=100.0,
            frequency=(0.0, 0.25, 0.5, 0.87),
            power=(0.8, 1.0, 1.1, 1.0),
            how="air: 12 boxes of 16³ voxels",
            whiteness=0.97,
        ),
        calibration=CalibrationFit(
            rung=5, alpha=0.01, threshold=3.0, remarks=("uncalibrated",)
        ),
        numbers=GlobalNumbers(rsp=0.93, rse=21.0, chi2=1.1, claimed=4.2, confirmed=6.0),
        card=(
            CardRow(
                shape="fibre",
                diameter=8.0,
                contrast=1.0,
                power=6.0,
                inserted=0.9,
                deleted=0.7,
                count=20,
                false_alarms=1.0,
            ),
        ),
        counts={
            "supported": 40,
            "uncontradicted": 3,
            "contradicted": 2,
            "unverifiable": 1,
            "missing": 1,
        },
        findings=tuple(findings),
        warnings=("the noise is not white",),
        not_checked=("rings",),
    )
    maps = {"residual": residual, "suspicion": suspicion}
    volumes = {
        name: Volume(one, affine, "micrometer", name=name) for name, one in maps.items()
    }
    suspects = Volume(labels, affine, "micrometer", name="suspects")
    return Inspected(inspection, volumes, suspects)
