"""Ways to look at a raw and an enhanced volume together."""
