"""What a reader of an inspection must be told."""

from collections.abc import Sequence

from napari_cyclegan3d.engine.hallucination.calibration import Calibration
from napari_cyclegan3d.engine.hallucination.cycle import ALARM
from napari_cyclegan3d.engine.hallucination.findings import GlobalNumbers
from napari_cyclegan3d.engine.hallucination.plan import Plan
from napari_cyclegan3d.engine.hallucination.survey import Fitted

# below these the fits do not describe the volumes well
LEAST_CORRELATION, LEAST_WHITENESS = 0.3, 0.8
CHI2 = (0.5, 2.0)


def warnings(
    fitted: Fitted,
    numbers: GlobalNumbers,
    calibration: Calibration,
    more: Sequence[str] = (),
) -> tuple[str, ...]:
    """Sentences about what makes this inspection doubtful."""
    operator, noise = fitted.operator.fit, fitted.noise.fit
    said = [*more, *calibration.warnings]
    if operator.correlation < LEAST_CORRELATION:
        said.append(
            f"the enhanced volume explains little of the raw one (correlation "
            f"{operator.correlation:.2f}): they may not belong together"
        )
    if operator.gain < 0:
        said.append(
            f"the contrast is inverted (gain {operator.gain:.3g}): bright in the raw "
            "volume is dark in the enhanced one, as between modalities; where both "
            "should look alike, the network has learned it the wrong way round"
        )
    if noise.whiteness < LEAST_WHITENESS:
        said.append(
            f"what is left between the volumes is not noise alone (whiteness "
            f"{noise.whiteness:.2f}, 1 is white): contradictions may be overstated"
        )
    if not CHI2[0] < numbers.chi2 < CHI2[1]:
        said.append(
            f"the residual is {numbers.chi2:.2g} times what the noise explains (1 is "
            "as it should be): noise or operator are not described well"
        )
    if numbers.stego_gap is not None and numbers.stego_gap > ALARM:
        said.append(
            f"the way back reads a hidden code in the enhanced volume (the cycle is "
            f"{numbers.stego_gap:.2f} times worse after a slight blur, alarm above "
            f"{ALARM:g}): its plain cycle error is no evidence"
        )
    return tuple(said)


def not_checked(plan: Plan, second: bool, relation: str) -> tuple[str, ...]:
    """Sentences about what this inspection cannot say."""
    said = [
        "structure finer than the raw volume resolves: it can only be called "
        "unverifiable",
        "errors of the scan itself, such as rings, beam hardening or motion: what the "
        "raw volume shows is taken for real",
        "whether a finding matters: that is for its reader to decide",
    ]
    if not plan.splits and not second:
        said.append(
            "structure that the network made of the raw volume's noise: it agrees with "
            "that noise, and only independent data (standard mode, or a second scan) "
            "tell it from real structure; no object is called supported"
        )
    elif not second:
        said.append(
            "noise that is not as measured: the independent data are the raw volume "
            "split by noise of the measured strength and spectrum; a second scan would "
            "need no such assumption"
        )
    if not plan.passes:
        said.append("how stable the result is under repetition: no network was run")
    if plan.passes and not plan.cycle:
        said.append("the way back: there is no network from B to A")
    if relation == "modality":
        said.append(
            "contrast that raw and enhanced volume do not share: the operator between "
            "modalities is a fitted curve of grey values, not physics"
        )
    return tuple(said)
