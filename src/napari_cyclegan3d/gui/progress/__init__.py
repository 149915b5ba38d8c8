"""What a training shows: curves, preview, history."""
