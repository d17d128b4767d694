"""Losses, one step, and the loop over all of them with its checkpoints and its log."""
