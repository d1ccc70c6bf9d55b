"""Super-resolution as the recordings configure it: the U-Net, and what it diffuses."""

from dataclasses import replace

from torch import Tensor

from generatect.checkpoints.released_superres import unet_from_original
from generatect.diffusion.process import SuperResProcess
from generatect.networks.unet import SuperResUNet


def recorded_unet(config: dict, state: dict[str, Tensor]) -> SuperResUNet:
    """Network of a recording's `config` with the weights of its `state`."""
    network = SuperResUNet(
        dim=config["dim"],
        dim_mults=config["dim_mults"],
        num_blocks=config["num_resnet_blocks"],
        text_width=config["text_embed_dim"],
        max_text_tokens=config["max_text_len"],
        num_text_latents=config["attn_pool_num_latents"],
        heads=config["attn_heads"],
        dim_head=config["attn_dim_head"],
        cross_attention=config["layer_cross_attns"],
    )
    network.load_state_dict(unet_from_original(state))
    return network


def recorded_process(config: dict) -> SuperResProcess:
    """The released process with the numbers of a recording's `config`."""
    return replace(
        SuperResProcess.released(),
        schedule=config["noise_schedule"],
        lowres_schedule=config["lowres_noise_schedule"],
        lowres_sample_time=config["lowres_sample_noise_level"],
        loss_gamma=config["p2_loss_weight_gamma"],
        dynamic_threshold=config["dynamic_thresholding_percentile"],
    )
