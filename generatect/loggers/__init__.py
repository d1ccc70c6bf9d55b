"""Where a run's numbers, tables and pictures go: a CSV on disk, Weights & Biases."""
