from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.degrade import degraded
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.sections.patches import DegradeConfig
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.evaluate import (
    Case,
    CaseDone,
    EvaluateConfig,
    EvaluateDone,
    Row,
    evaluate,
)

Texture = NDArray[np.float32]
ModelMaker = Callable[..., Model]


def table(
    cases: Sequence[Case], models: Sequence[Model], config: EvaluateConfig
) -> dict[tuple[str, str, str], Row]:
    """All lines, by case, model and kind."""
    *_, done = evaluate(cases, models, config)
    assert isinstance(done, EvaluateDone)
    lines = {(row.case, row.model, row.kind): row for row in done.rows}
    assert len(lines) == len(done.rows)
    return lines


def noisy(image: Texture, deviation: float = 10) -> Texture:
    noise = np.random.default_rng(1).normal(0, deviation, image.shape)
    return image + noise.astype(np.float32)


def test_scores_of_translation_and_baseline_are_those_of_scikit_image(
    texture: Texture, model: ModelMaker, config: EvaluateConfig
) -> None:
    scan = noisy(texture)
    lines = table(
        [Case("one", Volume(texture), Volume(scan))],
        [model("m", gain=0.5, offset=50)],
        config,
    )
    low, high = np.percentile(texture, (0.1, 99.9))
    for key, image in (
        (("one", "identity", "baseline"), scan),
        (("one", "m", "translation"), 0.5 * scan + 50),
    ):
        row = lines[key]
        assert row.data_range == pytest.approx(high - low)
        assert row.voxels == texture.size
        span = row.data_range
        psnr = peak_signal_noise_ratio(texture, image, data_range=span)
        ssim = structural_similarity(
            texture.astype(np.float64),
            image.astype(np.float64),
            gaussian_weights=True,
            use_sample_covariance=False,
            data_range=span,
        )
        assert row.scores.psnr == pytest.approx(psnr, abs=1e-3)
        assert row.scores.ssim == pytest.approx(ssim, abs=1e-4)


def test_several_models_are_scored_beside_one_baseline_on_every_case(
    texture: Texture, model: ModelMaker, config: EvaluateConfig
) -> None:
    cases = [
        Case("1", Volume(texture), Volume(noisy(texture))),
        Case("2", Volume(texture), Volume(noisy(texture, 30))),
    ]
    models = [model("plain", back_gain=None), model("halved", gain=0.5, back_gain=None)]
    lines = table(cases, models, config)
    assert list(lines) == [
        (case, name, kind)
        for case in "12"
        for name, kind in (
            ("identity", "baseline"),
            ("plain", "translation"),
            ("halved", "translation"),
        )
    ]
    for case in "12":  # an identity network is as good as no network
        plain, identity = (
            lines[case, "plain", "translation"],
            lines[case, "identity", "baseline"],
        )
        assert plain.scores == identity.scores
    first, second = (lines[case, "plain", "translation"].scores for case in "12")
    assert first.psnr > second.psnr + 5


def test_the_cycle_of_the_truth_goes_back_by_one_generator_and_forth_by_the_other(
    texture: Texture, model: ModelMaker, config: EvaluateConfig
) -> None:
    """b_to_a doubles, a_to_b halves: a cycle of B changes nothing, other ways would."""
    scan = Volume(noisy(texture))
    inverse = model("inverse", gain=0.5, back_gain=2)
    lines = table([Case("1", Volume(texture), scan)], [inverse], config)
    assert lines["1", "inverse", "cycle"].scores.psnr == np.inf
    assert lines["1", "inverse", "translation"].scores.psnr < 20
    shifted = model("shifted", gain=0.5, offset=7, back_gain=2)
    lines = table([Case("1", Volume(texture), scan)], [shifted], config)
    row = lines["1", "shifted", "cycle"]
    # 7 of the data range, not 14: the offset comes last
    assert row.scores.psnr == pytest.approx(20 * np.log10(row.data_range / 7), abs=1e-3)


def test_a_model_that_loses_everything_on_the_way_has_no_cycle(
    texture: Texture, model: ModelMaker, config: EvaluateConfig
) -> None:
    case = Case("1", Volume(texture), Volume(texture))
    models = [model("dead", back_gain=0), model("alive")]
    lines = table([case], models, config)
    assert [(name, kind) for _, name, kind in lines] == [
        ("identity", "baseline"),
        ("dead", "translation"),
        ("alive", "translation"),
        ("alive", "cycle"),
    ]


def test_the_other_direction_is_scored_with_the_other_generator(
    texture: Texture, model: ModelMaker, config: EvaluateConfig
) -> None:
    back = config.model_copy(
        update={"enhance": config.enhance.model_copy(update={"direction": "b_to_a"})}
    )
    one = model("m", scale=2, gain=5, back_gain=1)
    fine = Volume(texture.repeat(2, 0).repeat(2, 1).repeat(2, 2))
    lines = table([Case("1", Volume(texture), fine)], [one], back)
    assert lines["1", "m", "translation"].scores.psnr > 100
    assert lines["1", "trilinear", "baseline"].scores.psnr > 100


def test_the_baseline_of_an_enlargement_keeps_voxel_edges_in_place(
    model: ModelMaker, config: EvaluateConfig
) -> None:
    """A ramp stays the same ramp, which no shifted interpolation gives."""
    centres = (np.arange(48) + 0.5) / 2 - 0.5
    ramp = np.broadcast_to(centres, (48, 48, 48)).astype(np.float32)
    coarse = np.broadcast_to(np.arange(24), (24, 24, 24)).astype(np.float32)
    mask = np.zeros(ramp.shape, np.uint8)
    mask[:, :, 6:-6] = 1  # nothing is known beyond the last centres
    case = Case("1", Volume(ramp), Volume(coarse), Volume(mask))
    lines = table([case], [model("repeating", scale=2)], config)
    assert lines["1", "trilinear", "baseline"].scores.psnr > 100
    assert lines["1", "repeating", "translation"].scores.psnr < 60


def test_inputs_are_made_by_the_operator_of_the_training(
    texture: Texture, model: ModelMaker, config: EvaluateConfig
) -> None:
    degrade = DegradeConfig(blur=1.5, noise=0.1)
    truth = Volume(texture[:, :25], np.diag([2.0, 2, 2, 1]), "micrometer", name="truth")
    one = model("m", scale=2, back_gain=None, degrade=degrade)
    made = table([Case("1", truth)], [one], config)
    whole = truth.crop((slice(24), slice(24), slice(28)))
    given = Case("1", whole, degraded(whole, 2, degrade, 1))
    expected = table([given], [one], config)
    assert made.keys() == expected.keys()
    for key, row in made.items():
        assert row == replace(expected[key], degraded=True)


def test_models_of_other_degradations_are_refused_where_inputs_are_made(
    texture: Texture, model: ModelMaker, config: EvaluateConfig
) -> None:
    sharp, soft = (
        model(name, scale=2, degrade=DegradeConfig(blur=blur))
        for name, blur in (("sharp", 0.5), ("soft", 2))
    )
    truth = Volume(texture)
    with pytest.raises(InputError, match=r"soft: .* another degradation than sharp"):
        table([Case("1", truth)], [sharp, soft], config)
    coarse = Volume(texture[::2, ::2, ::2])
    assert len(table([Case("1", truth, coarse)], [sharp, soft], config)) == 5
    back = EvaluateConfig(enhance=EnhanceConfig(direction="b_to_a", precision="fp32"))
    with pytest.raises(InputError, match="direction b_to_a"):
        table([Case("1", truth)], [sharp], back)


def test_matched_grey_values_forgive_gain_and_offset_and_are_recorded(
    texture: Texture, model: ModelMaker, config: EvaluateConfig
) -> None:
    cases = [Case("1", Volume(texture), Volume(3 * texture - 40))]
    matching = config.model_copy(update={"match_grey": True})
    one = model("m", gain=-0.2, back_gain=1.5)
    plain, matched = (table(cases, [one], c) for c in (config, matching))
    for key in (("1", "identity", "baseline"), ("1", "m", "translation")):
        assert plain[key].scores.psnr < 10
        assert not plain[key].grey_matched
        assert matched[key].scores.psnr > 80
        assert matched[key].grey_matched
    # a cycle has to come back to its own grey values
    cycle = ("1", "m", "cycle")
    assert matched[cycle] == plain[cycle]
    assert not matched[cycle].grey_matched


def test_slices_and_curves_are_those_that_were_scored(
    texture: Texture, model: ModelMaker, config: EvaluateConfig
) -> None:
    scan = noisy(texture)
    upright = np.diag([2.0, 2, 2, 1])
    case = Case("1", Volume(texture, upright, "micrometer"), Volume(scan))
    (done,) = (
        event
        for event in evaluate([case], [model("m", gain=2)], config)
        if isinstance(event, CaseDone)
    )
    np.testing.assert_array_equal(done.slices["truth"], texture[12:13])
    np.testing.assert_array_equal(done.slices["identity"], scan[12:13])
    np.testing.assert_array_equal(done.slices["m"], 2 * scan[12:13])
    assert done.unit == "micrometer"
    frequency, correlation = done.curves["m"]
    assert frequency[-1] == pytest.approx(0.25)  # Nyquist of voxels of 2 µm
    assert correlation[0] > 0.95 > 0.5 > correlation[-1]


def test_names_that_tables_could_not_tell_apart_are_refused(
    texture: Texture, model: ModelMaker, config: EvaluateConfig
) -> None:
    case = Case("1", Volume(texture), Volume(texture))
    with pytest.raises(InputError, match=r"m: two models"):
        table([case], [model("m"), model("m")], config)
    with pytest.raises(InputError, match=r"identity: two models"):
        table([case], [model("identity")], config)
    with pytest.raises(InputError, match=r"1: two volumes"):
        table([case, case], [model("m")], config)


def test_models_of_two_scales_are_refused(
    texture: Texture, model: ModelMaker, config: EvaluateConfig
) -> None:
    case = Case("1", Volume(texture), Volume(texture))
    with pytest.raises(InputError, match=r"big: scale 2, but small has scale 1"):
        table([case], [model("small"), model("big", scale=2)], config)


@pytest.mark.parametrize("what", ["cases", "models"])
def test_nothing_to_evaluate_is_refused(
    what: str, texture: Texture, model: ModelMaker, config: EvaluateConfig
) -> None:
    case = Case("1", Volume(texture), Volume(texture))
    with pytest.raises(InputError, match="nothing to evaluate"):
        table(
            [] if what == "cases" else [case],
            [] if what == "models" else [model()],
            config,
        )


def test_voxels_without_a_value_are_left_out_for_all_alike(
    texture: Texture, model: ModelMaker, config: EvaluateConfig
) -> None:
    scan, truth = noisy(texture), texture.copy()
    scan[3:6, 3:6, 3:6] = np.nan
    truth[20, 20, 20] = np.nan
    lines = table([Case("1", Volume(truth), Volume(scan))], [model("m")], config)
    known = np.isfinite(scan) & np.isfinite(truth)
    difference = (scan - truth)[known].astype(np.float64)
    low, high = np.percentile(truth[known], (0.1, 99.9))
    expected = 10 * np.log10((high - low) ** 2 / np.square(difference).mean())
    for name, kind in (("identity", "baseline"), ("m", "translation")):
        row = lines["1", name, kind]
        assert row.voxels == known.sum()
        assert row.scores.psnr == pytest.approx(expected, abs=1e-3)
        assert np.isfinite(row.scores.ssim)
        assert np.isfinite(row.scores.resolution_143)
