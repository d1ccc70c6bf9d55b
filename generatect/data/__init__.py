"""Pairs of volume and report: from disk or from the phantom, to batches."""
