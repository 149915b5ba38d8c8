"""The rotation of a qform, as exactly as its three numbers can say it.

NIfTI stores three of the four numbers of a quaternion; readers find the first one from
the length of 1. Near a half turn, which is how most heads are stored, it is small, and
rounding the others to 32 bits moves the corners of an image by some micrometers.
"""

from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

_FIELDS = ("quatern_b", "quatern_c", "quatern_d")
# readers take the square of the first number for 0 below about this
_NONE = 3 * np.finfo(np.float32).eps


def store_rotation(header: Any, affine: NDArray[np.float64]) -> None:
    """Put the rotation of an affine into the quaternion of a header.

    Args:
        header: Of NIfTI-1 or 2; the rest of its qform is there.
        affine: 4×4 matrix from voxel i j k to world x y z.
    """
    exact = nib.Nifti2Header()
    exact.set_qform(affine)
    three = np.array([float(exact[field]) for field in _FIELDS])
    # rounding adds to half turns, and readers refuse a length above 1
    three /= max(1.0, float(np.linalg.norm(three)))
    if header[_FIELDS[0]].dtype.itemsize < 8:
        three = _nearest(three)
    for field, number in zip(_FIELDS, three, strict=True):
        header[field] = number


def _nearest(exact: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers of 32 bits whose rotation is nearest.

    The largest number is rounded; all others make up for it, each by its share, which
    is the smallest change that keeps the length of 1.
    """
    largest = int(np.argmax(np.abs(exact)))
    rounded = float(np.float32(exact[largest]))
    rest = 1 - exact[largest] ** 2
    missing = (exact[largest] - rounded) * exact[largest]
    three = exact * (1 + missing / rest) if rest > _NONE else exact.copy()
    three[largest] = rounded
    return three
