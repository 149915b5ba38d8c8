"""Unpaired 3D CycleGAN enhancement of volumes, in napari and without it."""

__version__ = "0.1.0"
