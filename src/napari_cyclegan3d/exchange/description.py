"""What a package of bioimage.io says of itself: the content of its rdf.yaml."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_cyclegan3d.engine.dates import now
from napari_cyclegan3d.exchange.axes import input_axes, output_axes
from napari_cyclegan3d.exchange.credits import Credits
from napari_cyclegan3d.exchange.graph import Outgoing
from napari_cyclegan3d.exchange.limits import limits_of
from napari_cyclegan3d.exchange.papers import papers_of
from napari_cyclegan3d.exchange.processing import postprocessing, preprocessing

ATTACHMENT, DOCUMENTATION = "model.safetensors", "README.md"
FORMAT = "0.5.0"
FORBIDDEN = re.compile(r"[^A-Za-z0-9_+() -]+")
SHORTEST_NAME, LONGEST_NAME = 5, 64
# share of the largest value that bioimage.io lets a reproduction differ by
MOST_DIFFERENCE = 0.01
Content = dict[str, Any]


def description(
    outgoing: Outgoing,
    folder: Path,
    credits: Credits,
    title: str,
    pictures: Sequence[str],
    opset: int,
) -> Content:
    """The content of rdf.yaml.

    Args:
        outgoing: What goes out.
        folder: Where all other files of the package are.
        credits: Authors and licence.
        title: What the model is called if `credits` do not say it.
        pictures: Names of the pictures that the documentation shows.
        opset: Version of the operators of weights.onnx.

    Raises:
        InputError: bioimage.io has no words for how grey values are normalised.
    """
    return {
        "type": "model",
        "format_version": FORMAT,
        "timestamp": now(),
        **_words(outgoing, credits, title),
        "covers": ["cover.png"],
        "documentation": DOCUMENTATION,
        "attachments": [_file(folder / one) for one in (ATTACHMENT, *pictures)],
        **_tensors(outgoing, folder),
        "weights": {
            "torchscript": {
                **_file(folder / "weights.pt"),
                # without the build: 2.13.0+cpu is 2.13.0
                "pytorch_version": torch.__version__.partition("+")[0],
            },
            "onnx": {
                **_file(folder / "weights.onnx"),
                "opset_version": opset,
                "parent": "torchscript",
            },
        },
        "config": _config(outgoing, folder),
    }


def _tensors(outgoing: Outgoing, folder: Path) -> Content:
    """What goes in and comes out: axes, grey values and an example."""
    taken = {
        "id": "input",
        "axes": input_axes(outgoing),
        "data": {"type": "float32"},
        "test_tensor": _file(folder / "input.npy"),
        "preprocessing": preprocessing(outgoing),
        "pad": {"mode": "reflect"},
    }
    given = {
        "id": "output",
        "axes": output_axes(outgoing),
        "data": {"type": "float32"},
        "test_tensor": _file(folder / "output.npy"),
        "postprocessing": postprocessing(outgoing),
    }
    return {"inputs": [taken], "outputs": [given]}


def _words(outgoing: Outgoing, credits: Credits, title: str) -> Content:
    """What people search and cite by."""
    config = outgoing.model.header.config
    kind, dims = config.generator.kind, config.dims
    source, target = ("A", "B") if outgoing.direction == "a_to_b" else ("B", "A")
    verb = {1: "Translates", 2: "Enlarges twice", 4: "Enlarges four times"}.get(
        int(outgoing.scale), f"Reduces to {outgoing.scale}"
    )
    return {
        "name": _name(credits.name or f"{title} ({source} to {target})"),
        "description": f"{verb} {dims}D images of domain {source} to domain {target}; "
        f"trained with napari-cyclegan3d ({config.method}, {kind}).",
        "authors": [
            {"name": author, **({"affiliation": place} if place else {})}
            for author, place in credits.authors
        ],
        "license": credits.license,
        "cite": [{"text": paper.text, "doi": paper.doi} for paper in papers_of(config)],
        "tags": [
            f"{dims}d",
            "pytorch",
            "image-restoration",
            "resnet" if "resnet" in kind else "unet",
            config.method,
        ],
    }


def _name(text: str) -> str:
    """A text as a name for bioimage.io: few signs, neither too short nor too long."""
    name = " ".join(FORBIDDEN.sub(" ", text).split())[:LONGEST_NAME]
    return name if len(name) >= SHORTEST_NAME else f"{name} model".strip()


def _config(outgoing: Outgoing, folder: Path) -> Content:
    """What is known beyond the standard, and how near a reproduction must come."""
    network, limits = outgoing.network, limits_of(outgoing.model, outgoing)
    result = np.load(folder / "output.npy", allow_pickle=False)
    most = outgoing.graph.tolerance(torch.from_numpy(result))
    most = min(most, MOST_DIFFERENCE * max(0.0, float(result.max())))
    tolerance = {"relative_tolerance": 1e-4, "absolute_tolerance": most}
    return {
        "bioimageio": {
            "reproducibility_tolerance": [tolerance],
            "architecture_type": outgoing.model.header.config.generator.kind,
            "model_parameter_count": sum(one.numel() for one in network.parameters()),
            "task": "image restoration",
            "bias_risks_limitations": {"limitations": "\n".join(limits)},
        },
        "napari_cyclegan3d": {**outgoing.facts, "native": ATTACHMENT},
    }


def _file(path: Path) -> Content:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"source": path.name, "sha256": digest}
