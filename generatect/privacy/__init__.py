"""Whether generated volumes are copies of the volumes that trained their model."""
