"""Networks, training, tiling and inference: nothing that draws or reads files."""
