"""Write the sample volumes: `python -m napari_cyclegan3d.samples sample_data`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.samples import write_samples


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the samples into the folder named on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m napari_cyclegan3d.samples",
        description="Compute the sample volumes and write them into a folder.",
    )
    parser.add_argument("folder", type=Path, help="where to write; made if need be")
    folder = parser.parse_args(arguments).folder
    try:
        paths = write_samples(folder)
    except InputError as error:
        parser.error(str(error))
    sys.stdout.writelines(f"{path}\n" for path in paths)


if __name__ == "__main__":
    main()
