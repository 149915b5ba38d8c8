"""What a model rests on, to be cited."""

from typing import NamedTuple

from napari_cyclegan3d.engine.config import TrainConfig


class Paper(NamedTuple):
    """A publication."""

    text: str
    doi: str


METHODS = {
    "cyclegan": Paper(
        "Zhu et al. 2017, Unpaired image-to-image translation using cycle-consistent "
        "adversarial networks",
        "10.1109/ICCV.2017.244",
    ),
    "srgan": Paper(
        "Ledig et al. 2017, Photo-realistic single image super-resolution using a "
        "generative adversarial network",
        "10.1109/CVPR.2017.19",
    ),
}
STRIDED = Paper(
    "Isola et al. 2017, Image-to-image translation with conditional adversarial "
    "networks",
    "10.1109/CVPR.2017.632",
)


def papers_of(config: TrainConfig) -> list[Paper]:
    """The method's paper, and the network's where it is another."""
    papers = [METHODS[config.method]]
    if config.generator.kind == "unet_strided":
        papers.append(STRIDED)
    return papers
