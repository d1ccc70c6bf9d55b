"""CT-ViT: a chest CT to a grid of discrete tokens and back (GenerateCT, arXiv:2305.16037, §3.1; spec §1)."""

from typing import NamedTuple

from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from generatect.errors import InputError
from generatect.networks.compat import Compat
from generatect.networks.patches import PatchEmbedding, VoxelProjection
from generatect.networks.position_bias import ContinuousPositionBias
from generatect.networks.quantizer import CosineQuantizer, QuantizerOutput
from generatect.networks.transformer import Transformer


class CTViTOutput(NamedTuple):
    """A reconstruction and what the quantiser says about it (see `QuantizerOutput`)."""

    reconstruction: Float[Tensor, "b c z y x"]
    ids: Int[Tensor, "b t h w"]
    commitment_loss: Float[Tensor, ""]
    perplexity: Float[Tensor, ""]


class CTViT(nn.Module):
    """Vector-quantised autoencoder of volumes in [-1, 1] and 1 + k·slice_patch_size slices (k ≥ 0).

    Args:
        dim: width of the tokens.
        codebook_size: number of codes.
        image_size: voxels along y and x.
        patch_size: side of a patch within a slice, voxels; divides `image_size`.
        slice_patch_size: slices of a patch; the first slice is patched alone.
        spatial_depth: layers within slices, in the encoder and again in the decoder.
        temporal_depth: layers along columns, in the encoder and again in the decoder.
        dim_head: width of an attention head.
        heads: number of attention heads.
        channels: channels of the volume.
        code_dim: width of a code; None: `dim`, as released.
        decay: see `CosineQuantizer`, as are the next two.
        revive_after: steps a code may stay unused.
        init_from_data: start the codebook from the first batch.
        compat: "released" for the published weights, see `generatect.networks.compat`.

    Raises:
        InputError: sizes that do not fit each other.
    """

    def __init__(
        self,
        *,
        dim: int,
        codebook_size: int,
        image_size: int,
        patch_size: int,
        slice_patch_size: int,
        spatial_depth: int,
        temporal_depth: int,
        dim_head: int = 32,
        heads: int = 8,
        channels: int = 1,
        code_dim: int | None = None,
        decay: float = 0.8,
        revive_after: int | None = None,
        init_from_data: bool = False,
        compat: Compat = "mended",
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise InputError(f"image_size is {image_size}; expected a multiple of patch_size {patch_size}")
        self.image_size = image_size
        self.slice_patch_size = slice_patch_size
        self.channels = channels
        self.grid_size = image_size // patch_size

        def spatial() -> Transformer:
            return Transformer(
                dim=dim, depth=spatial_depth, heads=heads, dim_head=dim_head, axes="h w", causal=True, compat=compat
            )

        def temporal() -> Transformer:
            return Transformer(
                dim=dim, depth=temporal_depth, heads=heads, dim_head=dim_head, axes="t", causal=True, compat=compat
            )

        self.patches = PatchEmbedding(
            channels=channels, patch_size=patch_size, slice_patch_size=slice_patch_size, dim=dim
        )
        self.spatial_bias = ContinuousPositionBias(num_axes=2, heads=heads, hidden=dim)
        self.spatial_encoder = spatial()
        self.temporal_encoder = temporal()
        self.quantizer = CosineQuantizer(
            num_codes=codebook_size,
            width=dim,
            code_width=code_dim,
            decay=decay,
            revive_after=revive_after,
            init_from_data=init_from_data,
        )
        self.temporal_decoder = temporal()
        self.spatial_decoder = spatial()
        self.voxels = VoxelProjection(
            channels=channels, patch_size=patch_size, slice_patch_size=slice_patch_size, dim=dim
        )

    @property
    def last_decoder_weight(self) -> Tensor:
        """Weight at which the adversarial loss is balanced against the perceptual one."""
        return self.voxels.rest.weight

    def token_grid(self, num_slices: int) -> tuple[int, int, int]:
        """Token grid (t, h, w) of a volume of `num_slices` slices.

        Raises:
            InputError: no volume of this model has so many slices.
        """
        if num_slices < 1 or (num_slices - 1) % self.slice_patch_size:
            p = self.slice_patch_size
            raise InputError(
                f"volume has {num_slices} slices; expected 1 + k·{p} (slice_patch_size {p}), k = 0, 1, 2, …"
            )
        return 1 + (num_slices - 1) // self.slice_patch_size, self.grid_size, self.grid_size

    def encode(self, volume: Float[Tensor, "b c z y x"]) -> Float[Tensor, "b t h w d"]:
        """Tokens before quantisation.

        Raises:
            InputError: the volume's shape is not one of this model's.
        """
        expected = (self.channels, volume.shape[2], self.image_size, self.image_size)
        if volume.shape[1:] != expected:
            raise InputError(f"volume (c, z, y, x) is {tuple(volume.shape[1:])}; expected {expected}")
        grid = self.token_grid(volume.shape[2])
        return self.temporal_encoder(self.spatial_encoder(self.patches(volume), self.spatial_bias(grid[1:])))

    def quantize(self, tokens: Float[Tensor, "b t h w d"]) -> QuantizerOutput:
        """Quantise a grid of tokens, flattened to `(t h w)`; in training mode this updates the codebook."""
        return self.quantizer(rearrange(tokens, "b t h w d -> b (t h w) d"))

    def decode(self, tokens: Float[Tensor, "b t h w d"]) -> Float[Tensor, "b c z y x"]:
        """Quantised tokens to a volume, in about [-1, 1] (not clipped)."""
        grid = tokens.shape[1:4]
        return self.voxels(self.spatial_decoder(self.temporal_decoder(tokens), self.spatial_bias(grid[1:])))

    def tokenize(self, volume: Float[Tensor, "b c z y x"]) -> Int[Tensor, "b t h w"]:
        """Code ids of a volume, 0..codebook_size - 1."""
        tokens = self.encode(volume)
        return self.quantize(tokens).ids.view(tokens.shape[:4])

    def decode_ids(self, ids: Int[Tensor, "b t h w"]) -> Float[Tensor, "b c z y x"]:
        """The volume that code ids stand for, in about [-1, 1] (not clipped)."""
        return self.decode(self.quantizer.codes(ids))

    def forward(self, volume: Float[Tensor, "b c z y x"]) -> CTViTOutput:
        """Reconstruct a volume in [-1, 1]."""
        tokens = self.encode(volume)
        quantized, ids, commitment_loss, perplexity = self.quantize(tokens)
        reconstruction = self.decode(quantized.view(tokens.shape))
        return CTViTOutput(reconstruction, ids.view(tokens.shape[:4]), commitment_loss, perplexity)
