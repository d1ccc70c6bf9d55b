import pytest
import torch

from generatect.diffusion.process import SuperResProcess
from generatect.diffusion.schedule import x0_from_velocity
from generatect.objectives.diffusion import superres_loss
from tests.networks.recorded_unet import recorded_process, recorded_unet


@pytest.fixture
def slices():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(4, 1, 16, 16, generator=generator) * 2 - 1, torch.rand(4, 1, 4, 4, generator=generator) * 2 - 1


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_agrees_with_the_release(load_recording, assert_relative):
    recording = load_recording("superres")
    recorded = recording.tensors
    network = recorded_unet(recording.config, load_recording("unet").state()).requires_grad_(False)
    loss = superres_loss(
        network,
        recorded_process(recording.config),
        recorded["loss.in.images01"] * 2 - 1,
        recorded["loss.in.lowres01"] * 2 - 1,
        recorded["in.text_embeds"],
        recorded["in.text_mask"],
        generator=generator(),
        text_drop_prob=0.0,
        times=recorded["loss.in.t"],
        noise=recorded["loss.in.noise"],
        lowres_times=recorded["loss.in.lowres_t"].expand(len(recorded["loss.in.t"])),
        lowres_noise=recorded["loss.in.lowres_noise"],
    )
    assert_relative(loss[None], recording.expected("loss.out"))


@pytest.mark.parametrize("process", [SuperResProcess(), SuperResProcess.released()], ids=["residual", "released"])
def test_a_perfect_network_has_no_loss(process, slices):
    highres, lowres = slices
    x0 = process.to_x0(highres, process.upsample(lowres, (16, 16)))

    def oracle(noisy, log_snr, *_):
        alpha, sigma = (torch.sigmoid(sign * log_snr).sqrt()[:, None, None, None] for sign in (1, -1))
        return alpha * (noisy - alpha * x0) / sigma - sigma * x0

    times = torch.tensor([0.2, 0.5, 0.8, 0.99])
    loss = superres_loss(oracle, process, highres, lowres, generator=generator(), times=times)
    assert loss < 1e-8


def test_a_network_that_predicts_nothing_loses_the_velocity(slices):
    """At pure noise v = -x0 and the weight is 1, so the loss is the mean square of the image."""
    highres, lowres = slices
    loss = superres_loss(
        lambda noisy, *_: torch.zeros_like(noisy),
        SuperResProcess.released(),
        highres,
        lowres,
        generator=generator(),
        times=torch.ones(4),
    )
    torch.testing.assert_close(loss, highres.square().mean(), atol=1e-5, rtol=1e-5)


def test_the_network_sees_what_the_process_says(slices):
    highres, lowres = slices
    process = SuperResProcess(lowres_max_time=0.1)
    seen = {}

    def network(noisy, log_snr, condition, lowres_log_snr, features, mask, drop):
        seen.update(condition=condition, lowres_log_snr=lowres_log_snr, drop=drop)
        return torch.zeros_like(noisy)

    quiet = torch.zeros_like(highres)
    superres_loss(network, process, highres, lowres, generator=generator(), lowres_noise=quiet)
    assert seen["drop"] is None
    assert (seen["lowres_log_snr"] >= process.lowres_log_snr(torch.tensor(0.1))).all()
    assert seen["lowres_log_snr"].unique().numel() == 1
    upsampled = process.upsample(lowres, (16, 16))
    torch.testing.assert_close(
        x0_from_velocity(seen["condition"], quiet, seen["lowres_log_snr"]),
        upsampled * torch.sigmoid(seen["lowres_log_snr"])[:, None, None, None],
    )


def test_the_seed_decides_and_text_is_dropped_at_its_rate(slices):
    dropped = []

    def network(noisy, log_snr, condition, lowres_log_snr, features, mask, drop):
        dropped.append(drop)
        return noisy * 0.5

    highres, lowres = (part.expand(-1, 1, -1, -1).repeat(500, 1, 1, 1) for part in slices)
    text = torch.zeros(2000, 1, 3)
    first, again = (
        superres_loss(network, SuperResProcess(), highres, lowres, text, generator=generator(3), text_drop_prob=0.3)
        for _ in range(2)
    )
    assert torch.equal(first, again)
    assert abs(dropped[0].float().mean() - 0.3) < 0.04
