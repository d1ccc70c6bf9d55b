"""CT-Net: slices in threes, any number of them, each volume by itself."""

import pytest
import torch
from monai.networks.nets.resnet import ResNet

from generatect.errors import InputError
from generatect.networks.batch_norm import BatchNorm
from generatect.networks.ctnet import CTNet, mean_by_region

SMALL = {"layers": [1, 1, 1, 1], "widths": [4, 4, 8, 8], "reduced": 8}
LABELS = ["Emphysema", "Lung nodule"]


def small(**settings) -> CTNet:
    torch.manual_seed(0)
    return CTNet(labels=LABELS, **SMALL | {"first_stride": 1} | settings)


def volumes(num: int, num_slices: int, size: int = 16) -> torch.Tensor:
    return torch.rand(num, 1, num_slices, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("num_slices", [1, 2, 3, 4, 8])
@pytest.mark.parametrize(("first_stride", "size"), [(1, 16), (2, 33)])
def test_any_number_of_slices_and_any_size_give_a_logit_for_each_label(num_slices, first_stride, size):
    logits = small(first_stride=first_stride).eval()(volumes(2, num_slices, size))
    assert logits.shape == (2, 2)
    assert logits.isfinite().all()
    assert len(logits.unique()) == 4


@torch.no_grad()
def test_an_image_that_lacks_slices_is_filled_with_copies_of_the_last():
    net, volume = small().eval(), volumes(1, 4)
    filled = volume[:, :, [0, 1, 2, 3, 3, 3]]
    assert torch.equal(net(volume), net(filled))


@torch.no_grad()
def test_three_slices_are_the_colours_of_one_image():
    net, images = small(brightest=0.2).eval(), []
    net.stem.register_forward_pre_hook(lambda _, inputs: images.append(inputs[0]))
    volume = volumes(2, 7).clamp(max=0.2)
    net(volume)
    assert images[0].shape == (2 * 3, 3, 16, 16)
    back = images[0].reshape(2, 9, 16, 16)[:, :7] * 0.6 - 0.4  # [-1, 1] is what [-1, 0.2] is spread to
    torch.testing.assert_close(back, volume[:, 0])


@torch.no_grad()
@pytest.mark.parametrize(("brightest", "counts"), [(0.2, False), (1.0, True)])
def test_what_is_brighter_than_the_bound_is_cut(brightest, counts):
    net, volume = small(brightest=brightest).eval(), volumes(2, 6)
    assert torch.equal(net(volume), net(volume.clamp(max=0.2))) != counts
    assert not torch.equal(net(volume), net(volume.clamp(min=-0.5)))


@torch.no_grad()
def test_a_volume_that_is_judged_depends_on_no_other():
    net, batch = small(), volumes(3, 6)
    net.train()(batch)
    together = net.eval()(batch)
    for index in range(3):
        torch.testing.assert_close(net(batch[index : index + 1])[0], together[index], rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("shape_zyx", [(3, 3, 3), (6, 9, 12), (1, 2, 7), (5, 4, 8)])
def test_regions_are_those_of_adaptive_pooling(shape_zyx):
    features = torch.randn(2, 4, *shape_zyx, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(mean_by_region(features), torch.nn.functional.adaptive_avg_pool3d(features, 3))


def test_the_gradient_reaches_every_weight_and_every_slice():
    net, volume = small(dropout_prob=0.0), volumes(2, 5).requires_grad_()
    net(volume).sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in net.parameters())
    assert volume.grad is not None
    assert (volume.grad.abs().sum(dim=(1, 3, 4)) > 0).all()


def test_dropout_is_for_training_alone():
    net, volume = small(dropout_prob=0.5), volumes(1, 3)
    assert not torch.equal(net.train()(volume), net.train()(volume))
    assert torch.equal(net.eval()(volume), net.eval()(volume))


@torch.no_grad()
@pytest.mark.parametrize("first_stride", [1, 2])
def test_the_images_go_through_monais_resnet(first_stride):
    """The mean of our features over the image is what MONAI's own forward pass gives with our layers in it."""
    net = small(first_stride=first_stride).eval()
    theirs = ResNet(
        "basic", [1] * 4, [4, 4, 8, 8], spatial_dims=2, no_max_pool=first_stride == 1, feed_forward=False
    ).eval()
    theirs.conv1, theirs.bn1 = net.stem[0], net.stem[1]
    theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4 = net.levels
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(net.levels(net.stem(images)).mean(dim=(2, 3)), theirs(images))


def test_the_defaults_are_resnet_18():
    net = CTNet(labels=LABELS)
    counted = sum(weight.numel() for part in (net.stem, net.levels) for weight in part.parameters())
    assert counted == 11_689_512 - 513_000  # the published network, less its last layer
    norms = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert len(norms) == 20
    assert all(isinstance(norm, BatchNorm) for norm in norms)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": []}, "one name or more"),
        ({"labels": ["A", "A"]}, "each once"),
        ({"labels": ["A"], "brightest": -1.0}, "brightest=-1.0"),
        ({"labels": ["A"], "widths": [4, 4]}, "four layers and four widths"),
        ({"labels": ["A"], "layers": [0, 1, 1, 1]}, "at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        CTNet(**settings)
