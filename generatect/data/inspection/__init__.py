"""What is wrong with an archive: pure checks of its tables, headers and voxels, and the report of them."""
