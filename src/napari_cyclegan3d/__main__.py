"""`python -m napari_cyclegan3d`: the command line, where torchrun starts it too."""

import sys

from napari_cyclegan3d.cli import main

if __name__ == "__main__":
    sys.exit(main())
