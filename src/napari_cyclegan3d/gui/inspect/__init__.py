"""The Inspect dock: what the network invented or deleted, found, judged, reported."""
