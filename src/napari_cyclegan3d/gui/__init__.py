"""The napari side: docks, forms and manifest contributions."""
