import pytest
import torch

from generatect.diffusion.process import SuperResProcess
from generatect.errors import InputError


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 1, 16, 16, generator=generator) * 2 - 1


@pytest.mark.parametrize("target", ["image", "residual"])
@pytest.mark.parametrize("upsampling", ["nearest", "bilinear", "bicubic"])
def test_images_come_back(target, upsampling, images):
    process = SuperResProcess(target=target, upsampling=upsampling)
    upsampled = process.upsample(images[..., ::4, ::4], (16, 16))
    torch.testing.assert_close(process.to_images(process.to_x0(images, upsampled), upsampled), images)


def test_interpolation_alone_has_residual_zero(images):
    process = SuperResProcess()
    upsampled = process.upsample(images[..., ::4, ::4], (16, 16))
    assert not process.to_x0(upsampled, upsampled).any()


def test_nearest_repeats_pixels(images):
    upsampled = SuperResProcess.released().upsample(images, (64, 64))
    assert torch.equal(upsampled, images.repeat_interleave(4, 2).repeat_interleave(4, 3))


@pytest.mark.parametrize("target", ["image", "residual"])
@pytest.mark.parametrize("dynamic_threshold", [None, 0.95])
def test_limit_acts_on_the_image_and_keeps_possible_ones(target, dynamic_threshold, images):
    process = SuperResProcess(target=target, dynamic_threshold=dynamic_threshold)
    upsampled = process.upsample(images[..., ::4, ::4], (16, 16))
    limited = process.to_images(process.limit(process.to_x0(images, upsampled), upsampled), upsampled)
    torch.testing.assert_close(limited, images)
    limited = process.to_images(process.limit(process.to_x0(images * 3, upsampled), upsampled), upsampled)
    assert limited.abs().max() <= 1 + 1e-6


def test_clamp_keeps_the_intensity_of_tissue_where_the_dynamic_threshold_does_not(images):
    images = torch.cat([images[:1], images[:1] * 0.5])
    images[:, :, :2] = 1.5  # an eighth of the pixels overshoots, more than the quantile admits
    clamped = SuperResProcess(target="image").limit(images, images)
    assert torch.equal(clamped[:, :, 2:], images[:, :, 2:])
    scaled = SuperResProcess(target="image", dynamic_threshold=0.95).limit(images, images)
    torch.testing.assert_close(scaled[:, :, 2:], images[:, :, 2:] / 1.5)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("schedule", "sine"),
        ("target", "noise"),
        ("upsampling", "cubic"),
        ("lowres_sample_time", 2.0),
        ("dynamic_threshold", -0.5),
        ("residual_scale", 0.0),
    ],
)
def test_refuses_settings_by_name(setting, value):
    with pytest.raises(InputError, match=f"^{setting}="):
        SuperResProcess(**{setting: value})
