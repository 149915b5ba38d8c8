"""One of the processes of `test_parallel`: does the job that it finds in a folder."""

import sys
from pathlib import Path
from typing import Any

import torch

from conftest import Unreadable
from napari_cyclegan3d.engine import parallel, patches
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.cyclegan import CycleGan
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.events import StepDone
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.session import Session
from napari_cyclegan3d.engine.sources import fit_domains
from napari_cyclegan3d.engine.training import Domains, train
from napari_cyclegan3d.engine.volume import Volume


def trained(run: Path, config: TrainConfig, domains: Domains) -> dict[str, Any]:
    """Train, and tell everything that happened."""
    gan = CycleGan(config, torch.device("cpu"))
    session = Session(RunFolder(run), gan, domains)
    session.prepare(fit_domains(config, domains))
    session.folder.open(config, 0)
    drawn: list[torch.Tensor] = []
    step = gan.step

    def recorded(*batches: Any) -> dict[str, float]:
        drawn.extend(patch for batch in batches for patch in batch.real_a)
        return step(*batches)

    gan.step = recorded  # type: ignore[method-assign]
    events = list(session.run())
    session.close()
    return {
        "kinds": [type(event).__name__ for event in events],
        "terms": [event.terms for event in events if isinstance(event, StepDone)],
        "weights": {name: net.state_dict() for name, net in gan.networks.items()},
        "means": {name: net.state_dict() for name, net in gan.means.items()},
        "drawn": torch.stack(drawn),
    }


def resumed(run: Path, config: TrainConfig, domains: Domains) -> dict[str, Any]:
    """Train in one go, and again with a stop by the writing process and a resume."""
    whole, stopped = run.with_name("whole"), run.with_name("stopped")
    list(train(config, domains, whole))
    events = train(config, domains, stopped)
    kinds = []
    for event in events:
        kinds.append(type(event).__name__)
        if parallel.is_writer() and isinstance(event, StepDone) and event.step == 2:
            events.close()
    last = list(train(config, domains, stopped, resume=True))[-1]
    return {"stopped": kinds, "last": last}


def refused(run: Path, config: TrainConfig, domains: Domains) -> dict[str, Any]:
    """Train where one process can soon read no more of a volume."""
    patches.CACHE_BYTES = 0
    b = domains.b[0]
    told, done = "", 0
    if parallel.rank() == 1:
        domains = Domains(domains.a, [Volume(Unreadable(b.read(), 8), name=b.name)])
    try:
        for event in train(config, domains, run.with_name("run")):
            done += isinstance(event, StepDone)
    except InputError as error:
        told = str(error)
    return {"told": told, "done": done}


def threads_of_the_group() -> list[str]:
    """A thread of gloo that lives when Python ends can abort the process."""
    names = [
        task.read_text(encoding="utf-8")
        for task in Path("/proc/self/task").glob("*/comm")
    ]
    return [name for name in names if "gloo" in name]


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    job, config, domains = torch.load(folder / "job.pt", weights_only=False)
    with parallel.joined():
        rank = parallel.rank()
        result = globals()[job](folder / f"run {rank}", config, domains)
        torch.save(result, folder / f"{rank}.pt")
    assert not threads_of_the_group()
