"""The number format of a network's work."""

from fractions import Fraction

import pytest
import torch

from napari_cyclegan3d.engine import precision
from napari_cyclegan3d.engine.devices import choose_precision
from napari_cyclegan3d.engine.networks import Generator
from napari_cyclegan3d.engine.precision import fastest_precision
from napari_cyclegan3d.engine.sections.networks import GeneratorConfig

CPU = torch.device("cpu")


@pytest.mark.skipif(
    choose_precision("auto", CPU) == torch.float32, reason="no bf16 here: no trial"
)
def test_the_trial_of_a_network_is_made_once_and_forgotten_with_it() -> None:
    network = Generator(Fraction(1), GeneratorConfig(filters=2), noise=False).eval()
    rounds: list[object] = []
    network.body.register_forward_pre_hook(lambda *_: rounds.append(None))
    first = fastest_precision("auto", network, CPU)
    tried = len(rounds)
    assert tried > 0
    assert fastest_precision("auto", network, CPU) == first
    assert len(rounds) == tried
    del network
    assert not precision._found
