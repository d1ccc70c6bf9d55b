"""Settings of sampling: of tokens, and of slices."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenOptions:
    """How tokens are sampled: see `decode_tokens`.

    Attributes:
        precision: fp32, bf16 or fp16.
        dense_bias: keep the position bias of every pair of tokens: faster, 1.3 GB at published size in fp32.
        offload: the networks are on the device only while they are needed.
    """

    steps: int = 18
    guidance: float = 3.0
    temperature: float = 0.9
    precision: str = "fp32"
    dense_bias: bool = True
    offload: bool = False


@dataclass(frozen=True)
class UpscaleOptions:
    """How slices are refined: see `upscale_volume`.

    Attributes:
        precision: fp32, bf16 or fp16.
        compile: fuse the network's operations first, which takes a minute or two and pays for whole volumes.
        offload: the networks are on the device only while they are needed.
    """

    steps: int = 8
    guidance: float = 1.0
    sampler: str = "ddim"
    slices_per_batch: int = 4
    correlated_noise: bool = True
    precision: str = "fp32"
    compile: bool = False
    offload: bool = False
