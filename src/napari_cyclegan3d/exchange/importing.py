"""Models of other programs become models of this package."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from napari_cyclegan3d.engine.checkpoint import Model, content_of, load_model
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.seed_weights import import_seed_weights
from napari_cyclegan3d.exchange.bioimageio_reading import File, attachments_of
from napari_cyclegan3d.exchange.description import ATTACHMENT
from napari_cyclegan3d.exchange.foreign import foreign_model
from napari_cyclegan3d.exchange.foreign_files import Package, is_package, open_package

MOST_NATIVE = 2**33
CHECKPOINTS = (".pt", ".pth")
PACKAGES = (".zip", ".yaml", ".yml")


@dataclass(frozen=True)
class Imported:
    """A model that came from elsewhere.

    Attributes:
        model: The model.
        content: Its file, as bytes.
        remarks: What the user should know, one sentence each.
    """

    model: Model
    content: bytes
    remarks: tuple[str, ...] = ()


def can_import(path: Path) -> bool:
    """Whether it looks like something to import: by its name, or what a folder has."""
    if path.is_dir():
        return is_package(path)
    return path.suffix.lower() in (*CHECKPOINTS, *PACKAGES)


def read_foreign(path: Path) -> Imported:
    """Read a model of another program.

    Args:
        path: A checkpoint of 3DCycleGaN (.pt), or a package of bioimage.io: its .zip,
            its folder, or the rdf.yaml or bioimageio.yaml in it.

    Raises:
        InputError: There is none, or it cannot be used.
    """
    if path.suffix.lower() in CHECKPOINTS and not path.is_dir():
        model = import_seed_weights(path)
        return Imported(model, content_of(model))
    if not can_import(path) and not path.is_dir():
        raise InputError(
            f"{path}: give a .pt file of 3DCycleGaN, or a package of bioimage.io: its "
            ".zip, its folder, or the rdf.yaml in it"
        )
    package = open_package(path)
    native = [one for one in attachments_of(package.content) if one.name == ATTACHMENT]
    if native:
        return _own(package, native[0], _stem(path))
    model, remarks = foreign_model(package, _stem(path))
    return Imported(model, content_of(model), remarks)


def import_model(source: Path, target: Path) -> Imported:
    """Write a model of another program as a model file, whole or not at all.

    Args:
        source: See `read_foreign`.
        target: The .safetensors file.

    Raises:
        InputError: The source cannot be used, or the file could not be written.
    """
    imported = read_foreign(source)
    with atomic_path(target, len(imported.content)) as temporary:
        temporary.write_bytes(imported.content)
    return imported


def import_beside(source: Path, otherwise: Path) -> Path:
    """Write it beside its source, or where it can be; no other file is replaced.

    Args:
        source: See `read_foreign`.
        otherwise: The folder if that of the source takes no files.

    Returns:
        The model file; one that is there already and is the same is used.

    Raises:
        InputError: The source cannot be used, or the file could not be written.
    """
    content, stem = read_foreign(source).content, _stem(source)
    try:
        return _written(content, source.resolve().parent, stem)
    except (InputError, OSError):
        otherwise.mkdir(parents=True, exist_ok=True)
        return _written(content, otherwise, stem)


def _written(content: bytes, folder: Path, stem: str) -> Path:
    number = 1
    while True:
        more = f"-{number}" if number > 1 else ""
        path = folder / f"{stem}{more}.safetensors"
        if not path.exists():
            break
        if path.stat().st_size == len(content) and path.read_bytes() == content:
            return path
        number += 1
    with atomic_path(path, len(content)) as temporary:
        temporary.write_bytes(content)
    return path


def _own(package: Package, file: File, name: str) -> Imported:
    """The model of this package that a package was made of, bit for bit."""
    content = package.read(file.name, MOST_NATIVE, file.sha256)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.safetensors"
        path.write_bytes(content)
        try:
            model = load_model(path)
        except InputError as error:
            said = str(error).replace(str(path), f"{package.path}: {file.name}")
            raise InputError(said) from None
    return Imported(model, content, ("The package was exported from this model.",))


def _stem(path: Path) -> str:
    """What a model from there is called."""
    path = path.resolve()
    if path.suffix.lower() in (".yaml", ".yml"):
        path = path.parent
    return path.name.removesuffix(".zip") if path.is_dir() else path.stem
