"""What a CT is: voxels in HU with their place in the patient, read, resampled, shown and written."""
