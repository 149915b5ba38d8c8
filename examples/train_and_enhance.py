"""Train on two volumes, enhance one of them, write the result.

python examples/train_and_enhance.py fast.tif slow.tif out
"""

import sys
from pathlib import Path

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.inference import EnhanceDone, enhance
from napari_cyclegan3d.engine.training import (
    Domains,
    StepDone,
    TrainingDone,
    train,
)


def main(file_a: str, file_b: str, out: Path, steps: int = 2000) -> None:
    fast, slow = io.read(file_a), io.read(file_b)
    config = TrainConfig(steps=steps)
    for event in train(config, Domains(a=[fast], b=[slow]), out / "run"):
        if isinstance(event, StepDone) and event.step % 100 == 0:
            print(event.step, dict(event.terms))
        elif isinstance(event, TrainingDone):
            model = load_model(event.model)
    for event in enhance(fast, model):
        if isinstance(event, EnhanceDone):
            io.write(event.volume, out / "enhanced.tif")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), *map(int, sys.argv[4:]))
