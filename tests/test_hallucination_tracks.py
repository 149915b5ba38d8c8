"""The tracks hold what they say, and the detector passes a small part of each."""

from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _their_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_planted_faults_are_where_they_are_said_to_be() -> None:
    from hallucination_tracks.planted import planted

    case = planted(0, 0.3)
    assert set(np.unique(case.inserted)) == set(range(6))
    assert set(np.unique(case.deleted)) == set(range(6))
    faulty = (case.inserted > 0) | (case.deleted > 0)
    assert case.wrong[faulty].mean() > 0.8
    assert case.wrong[~faulty].mean() < 0.01
    for powers in case.powers:
        assert 5 < np.median(powers) < 8


def test_twice_the_noise_is_half_the_power() -> None:
    from hallucination_tracks.planted import planted

    one, other = planted(1, 0.3), planted(1, 0.6)
    assert np.allclose(one.powers[0], 2 * np.array(other.powers[0]))
    assert np.array_equal(one.enhanced, other.enhanced)


def test_the_restorer_invents_things_and_restores_things() -> None:
    from hallucination_tracks.natural import REGIMES, natural, restorer

    regime = REGIMES["white"]
    truth, raw, second = natural(0, regime)
    enhanced = restorer(regime)(raw)
    there, away = truth > 0.5, np.abs(truth) < 1e-6
    assert enhanced[there].mean() > 5 * np.abs(enhanced[away]).mean()
    assert enhanced[away].max() > 0.5 * enhanced[there].mean()
    assert np.corrcoef((raw - second).ravel(), truth.ravel())[0, 1] < 0.02


def test_the_raw_volume_holds_nothing_of_the_texture_in_the_null_space() -> None:
    from hallucination_tracks.null_space import null_space

    raw, enhanced, texture = null_space(0)
    assert enhanced.shape == texture.shape == tuple(2 * size for size in raw.shape)
    side = raw.shape[0]
    shown = texture.reshape(side, 2, side, 2, side, 2).mean((1, 3, 5))
    assert shown.std() < 0.1 * texture.std()


def test_no_null_space_texture_is_called_supported() -> None:
    from hallucination_tracks.figures import null_space_figures
    from hallucination_tracks.trial import on_null_space

    figures = null_space_figures([on_null_space(seed) for seed in (0, 1)])
    assert figures["null_space_objects"]["value"] > 10
    assert figures["null_space_supported"]["value"] == 0
    assert figures["null_space_unverifiable"]["value"] > 0.9


def test_planted_faults_are_found_where_the_plain_error_map_is_blind() -> None:
    from hallucination_tracks.figures import planted_figures
    from hallucination_tracks.trial import on_planted

    figures = planted_figures("6.5", [on_planted(seed, 0.3, 1, 1) for seed in (0, 1)])
    assert figures["planted_voxel_auroc_6.5"]["value"] > 0.93
    assert figures["planted_inserted_recall_6.5"]["value"] >= 0.7
    assert figures["planted_deleted_recall_6.5"]["value"] >= 0.5
    assert figures["planted_voxel_auroc_squirrel_6.5"]["value"] < 0.7


def test_areas_and_recalls_are_those_of_hand_made_lists() -> None:
    from hallucination_tracks.scores import Found, auprc, auroc, realised, recall

    score, wrong = np.array([3.0, 2.0, 1.0, 0.0]), np.array([True, False, True, False])
    assert auroc(score, wrong) == 0.75
    assert auprc(score, wrong) == pytest.approx((1 + 2 / 3) / 2)
    volumes = [
        Found(np.array([5.0, 4.0, 1.0]), np.array([1, -1, 2]), (1, 2), (6.0, 6.0)),
        Found(np.array([3.0, 2.0]), np.array([-1, 1]), (1,), (6.0,)),
    ]
    assert recall(volumes, 0.5) == pytest.approx(1 / 3)
    assert recall(volumes, 1.0) == pytest.approx(1)
    assert realised(volumes, 1.0) == pytest.approx(1)


def test_a_share_has_its_exact_interval() -> None:
    from hallucination_tracks.figures import rate

    assert rate([True] * 12)["low"] == pytest.approx(0.735, abs=1e-3)
    assert rate([False] * 36)["high"] == pytest.approx(0.097, abs=1e-3)
    half = rate([True, False])
    assert half["low"] < half["value"] == 0.5 < half["high"]


def test_the_alarm_fires_where_the_scan_is_hidden_and_only_there() -> None:
    from hallucination_tracks.planted import planted
    from hallucination_tracks.stego import gap, hidden
    from hallucination_tracks.tools import fitted
    from napari_cyclegan3d.engine.hallucination.cycle import ALARM

    case = planted(0, 0.3)
    tools = fitted(case.raw, case.enhanced)
    honest = tools.operator.apply
    coded, decode = hidden(case.raw, case.enhanced, honest)

    assert np.std(coded - case.enhanced) < 0.05 * np.std(case.enhanced)
    assert gap(case.raw, coded, decode(0.5), tools)[0] > ALARM
    assert gap(case.raw, case.enhanced, honest, tools)[0] < ALARM
    # nothing is read from a result that nothing was written into
    assert gap(case.raw, coded, honest, tools)[0] < ALARM


def test_a_network_can_be_trained_on_domains_that_do_not_match(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hallucination_tracks import trained
    from napari_cyclegan3d.engine.checkpoint import load_model

    monkeypatch.setattr(trained, "VOLUMES", 1)
    path = tmp_path / "crowded.safetensors"
    assert trained.train_and_save("crowded", path, steps=3) > 0
    model = load_model(path)

    assert model.header.provenance.steps == 3
    _, raw, _ = trained.scans(0)
    result = trained.generator(model)(raw[:32, :32, :32])
    assert result.shape == (32, 32, 32)
    assert np.isfinite(result).all()


def test_domains_hold_the_shares_of_structures_that_they_are_said_to() -> None:
    from hallucination_tracks.trained import BIASES, domain_b, scans

    mine = np.mean([np.mean(scans(seed)[0] > 0.5) for seed in range(3)])
    shares = {
        name: np.mean([np.mean(domain_b(seed, bias) > 0.5) for seed in range(3)])
        for name, bias in BIASES.items()
    }
    assert shares["crowded"] > 1.5 * mine
    assert shares["sparse"] < 0.6 * mine
