"""What a user should know about the chosen volumes before a training."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.patches import check_patches
from napari_cyclegan3d.engine.sources import SPACING_TOLERANCE
from napari_cyclegan3d.engine.units import spacing_ratios
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.domains.facts import Facts, spacing_text
from napari_cyclegan3d.io.partition import shares_file

# by domain (a, b, validate_a, validate_b) what is known of each row; None: not yet
Known = Mapping[str, Sequence[Facts | None]]
Place = tuple[str, int]


@dataclass(frozen=True)
class Warnings:
    """Sentences by the row they are about: its domain and number."""

    rows: dict[Place, list[str]] = field(default_factory=dict)

    def add(self, place: Place, sentence: str) -> None:
        """Say something about a row, once."""
        said = self.rows.setdefault(place, [])
        if sentence not in said:
            said.append(sentence)

    def all(self) -> list[str]:
        """All sentences, each once, in the order of the rows."""
        return list(dict.fromkeys(s for said in self.rows.values() for s in said))


def find_warnings(known: Known, config: TrainConfig | None = None) -> Warnings:
    """Everything that can be said without reading a voxel again.

    Args:
        known: What was found in the rows.
        config: The settings, for what depends on patch and scale; None: without.
    """
    warnings = Warnings()
    for key, rows in known.items():
        for number, facts in enumerate(rows):
            if facts is not None:
                for sentence in (*facts.remarks, facts.error):
                    if sentence:
                        warnings.add((key, number), sentence)
        _uneven_spacing(key, rows, warnings)
    _identical_domains(known, warnings)
    for side in ("a", "b"):
        _seen_in_training(side, known, warnings)
    if config is not None:
        _wrong_scale(known, config, warnings)
        _too_small(known, config, warnings)
    return warnings


def _volumes(known: Known, *keys: str) -> Iterator[tuple[Place, Volume, str | None]]:
    """Row, volume and fingerprint of all volumes of some domains."""
    for key in keys:
        for number, facts in enumerate(known.get(key, ())):
            for index, volume in enumerate(facts.volumes if facts else ()):
                prints = facts.fingerprints if facts else ()
                held = prints[index] if index < len(prints) else None
                yield (key, number), volume, held


def _uneven_spacing(key: str, rows: Sequence[Facts | None], warnings: Warnings) -> None:
    first: Volume | None = None
    for place, volume, _ in _volumes({key: rows}, key):
        first = first or volume
        if (volume.unit == "pixel") != (first.unit == "pixel") or not _alike(
            spacing_ratios(volume, first)
        ):
            warnings.add(
                place,
                f"{volume.name}: voxels of {spacing_text(volume)}, but those of "
                f"{first.name} are {spacing_text(first)}; resample one of them",
            )


def _alike(ratios: Sequence[float] | None, scale: float = 1) -> bool:
    """Whether voxels are `scale` times as large as others, or that is not known."""
    known = ratios or ()
    return all(abs(ratio / scale - 1) < SPACING_TOLERANCE for ratio in known)


def _identical_domains(known: Known, warnings: Warnings) -> None:
    in_a = {held: volume for _, volume, held in _volumes(known, "a") if held}
    for place, volume, held in _volumes(known, "b"):
        if held in in_a:
            warnings.add(
                place,
                f"{volume.name}: also in domain A, as {in_a[held].name}; remove one",
            )


def _seen_in_training(side: str, known: Known, warnings: Warnings) -> None:
    by_print: dict[str, Volume] = {}
    by_file: dict[str, list[Volume]] = defaultdict(list)
    for _, volume, held in _volumes(known, side):
        if held:
            by_print[held] = volume
        for file in volume.metadata.get("files", ()):
            by_file[file].append(volume)
    for place, volume, held in _volumes(known, f"validate_{side}"):
        same = [by_print[held]] if held in by_print else []
        files = volume.metadata.get("files", ())
        near = [one for file in files for one in by_file.get(file, ())]
        for seen in same or [one for one in near if shares_file(one, volume)][:1]:
            warnings.add(
                place,
                f"{volume.name}: is trained on as well, as {seen.name}; scores on it "
                "say nothing, it will be left out",
            )


def _wrong_scale(known: Known, config: TrainConfig, warnings: Warnings) -> None:
    first = next((volume for _, volume, _ in _volumes(known, "b")), None)
    if first is None:
        return
    for place, volume, _ in _volumes(known, "a", "validate_a"):
        ratios = spacing_ratios(volume, first)
        if ratios is None or _alike(ratios, config.scale):
            continue
        shown = " × ".join(f"{ratio:.3g}" for ratio in ratios)
        warnings.add(
            place,
            f"{volume.name}: its voxels are {shown} (z, y, x) times as large as those "
            f"of {first.name}, but scale is {config.scale}; resample one of them, or "
            "choose another scale",
        )


def _too_small(known: Known, config: TrainConfig, warnings: Warnings) -> None:
    fits: dict[str, Callable[[Volume], None]] = {
        "a": lambda volume: check_patches([volume], [], config),
        "b": lambda volume: check_patches([], [volume], config),
    }
    for place, volume, _ in _volumes(known, "a", "b", "validate_a", "validate_b"):
        try:
            fits[place[0][-1]](volume)
        except InputError as error:
            warnings.add(place, str(error))
