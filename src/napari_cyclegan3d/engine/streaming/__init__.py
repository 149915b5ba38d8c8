"""Exact streaming of a network along z, in memory that does not grow with z."""

from napari_cyclegan3d.engine.streaming.program import Program, trace

__all__ = ["Program", "trace"]
