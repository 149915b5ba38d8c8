"""The Prepare dock: steps before training, with before and after in the viewer."""
