import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import load_yaml, parse
from napari_cyclegan3d.engine.training import Domains
from napari_cyclegan3d.engine.volume import Volume

pytest.importorskip("optuna", reason="the extra search is not installed")

from napari_cyclegan3d.search import (
    SearchConfig,
    SearchDone,
    TrialDone,
    TrialProgress,
    TrialStarted,
    search,
)
from napari_cyclegan3d.search.space import (
    default_vary,
    distributions,
    parse_vary,
    with_settings,
)

Searcher = Callable[..., list[Any]]
Once = tuple[list[Any], Path]
VARY = {
    "optim.lr_generator": "1e-4..1e-2:log",
    "generator.filters": "2..4",
    "loss.adversarial": "lsgan,bce",
}
# with one hot voxel in A this overflows float32 where identity_a has a weight
OVERFLOWING: dict[str, Any] = {
    "loss": {"identity_b": 0, "identity_losses": ["mse*9999e9"]},
    "intensity": {"method": "percentile"},
}
HOT = 4e14
TINY: dict[str, Any] = {
    "patch": (12, 12, 12),
    "steps": 500,
    "device": "cpu",
    "precision": "fp32",
    "generator": {"filters": 2},
    "discriminator": {"filters": 4, "layers": 1},
    "validation": {"patches": 2},
}


def volume(seed: int, name: str) -> Volume:
    noise = np.random.default_rng(seed).normal(0, 1, (14, 15, 16))
    return Volume(gaussian_filter(noise, 2).astype(np.float32), name=name)


@pytest.fixture(scope="module")
def domains() -> Domains:
    a, b, c, d = (volume(seed, f"scan {seed}") for seed in range(4))
    return Domains([a], [b], [c], [d])


@pytest.fixture
def searched(domains: Domains, tmp_path: Path) -> Searcher:
    """A function that searches in a folder to the end and gives the events."""

    def run(
        folder: str = "out",
        base: dict[str, Any] | None = None,
        on: Domains = domains,
        **space: Any,
    ) -> list[Any]:
        values = {"trials": 3, "steps": 5, "vary": VARY} | space
        return list(
            search(
                parse(SearchConfig, values),
                parse(TrainConfig, TINY | (base or {})),
                on,
                tmp_path / folder,
            )
        )

    return run


@pytest.fixture
def hot(domains: Domains) -> Domains:
    """The same, but for one voxel of A that lies in every patch."""
    grey = domains.a[0].read().copy()
    grey[7, 7, 8] = HOT
    volumes = (domains.b, domains.validate_a, domains.validate_b)
    return Domains([Volume(grey, name="hot scan")], *volumes)


@pytest.fixture(scope="module")
def searched_once(domains: Domains, tmp_path_factory: pytest.TempPathFactory) -> Once:
    """The events of a search, and its folder."""
    out = tmp_path_factory.mktemp("search") / "out"
    space = parse(SearchConfig, {"trials": 4, "steps": 5, "vary": VARY})
    return list(search(space, parse(TrainConfig, TINY), domains, out)), out


def done(events: list[Any]) -> list[TrialDone]:
    return [event for event in events if isinstance(event, TrialDone)]


def test_a_search_tells_each_step_and_ends_with_the_trial_of_the_highest_score(
    searched_once: Once,
) -> None:
    events, _ = searched_once
    assert [type(one) for one in events[:3]] == [
        TrialStarted,
        TrialProgress,
        TrialProgress,
    ]
    trials = done(events)
    assert [one.number for one in trials] == [1, 2, 3, 4]
    complete = [one for one in events if isinstance(one, TrialProgress)]
    assert {one.step for one in complete} == set(range(1, 6))
    last = events[-1]
    assert isinstance(last, SearchDone)
    values = [one.value for one in trials if one.value is not None]
    assert last.best.value == max(values)
    assert trials[last.best.number - 1].value == last.best.value
    assert len(set(values)) == 4


def test_what_is_tried_lies_in_the_ranges_and_is_what_is_trained(
    searched_once: Once,
) -> None:
    events, out = searched_once
    for one in done(events):
        rate = one.settings["optim.lr_generator"]
        filters = one.settings["generator.filters"]
        kind = one.settings["loss.adversarial"]
        assert 1e-4 <= rate <= 1e-2
        assert filters in (2, 3, 4)
        assert kind in ("lsgan", "bce")
        run = out / "trials" / f"{one.number:03d}"
        used = parse(TrainConfig, load_yaml(run / "config.yaml"))
        assert (used.optim.lr_generator, used.generator.filters) == (rate, filters)
        assert (used.loss.adversarial, used.steps) == (kind, 5)


def test_the_best_settings_are_complete_and_are_the_base_but_for_what_was_varied(
    searched_once: Once,
) -> None:
    events, out = searched_once
    best = events[-1].best
    found = parse(TrainConfig, load_yaml(out / "best.yaml"))
    assert found == with_settings(parse(TrainConfig, TINY), best.settings)
    assert (found.steps, found.validation.every) == (500, 500)


def test_the_folder_has_a_table_figures_and_one_model(
    searched_once: Once,
) -> None:
    events, out = searched_once
    with (out / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row, one in zip(rows, done(events), strict=True):
        assert float(row["score"]) == pytest.approx(one.value, rel=1e-5)
        assert int(row["generator.filters"]) == one.settings["generator.filters"]
    for name in ("history.png", "slices.png", "importances.png"):
        assert np.asarray(Image.open(out / name)).std() > 0
    models = [path.parent.name for path in out.rglob("model.safetensors")]
    assert models == [f"{events[-1].best.number:03d}"]
    assert not list(out.rglob("*.pt"))
    assert events[-1].remarks == ()


def test_one_trial_draws_no_importances_and_says_so(
    searched: Searcher, tmp_path: Path
) -> None:
    last = searched(trials=1)[-1]
    assert "importances.png" in last.remarks[0]
    assert not (tmp_path / "out" / "importances.png").exists()


def test_the_same_seed_tries_the_same_settings_and_another_seed_others(
    searched: Searcher,
) -> None:
    first, again, other = (
        done(searched(folder, {"seed": seed}, steps=1))
        for folder, seed in (("1", 0), ("2", 0), ("3", 1))
    )
    assert first == again
    assert [one.settings for one in first] != [one.settings for one in other]
    assert len({str(one.settings) for one in first}) == 3


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not(
    searched: Searcher, domains: Domains, tmp_path: Path
) -> None:
    # the last ones learn from those before
    space: dict[str, Any] = {"trials": 9, "steps": 2, "vary": VARY}
    expected = done(searched("whole", **space))
    config = parse(SearchConfig, space)
    before = []
    events = search(config, parse(TrainConfig, TINY), domains, tmp_path / "parts")
    for event in events:
        if isinstance(event, TrialDone):
            before.append(event)
        if isinstance(event, TrialProgress) and (event.number, event.step) == (4, 1):
            break
    events.close()  # type: ignore[attr-defined]
    assert (tmp_path / "parts" / "history.png").exists()
    assert before + done(searched("parts", **space)) == expected


def test_a_finished_search_goes_on_with_more_trials(searched: Searcher) -> None:
    first = searched(trials=2)
    assert done(searched(trials=2)) == []
    more = searched(trials=3)
    assert [one.number for one in done(more)] == [3]
    scores = [one.value for one in done(first) + done(more) if one.value is not None]
    assert more[-1].best.value == max(scores)


@pytest.mark.parametrize(
    ("base", "space", "words"),
    [
        ({"batch": 2}, {}, "setting batch 1, not 2"),
        ({}, {"steps": 6}, "trial steps 5, not 6"),
        ({}, {"vary": {"optim.beta1": "0.1..0.5"}}, "vary"),
    ],
)
def test_a_folder_of_another_search_is_refused(
    searched: Searcher, base: dict[str, Any], space: dict[str, Any], words: str
) -> None:
    searched(trials=1)
    with pytest.raises(InputError, match="a search with") as refusal:
        searched(base=base, **space)
    assert words in str(refusal.value)


def test_a_folder_of_other_volumes_is_refused(
    searched: Searcher, domains: Domains, tmp_path: Path
) -> None:
    searched(trials=1)
    other = Domains(domains.a, domains.b, domains.b, domains.validate_b)
    space = parse(SearchConfig, {"trials": 1, "steps": 5, "vary": VARY})
    with pytest.raises(InputError, match="validation volumes A"):
        list(search(space, parse(TrainConfig, TINY), other, tmp_path / "out"))


def test_a_folder_of_something_else_is_refused_and_left_alone(
    searched: Searcher, tmp_path: Path
) -> None:
    history = tmp_path / "out" / "history.png"  # of a training, for example
    history.parent.mkdir()
    history.write_bytes(b"mine")
    with pytest.raises(InputError, match="is not empty and holds no search"):
        searched(trials=1)
    assert [path.name for path in history.parent.iterdir()] == ["history.png"]
    assert history.read_bytes() == b"mine"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[1]\n[2]\n", b'{"a": 1}\n{}\n'])
def test_a_damaged_study_is_refused_and_left_as_it_is(
    searched: Searcher, tmp_path: Path, content: bytes
) -> None:
    study = tmp_path / "out" / "study.jsonl"
    study.parent.mkdir()
    study.write_bytes(content)
    with pytest.raises(InputError, match=r"study\.jsonl: damaged"):
        searched()
    assert study.read_bytes() == content


def test_a_search_that_was_killed_while_it_wrote_goes_on(
    searched: Searcher, tmp_path: Path
) -> None:
    searched(trials=1)
    study = tmp_path / "out" / "study.jsonl"
    lines = study.read_bytes().splitlines(keepends=True)
    # the line with the end of the trial: it is still running
    study.write_bytes(b"".join(lines[:-1]) + lines[-1][:10])
    assert [one.number for one in done(searched(trials=1))] == [1]


def test_a_search_without_volumes_to_score_on_is_refused_with_the_remedy(
    domains: Domains, tmp_path: Path
) -> None:
    alone = Domains(domains.a, domains.b)
    with pytest.raises(InputError, match="--validate-a and --validate-b"):
        list(search(SearchConfig(), TrainConfig(), alone, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_trial_that_diverges_fails_alone(searched: Searcher, hot: Domains) -> None:
    space = {"vary": {"loss.identity_a": "0,1000"}, "trials": 4, "steps": 3}
    events = searched(base=OVERFLOWING, on=hot, **space)
    failed = {one.settings["loss.identity_a"]: one for one in done(events)}
    assert failed[0].value is not None
    assert (failed[1000].value, failed[1000].pruned) == (None, True)
    assert "diverged" in failed[1000].reason
    assert events[-1].best.settings == {"loss.identity_a": 0}


def test_a_combination_that_is_not_possible_fails_alone(searched: Searcher) -> None:
    # each value is possible beside the base, but patch not with 2
    vary = {"discriminator.kind": "critic,patch", "discriminator.layers": "1..2"}
    base = {"discriminator": {"kind": "critic", "filters": 4, "layers": 1}}
    failed = {
        tuple(one.settings.values()): one.reason
        for one in done(searched(base=base, vary=vary, trials=7, steps=1))
    }
    assert len(failed) == 4
    assert "patch (12, 12, 12)" in failed.pop(("patch", 2))
    assert set(failed.values()) == {""}


def test_a_search_in_which_every_trial_fails_says_why(
    searched: Searcher, hot: Domains
) -> None:
    space = {"vary": {"loss.identity_a": "999,1000"}, "trials": 2, "steps": 3}
    with pytest.raises(InputError, match=r"no trial gave a score .*diverged"):
        searched(base=OVERFLOWING, on=hot, **space)


def test_what_is_no_fault_of_the_settings_ends_the_search(
    domains: Domains, tmp_path: Path
) -> None:
    space = parse(SearchConfig, {"trials": 3, "steps": 5, "vary": VARY})
    base = parse(TrainConfig, TINY | {"patch": (24, 24, 24)})
    with pytest.raises(InputError, match="24"):
        list(search(space, base, domains, tmp_path / "out"))


def test_pruned_trials_stop_early_and_keep_their_score(searched: Searcher) -> None:
    # so slow that nothing is learned, against what learns
    vary = {"optim.lr_generator": "1e-7,5e-3", "generator.filters": "2..4"}
    events = searched(trials=10, steps=10, vary=vary)
    pruned = [one for one in done(events) if one.pruned]
    assert pruned
    for one in pruned:
        steps = [
            event.step
            for event in events
            if isinstance(event, TrialProgress) and event.number == one.number
        ]
        assert max(steps) < 10
        assert one.value is not None
        assert one.reason == ""


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("optim.lr", "1..2", "no such setting"),
        ("lr_generator", "1..2", "no such setting"),
        ("optim.lr_generator.x", "1..2", "no such setting"),
        ("optim", "1..2", "no single number"),
        ("loss.label_real", "1..2", "no single number"),
        ("steps", "100..200", "cannot be compared"),
        ("intensity.method", "zscore,minmax", "cannot be compared"),
        ("optim.beta1", "0.6..0.2", "write numbers as LOW..HIGH"),
        ("optim.beta1", "0..0.5:log", "above zero"),
        ("optim.beta1", "0.1..nan", "LOW..HIGH"),
        ("optim.beta1", "0.5", "nothing to choose from"),
        ("optim.beta1", "0.5,0.5", "nothing to choose from"),
        ("optim.beta1", "[0.5],[0.6]", "nothing to choose from"),
        ("optim.beta1", "0.2..1.5", "optim.beta1"),
        ("generator.filters", "2.5..6", "write whole numbers"),
        ("generator.kind", "unet..resnet", "write unet,unet11"),
        ("generator.kind", "unet,vgg", "generator.kind"),
        ("generator.noise", "yes,maybe", "generator.noise"),
    ],
)
def test_an_impossible_space_is_refused_with_the_remedy(
    name: str, values: str, words: str
) -> None:
    with pytest.raises(InputError) as refusal:
        distributions({name: values}, TrainConfig())
    assert words in str(refusal.value)
    assert name in str(refusal.value)


@pytest.mark.parametrize("text", ["optim.beta1", "a=1..2", ""])
def test_a_vary_option_is_a_name_and_values(text: str) -> None:
    if "=" in text:
        assert parse_vary([text]) == {"a": "1..2"}
        with pytest.raises(InputError, match="twice"):
            parse_vary([text, text])
    else:
        with pytest.raises(InputError, match="NAME=VALUES"):
            parse_vary([text])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"generator": {"kind": "resnet"}},
        {"generator": {"kind": "unet_strided"}, "patch": (64, 64, 64)},
        {
            "method": "srgan",
            "scale": 2,
            "generator": {"kind": "srresnet"},
            "loss": {"paired": 1},
        },
    ],
)
def test_the_default_space_is_possible_and_varies_only_what_is_used(
    settings: dict[str, Any],
) -> None:
    base = parse(TrainConfig, settings)
    vary = default_vary(base)
    assert distributions(vary, base).keys() == vary.keys()
    assert ("loss.cycle_b" in vary) == (base.method == "cyclegan")
    assert ("generator.blocks" in vary) == ("res" in base.generator.kind)
    assert ("generator.filters" in vary) == (base.generator.kind != "unet_strided")
