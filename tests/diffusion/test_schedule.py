import pytest
import torch

from generatect.diffusion.schedule import SCHEDULES, add_noise, alpha_sigma, posterior, velocity, x0_from_velocity


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_agrees_with_the_release(name, load_recording, assert_relative):
    recording = load_recording("noise_schedules")
    recorded = recording.state(f"{name}.")

    def agrees(key: str, actual: torch.Tensor) -> None:
        assert_relative(actual, recording.expected(f"{name}.{key}"))

    log_snr = SCHEDULES[name].log_snr(recorded["t"])
    alpha, sigma = alpha_sigma(log_snr)
    agrees("log_snr", log_snr)
    agrees("alpha", alpha)
    agrees("sigma", sigma)

    x_t, x0 = recorded["post.xt"], recorded["post.x0"]
    log_snr, log_snr_next = (SCHEDULES[name].log_snr(recorded[f"post.{key}"]) for key in ("t", "t_next"))
    mean, log_variance = posterior(x_t, x0, log_snr, log_snr_next)
    agrees("post.mean", mean)
    agrees("post.logvar", log_variance[:, None, None, None])
    agrees("post.var", log_variance.exp()[:, None, None, None])
    agrees("x0_from_v", x0_from_velocity(x_t, recorded["v"], log_snr))


@pytest.mark.parametrize("name", SCHEDULES)
def test_time_is_the_inverse_of_log_snr(name):
    times = torch.linspace(0, 1, 101, dtype=torch.float64)
    schedule = SCHEDULES[name]
    log_snr = schedule.log_snr(times)
    assert (log_snr.diff() < 0).all()
    torch.testing.assert_close(schedule.time(log_snr), times, atol=1e-6, rtol=0)


def test_variance_is_preserved():
    alpha, sigma = alpha_sigma(torch.linspace(-30, 12, 50))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(50))


def test_x0_of_the_velocity_is_x0(generator):
    x0, noise = torch.randn(2, 5, 1, 4, 4, generator=generator)
    log_snr = torch.linspace(-8, 8, 5)
    recovered = x0_from_velocity(add_noise(x0, noise, log_snr), velocity(x0, noise, log_snr), log_snr)
    torch.testing.assert_close(recovered, x0, atol=1e-5, rtol=1e-5)


def test_posterior_steps_reach_the_marginal(generator):
    """Noising to t and stepping back to s is distributed like noising to s."""
    x0 = torch.full((1, 1, 200, 200), 0.7)
    log_snr, log_snr_next = torch.tensor([-1.0]), torch.tensor([0.5])
    first, second = torch.randn(2, *x0.shape, generator=generator)
    mean, log_variance = posterior(add_noise(x0, first, log_snr), x0, log_snr, log_snr_next)
    stepped = mean + (log_variance / 2).exp() * second
    alpha, sigma = alpha_sigma(log_snr_next)
    assert abs(stepped.mean() - 0.7 * alpha) < 0.01
    assert abs(stepped.std() - sigma) < 0.01
