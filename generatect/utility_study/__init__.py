"""Whether synthetic volumes are of use: classifiers trained on real and on synthetic ones, judged on real patients."""
