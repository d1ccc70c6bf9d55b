"""Which tokenizer tokens belong to."""

import hashlib

from torch import Tensor


def hash_codebook(codebook: Tensor) -> str:
    """SHA-256 of a codebook "codes width" in fp16, so that it is the same for an fp16 export and for its `.ckpt`."""
    return hashlib.sha256(codebook.half().contiguous().numpy().tobytes()).hexdigest()
