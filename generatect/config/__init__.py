"""From the command line to checked, built objects."""
