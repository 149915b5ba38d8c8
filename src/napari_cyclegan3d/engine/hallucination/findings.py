"""What an inspection finds: plain records that go to JSON and come back checked.

Positions and boxes count voxels of the enhanced volume, z y x. `None` means: not
measured in this mode.
"""

from typing import Literal

from pydantic import Field

from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.settings import Settings

Kind = Literal["inserted", "deleted", "changed", "artefact"]
# uncontradicted: agrees with the data that it was made from; no independent evidence
Verdict = Literal[
    "supported", "uncontradicted", "contradicted", "unverifiable", "missing"
]
Decision = Literal[
    "real", "hallucination-impactful", "hallucination-benign", "artefact", "unsure"
]
Triple = tuple[float, float, float]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

# below this power the raw volume could not have shown a structure
LEAST_POWER = 3.0
HONESTY = (
    "The absence of a flag is no evidence of truth where the power is below "
    f"{LEAST_POWER:g}: there the raw volume could not have contradicted the network."
)


class Review(Settings):
    """What a person decided about a finding.

    Attributes:
        decision: Their verdict.
        comment: Their words.
        reviewer: Who.
        time: When, UTC, ISO 8601.
    """

    decision: Decision
    comment: str = Field("", max_length=2000)
    reviewer: str = Field("", max_length=200)
    time: str = Field("", max_length=40)


class Finding(Settings):
    """One structure, and what is known about it.

    Attributes:
        id: Its number in the volume of labels, from 1.
        rank: 1 is the most suspicious.
        kind: What the network did.
        verdict: What the data say.
        suspicion: Largest −log10 p within it, 0 to 6.
        p: Of the null hypothesis that nothing is wrong here.
        q: False-discovery rate of the list down to this rank (Benjamini & Hochberg).
        power: d′, how clearly the raw volume would show it if it were real, in
            standard deviations.
        confirmation: e, how clearly it does show it, in standard deviations.
        support: b = e/d′: 1 fully there, 0 not at all; with its 95 % interval.
        residual_z: Extreme of the signed residual; negative: invented.
        rse: Local resolution-scaled error, in standard deviations of the noise.
        prior_only: Share of local detail that the raw volume cannot determine, 0 to 1.
        instability: 1 − agreement with repetitions, 0 stable to 1.
        cycle: Hardened cycle error, in standard deviations of the noise.
        realism: How unlike domain B the discriminator finds it (artefact, not
            hallucination).
        contrast_enhanced: Mean inside minus mean around, in the enhanced volume.
        contrast_raw: The same in the raw volume.
        voxels: Voxels of the enhanced volume.
        volume: In unit³.
        diameter: Of the sphere of that volume, in unit.
        elongation: Longest over shortest axis of inertia, 1 or more.
        centre: Voxel (z, y, x) to look at; a voxel of the finding.
        world: The same in the world, in `unit`.
        box: First and last+1 voxel along z, y, x.
        touches_border: Whether it is cut by the volume's border.
        truth: With ground truth: share of it that is really there, 0 to 1.
        review: What a person decided.
    """

    id: int = Field(ge=1)
    rank: int = Field(ge=1)
    kind: Kind
    verdict: Verdict
    suspicion: float
    p: float = Field(ge=0, le=1)
    q: float = Field(ge=0, le=1)
    power: float | None = None
    confirmation: float | None = None
    support: float | None = None
    support_low: float | None = None
    support_high: float | None = None
    residual_z: float | None = None
    rse: float | None = None
    prior_only: float | None = None
    instability: float | None = None
    cycle: float | None = None
    realism: float | None = None
    contrast_enhanced: float | None = None
    contrast_raw: float | None = None
    voxels: int = Field(ge=1)
    volume: float
    diameter: float
    elongation: float
    centre: tuple[int, int, int]
    world: Triple
    box: Box
    touches_border: bool = False
    truth: float | None = None
    review: Review | None = None


class OperatorFit(Settings):
    """How the raw volume follows from the enhanced one.

    Attributes:
        relation: degraded: gain · blurred + offset; modality: a curve of grey values.
        scale: Enhanced size over raw size.
        gain: Raw grey value per enhanced one (modality: slope of the curve's line).
        offset: Raw grey value of enhanced 0.
        blur: Standard deviation of the Gaussian (z, y, x), in raw voxels.
        shift: Of the enhanced volume against the raw one (z, y, x), in raw voxels.
        curve: Modality: pairs of enhanced and raw grey values, linear between.
        correlation: Of the raw volume with what the operator makes of the enhanced one.
    """

    relation: Literal["degraded", "modality"]
    scale: Literal[1, 2, 4]
    gain: float
    offset: float
    blur: Triple
    shift: Triple
    curve: tuple[tuple[float, float], ...] = ()
    correlation: float


class NoiseFit(Settings):
    """The noise of the raw volume.

    Attributes:
        sigma: Standard deviation, in raw grey values, at grey value `level`.
        level: Where sigma holds.
        slope: Variance gained per grey value above `level` (photon counting), 0: none.
        frequency: Cycles per raw voxel, 0 to about 0.87 (a corner).
        power: Radial power there; its mean over the spectrum is 1.
        axes: Factors of the power along z, y, x at equally spaced frequencies from 0 to
            0.5 cycles per raw voxel; empty: the noise is alike in all directions.
        deviations: Pairs of grey value and standard deviation, ascending, linear
            between; empty: sigma everywhere.
        how: Where it was measured.
        whiteness: Of the whitened residual: 1 − its largest correlation with a
            neighbour; 1 is white.
    """

    sigma: float = Field(gt=0)
    level: float
    slope: float = 0.0
    frequency: tuple[float, ...]
    power: tuple[float, ...]
    axes: tuple[tuple[float, ...], ...] = ()
    deviations: tuple[tuple[float, float], ...] = ()
    how: str
    whiteness: float


class CalibrationFit(Settings):
    """Where the thresholds come from.

    Attributes:
        rung: 1 pairs, 2 pseudo-pairs from domain B, 3 pseudo-pairs from this result, 4
            plants in this volume, 5 none (robust deviations; uncalibrated).
        alpha: Nominal rate at which invented objects are called supported.
        threshold: Confirmation that a supported object needs.
        n: Volumes or blocks behind it.
        nulls: Null values behind it.
        realised: Rate that was reached on what it was calibrated with; None: unknown.
        false_alarms: Expected false alarms per million voxels of the raw volume.
        remarks: What a reader must know about it.
    """

    rung: Literal[1, 2, 3, 4, 5]
    alpha: float
    threshold: float
    n: int = 0
    nulls: int = 0
    realised: float | None = None
    false_alarms: float | None = None
    remarks: tuple[str, ...] = ()


class CardRow(Settings):
    """What would be found of one size and contrast in this volume.

    Attributes:
        shape: fibre or ball.
        diameter: In unit.
        contrast: Share of the volume's own contrast between structure and background.
        power: Median d′ of the planted objects.
        inserted: Share of inserted objects found.
        deleted: Share of deleted objects found.
        count: How many were planted of each.
        false_alarms: Per 64³ voxels, at which these shares hold.
    """

    shape: Literal["fibre", "ball"]
    diameter: float
    contrast: float
    power: float
    inserted: float | None
    deleted: float | None
    count: int
    false_alarms: float


class GlobalNumbers(Settings):
    """One number each for the whole volume.

    Attributes:
        rsp: Correlation of raw and degraded enhanced volume (Culley et al. 2018).
        rse: Root mean square of their difference, in raw grey values.
        chi2: Mean squared residual over the variance of the noise; 1: as it should be.
        claimed: Resolution that the enhanced volume shows, in unit.
        confirmed: Resolution that halves of the data agree on, in unit.
        stego_gap: Hardened over plain cycle error; above 1.2 the cycle hides a code.
        prior_only: Share of fine detail that the raw volume cannot determine.
    """

    rsp: float
    rse: float
    chi2: float
    claimed: float | None = None
    confirmed: float | None = None
    stego_gap: float | None = None
    prior_only: float | None = None


class TruthScores(Settings):
    """How well the detector did where the truth is known.

    Attributes:
        auroc: Of the suspicion, for objects: invented against real.
        auprc: Area under precision and recall of the same.
        invented: Objects of which the truth has less than 0.3.
        real: Objects of which it has more than 0.6.
        wrongly_supported: Share of the invented ones called supported.
        supported: Share of the real ones called supported.
        voxel_auroc: Of the suspicion map, for voxels that are truly wrong.
        true_share: Of the first 20 findings, the share that is truly wrong.
    """

    auroc: float | None
    auprc: float | None
    invented: int
    real: int
    wrongly_supported: float | None
    supported: float | None
    voxel_auroc: float | None
    true_share: float | None


class VolumeFacts(Settings):
    """Which volume it was.

    Attributes:
        name: As its user calls it.
        shape: Voxels (z, y, x).
        spacing: Of voxels, in unit.
        unit: Of length.
        dtype: Type of a voxel.
        sha256: Of the voxels in C order and of type, shape and affine.
        source: The file it came from, if it is known.
    """

    name: str
    shape: tuple[int, int, int]
    spacing: Triple
    unit: str
    dtype: str
    sha256: str
    source: str | None = None


class ModelFacts(Settings):
    """Which model it was.

    Attributes:
        name: Of the file.
        sha256: Of its weights.
        steps: It was trained for.
        date: It was saved.
        volumes_a: Names of its training volumes.
        volumes_b: The same.
    """

    name: str
    sha256: str
    steps: int
    date: str | None
    volumes_a: tuple[str, ...]
    volumes_b: tuple[str, ...]


class Inspection(Settings):
    """All that an inspection says, without the voxels.

    Attributes:
        format: Of the file.
        version: Of this package.
        versions: Of torch, numpy and scipy, by name.
        date: UTC, ISO 8601.
        seconds: It took.
        passes: Passes of networks beyond the enhancement itself.
        config: Its settings.
        raw, enhanced, truth, second: The volumes.
        model: The model, if there was one.
        unit: Of lengths.
        operator, noise, calibration, numbers: What was fitted.
        card: What would have been found.
        scores: With ground truth, how well the detector did.
        counts: Objects by verdict, supported ones included.
        findings: By rank. Of supported and uncontradicted objects only the counts and
            the first few are kept.
        warnings: What the user should know.
        not_checked: What this inspection cannot say.
    """

    format: Literal[1] = 1
    version: str
    versions: dict[str, str]
    date: str
    seconds: float
    passes: int
    config: InspectConfig
    raw: VolumeFacts
    enhanced: VolumeFacts
    truth: VolumeFacts | None = None
    second: VolumeFacts | None = None
    model: ModelFacts | None = None
    unit: str
    operator: OperatorFit
    noise: NoiseFit
    calibration: CalibrationFit
    numbers: GlobalNumbers
    card: tuple[CardRow, ...] = ()
    scores: TruthScores | None = None
    counts: dict[Verdict, int]
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()
