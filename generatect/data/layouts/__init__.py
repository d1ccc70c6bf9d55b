"""Archives in the wild, one adapter each: tables and folders to one manifest."""
