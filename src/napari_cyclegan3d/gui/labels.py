"""What settings are called in forms: a few words, and the unit where there is one.

What they mean is said by their descriptions, in the tooltips.
"""

from collections.abc import Sequence

from napari_cyclegan3d.engine.settings import Settings

TITLES = {
    "generator": "Generators",
    "discriminator": "Discriminators",
    "loss": "Losses and their weights",
    "optim": "Learning rate and updates",
    "intensity": "Grey values",
    "sampling": "Drawing of patches",
    "augment": "Augmentation",
    "degrade": "Making A from B (srgan)",
    "validation": "Validation",
    "balance": "Automatic balancing",
    "record": "Records of the training",
    "enhance": "Enhancement",
}

# a name that means different things in two sections has its class before it
LABELS = {
    "method": "Method",
    "dims": "Dimensions",
    "slice_axis": "Axis across slices",
    "scale": "Size of B over A",
    "patch": "Patch (voxels, z y x)",
    "batch": "Batch (patches)",
    "steps": "Steps",
    "seed": "Random seed",
    "device": "Device",
    "precision": "Precision",
    "preview_every": "Preview every (steps)",
    "checkpoint_every": "Save every (steps)",
    "keep": "States kept",
    "kind": "Network",
    "filters": "Width (channels)",
    "norm": "Normalisation",
    "blocks": "Residual blocks",
    "encoder": "Encoder (channels)",
    "decoder": "Decoder (channels)",
    "bias": "Biases",
    "upsampler": "Enlarges by",
    "output": "Last layer",
    "GeneratorConfig.noise": "Channel of noise",
    "layers": "Layers",
    "strides": "Strides (voxels)",
    "slope": "Slope of leaky ReLU",
    "head": "Judges by",
    "adversarial": "Adversarial loss",
    "adversarial_a": "Weight: fake A seen as A",
    "adversarial_b": "Weight: fake B seen as B",
    "cycle_a": "Weight: cycle of A",
    "cycle_b": "Weight: cycle of B",
    "identity_a": "Weight: identity of A",
    "identity_b": "Weight: identity of B",
    "paired": "Weight: pairs",
    "judge": "Weight: discriminators",
    "total": "Sum of all weights",
    "cycle_losses": "Cycles compared by",
    "identity_losses": "Identities compared by",
    "paired_losses": "Pairs compared by",
    "label_real": "Target of real (range)",
    "label_fake": "Target of fake (range)",
    "label_flip": "Wrong labels (share)",
    "lr_generator": "Rate of generators",
    "lr_discriminator": "Rate of discriminators",
    "beta1": "Adam, beta 1",
    "beta2": "Adam, beta 2",
    "clip": "Largest gradient (norm)",
    "accumulate": "Batches per step",
    "recompute": "Recompute",
    "update": "Updates",
    "schedule": "Schedule",
    "decay_rate": "Decay (factor)",
    "decay_steps": "Decay every (steps)",
    "ema": "Mean of weights (decay)",
    "init": "Weights at the start",
    "kickstart": "Kickstart (steps)",
    "kickstart_chance": "Kickstart (chance)",
    "freeze_steps": "Frozen norm (last steps)",
    "IntensityConfig.method": "Scaled by",
    "scope": "Fitted on each",
    "percentiles": "Percentiles (%)",
    "min_content": "Least contrast (deviations)",
    "pool": "Pool of fakes (patches)",
    "pairs": "A and B are pairs",
    "flips": "Mirror",
    "rotations": "Turn by 90 degrees",
    "angle": "Turn by up to (degrees)",
    "zoom": "Zoom by up to (share)",
    "contrast": "Contrast ± (share)",
    "gamma": "Gamma ± (share)",
    "AugmentConfig.noise": "Noise up to (deviations)",
    "blur": "Blur (voxels of B)",
    "DegradeConfig.noise": "Noise (deviations)",
    "ValidationConfig.every": "Validate every (steps)",
    "patches": "Patches of each domain",
    "ValidationConfig.keep": "Best models kept",
    "enabled": "Balance automatically",
    "BalanceConfig.every": "Check every (steps)",
    "start": "First check (step)",
    "back": "Goes back by (steps)",
    "inversion": "Inverted contrast fails",
    "tensorboard": "Events for TensorBoard",
    "animation": "Animated previews (GIF)",
    "InspectConfig.mode": "Mode",
    "relation": "Raw follows from it",
    "noise_region": "Noise region (z y x)",
    "alpha": "Wrongly supported (share)",
    "false_alarms": "False alarms (per 64³)",
    "InspectConfig.tile": "Parts (voxels)",
    "direction": "Direction",
    "mode": "Tiles",
    "slices": "Slices along",
    "tile": "Tile (voxels, z y x)",
    "overlap": "Overlap (share)",
    "memory": "Memory (GB)",
    "RawLayout.shape": "Voxels (z y x)",
    "dtype": "Type",
    "byte_order": "Byte order",
    "offset": "Header (bytes)",
    "spacing": "Voxel size (z y x)",
    "N4Settings.shrink": "Fitted on every n-th voxel",
    "levels": "Levels",
    "iterations": "Iterations per level",
    "tolerance": "Ends at a change below",
    "N4Settings.result": "Gives",
    "BrainMaskSettings.method": "Found by",
    "opening": "Opening (voxels)",
    "threshold": "Background up to",
    "outside": "Outside",
    "inverted": "Keep the outside",
    "interpolation": "Interpolation",
    "PadSettings.margin": "Voxels at both ends (z y x)",
    "multiple": "Multiple of",
    "filled": "Filled with",
    "PadSettings.value": "Grey value",
    "CropSettings.margin": "Voxels kept around",
    "SlicesSettings.axis": "Across",
    "background": "Left out from (share)",
    "MatchSettings.method": "Matched by",
    "foreground": "Foreground only",
    "binning": "Binning (voxels)",
    "DegradeSettings.blur": "Blur (fine voxels)",
    "DegradeSettings.noise": "Noise (deviations)",
    "projections": "Projections",
    "rings": "Rings (deviations)",
    "photons": "Counts of photons",
    "UndoSettings.back": "Steps back",
    "PairSettings.n4": "Correct bias fields (N4)",
    "PairSettings.crop": "Crop to",
    "PairSettings.margin": "Voxels kept around",
    "SplitSettings.validation": "Validation (share)",
    "SplitSettings.test": "Test (share)",
}

# choices whose names in files are no words
CHOICES = {"a_to_b": "A → B", "b_to_a": "B → A"}

UNITS = {"micrometer": "µm", "millimeter": "mm", "nanometer": "nm", "pixel": "px"}


def choice(value: object) -> str:
    """What a choice is called."""
    return CHOICES.get(str(value), str(value))


def voxel_size(spacing: Sequence[float], unit: str) -> str:
    """Voxel size with its unit, such as `2 × 1 × 1 µm`; one number for a cube."""
    sizes = [f"{size:.3g}" for size in spacing]
    shown = sizes[0] if len(set(sizes)) == 1 else " × ".join(sizes)
    return f"{shown} {UNITS.get(unit, unit)}"


def label(model: type[Settings], name: str) -> str:
    """What a setting is called; its own name in words if it has no label."""
    general = LABELS.get(name, name.replace("_", " "))
    return LABELS.get(f"{model.__name__}.{name}", general)
