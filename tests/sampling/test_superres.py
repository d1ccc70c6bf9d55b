import pytest
import torch

from generatect.diffusion.process import SuperResProcess
from generatect.diffusion.schedule import alpha_sigma
from generatect.errors import InputError
from generatect.networks.unet import SuperResUNet
from generatect.sampling.diffusion import SAMPLERS, ancestral, ddim, dpmpp
from generatect.sampling.superres import upscale_slices, upscale_volume
from tests.networks.recorded_unet import recorded_process, recorded_unet


@pytest.fixture
def network():
    generator = torch.Generator().manual_seed(0)
    network = SuperResUNet(
        dim=8,
        dim_mults=[1, 2],
        num_blocks=1,
        text_width=6,
        max_text_tokens=5,
        num_text_latents=2,
        heads=2,
        dim_head=4,
        cross_attention=[False, True],
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return network.requires_grad_(False)


@pytest.fixture
def volume():
    return torch.rand(1, 5, 4, 4, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture
def text():
    return torch.randn(1, 3, 6, generator=torch.Generator().manual_seed(2))


def run(network, volume, *args, process=None, seed=0, **settings):
    settings = {"upscaled_size": 16, "num_steps": 3, **settings}
    generator = torch.Generator().manual_seed(seed)
    return upscale_volume(network, process or SuperResProcess(), volume, *args, generator=generator, **settings)


def test_sampling_agrees_with_the_release(load_recording, assert_relative):
    recording = load_recording("superres")
    recorded, config = recording.tensors, recording.config
    network = recorded_unet(config, load_recording("unet").state()).requires_grad_(False)
    noises = iter(
        [recorded["sample.in.lowres_noise"], recorded["sample.in.initial_noise"], *recorded["sample.in.step_noise"]]
    )
    images = upscale_slices(
        network,
        recorded_process(config),
        recorded["loss.in.lowres01"] * 2 - 1,
        recorded["in.text_embeds"],
        recorded["in.text_mask"],
        noise=lambda: next(noises),
        upscaled_size=config["image_sizes"][-1],
        num_steps=config["timesteps"],
        guidance=config["cond_scale"],
    )
    assert_relative((images + 1) / 2, recording.expected("sample.out.images01"), 1e-4)


class Oracle:
    """Knows the true x0 of every slice, whatever it is shown."""

    def __init__(self, x0):
        self.x0 = x0

    def encode_text(self, features, mask, drop):
        return None

    def __call__(self, noisy, log_snr, lowres, lowres_log_snr, *, text_condition):
        alpha, sigma = (part[:, None, None, None] for part in alpha_sigma(log_snr))
        return alpha * (noisy - alpha * self.x0) / sigma - sigma * self.x0


@pytest.mark.parametrize("process", [SuperResProcess(), SuperResProcess.released()], ids=["residual", "released"])
@pytest.mark.parametrize(("sampler", "tolerance"), [("ancestral", 0.1), ("ddim", 1e-5), ("dpmpp", 1e-5)])
def test_a_perfect_network_recovers_the_image(process, sampler, tolerance, volume):
    """Deterministic samplers end at the estimate; the ancestral one with the noise that is left at time 0."""
    slices = volume.transpose(0, 1)
    truth = torch.rand(5, 1, 16, 16, generator=torch.Generator().manual_seed(3)) * 1.8 - 0.9
    x0 = process.to_x0(truth, process.upsample(slices, (16, 16)))
    upscaled = run(Oracle(x0), volume, process=process, sampler=sampler, num_steps=25, slices_per_batch=5).transpose(
        0, 1
    )
    assert (upscaled - truth).abs().max() < tolerance


@pytest.mark.parametrize("sampler", [ancestral, ddim, dpmpp])
def test_gaussian_data_come_out_with_their_mean_and_deviation(sampler):
    """For x0 ~ N(m, s²) the best denoiser is known, and exact sampling must give that distribution back."""
    mean, deviation = 0.4, 0.5
    generator = torch.Generator().manual_seed(0)
    process = SuperResProcess()

    def denoise(x, log_snr):
        alpha, sigma = (part[:, None, None, None] for part in alpha_sigma(log_snr))
        gain = alpha * deviation**2 / (alpha**2 * deviation**2 + sigma**2)
        return mean + gain * (x - alpha * mean)

    log_snrs = process.log_snr(torch.linspace(1, 0, 201))
    x = sampler(denoise, log_snrs, lambda: torch.randn(1, 1, 150, 150, generator=generator))
    assert abs(x.mean() - mean) < 0.02
    assert abs(x.std() - deviation) < 0.02


def error_on_gaussian_data(sampler, num_steps: int) -> float:
    """Error of the last estimate against the exact solution of the ODE, in float64.

    For x0 ~ N(m, s²) the trajectories of the probability-flow ODE keep (x - α·m) / √(α²s² + σ²).
    """
    mean, deviation = 0.4, 0.5
    log_snrs = torch.linspace(-4, 4, num_steps + 1, dtype=torch.float64)

    def parts(log_snr):
        alpha, sigma = alpha_sigma(log_snr)
        return alpha, (alpha**2 * deviation**2 + sigma**2).sqrt()

    def denoise(x, log_snr):
        alpha, spread = (part[:, None, None, None] for part in parts(log_snr))
        return mean + alpha * deviation**2 / spread**2 * (x - alpha * mean)

    start = torch.randn(1, 1, 20, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (alpha, spread), (last_alpha, last_spread) = parts(log_snrs[0]), parts(log_snrs[-2])
    last = last_alpha * mean + (start - alpha * mean) / spread * last_spread
    exact = denoise(last, log_snrs[-2:-1])
    return (sampler(denoise, log_snrs, lambda: start) - exact).abs().max().item()


@pytest.mark.parametrize(("sampler", "order"), [(ddim, 1), (dpmpp, 2)])
def test_halving_the_steps_width_divides_the_error_as_the_order_says(sampler, order):
    coarse, fine = error_on_gaussian_data(sampler, 64), error_on_gaussian_data(sampler, 128)
    assert coarse / fine == pytest.approx(2**order, rel=0.15)


def test_the_second_order_needs_fewer_steps():
    assert error_on_gaussian_data(dpmpp, 12) < error_on_gaussian_data(ddim, 48)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("correlated_noise", [False, True])
def test_the_batch_does_not_matter(sampler, correlated_noise, network, volume, text):
    settings = {"sampler": sampler, "correlated_noise": correlated_noise, "guidance": 2.0}
    at_once = run(network, volume, text, slices_per_batch=5, **settings)
    by_two = run(network, volume, text, slices_per_batch=2, **settings)
    filled = run(network, volume, text, slices_per_batch=2, fixed_shapes=True, **settings)
    assert at_once.shape == (1, 5, 16, 16)
    torch.testing.assert_close(by_two, at_once, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(filled, at_once, atol=1e-4, rtol=1e-4)


def test_fixed_shapes_are_fixed_and_the_text_is_read_once(network, volume, text):
    batches, texts = [], []
    network.register_forward_hook(lambda _module, inputs, _output: batches.append(len(inputs[0])))
    network.text.register_forward_hook(lambda _module, inputs, _output: texts.append(len(inputs[0])))
    run(network, volume, text, slices_per_batch=2, fixed_shapes=True)
    assert batches == [2] * 9
    assert texts == [1]


def test_the_seed_decides(network, volume):
    assert torch.equal(run(network, volume), run(network, volume))
    assert not torch.equal(run(network, volume), run(network, volume, seed=1))


def test_equal_slices_come_out_equal_only_under_shared_noise(network, volume):
    same = volume[:, :1].expand(-1, 3, -1, -1)
    shared = run(network, same, correlated_noise=True)
    torch.testing.assert_close(shared[:, 1:], shared[:, :1].expand(-1, 2, -1, -1), atol=1e-5, rtol=1e-5)
    free = run(network, same)
    assert (free[:, 1] - free[:, 0]).abs().max() > 0.01


def test_guidance_one_is_the_conditional_network_and_zero_the_unconditional(network, volume, text):
    calls = []
    network.register_forward_hook(lambda _module, inputs, _output: calls.append(len(inputs[0])))
    conditional = run(network, volume, text, guidance=1.0, slices_per_batch=5)
    assert calls == [5, 5, 5]
    torch.testing.assert_close(run(network, volume, text, guidance=1 + 1e-6), conditional, atol=1e-3, rtol=1e-3)
    assert (run(network, volume, text, guidance=3.0) - conditional).abs().max() > 1e-3
    torch.testing.assert_close(run(network, volume, text, guidance=0.0), run(network, volume), atol=1e-4, rtol=1e-4)


def test_progress_is_told(network, volume):
    told = []
    run(network, volume, slices_per_batch=2, on_slices=lambda done, total: told.append((done, total)))
    assert told == [(2, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize(
    ("setting", "value"), [("sampler", "euler"), ("num_steps", 0), ("guidance", 2.0), ("slices_per_batch", 0)]
)
def test_refuses_settings_by_name(setting, value, network, volume):
    with pytest.raises(InputError, match=f"^{setting}="):
        run(network, volume, **{setting: value})
