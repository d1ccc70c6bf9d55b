"""FLOPs against closed forms, waiting and speed against what was made to take that long."""

import time
from pathlib import Path

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from generatect.callbacks import peak
from generatect.callbacks.flops import FlopCount
from generatect.callbacks.memory import GB, Memory, resident_bytes
from generatect.callbacks.peak import measured_flops_per_second, peak_of
from generatect.callbacks.throughput import Throughput
from generatect.config.quiet import quiet
from generatect.loggers.run import Run
from generatect.loggers.run_logger import RunLogger
from generatect.objectives.adversarial import discriminator_loss

BATCH, WIDTH = 4, 32
LOAD_S, STEP_S = 0.02, 0.03  # one item takes so long to load, one batch so long to train on


class Kept(RunLogger):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__()
        self.rows: dict[int, dict[str, float]] = {}
        self.run = Run("0123abcd", Path(), "ctvit", {}, {}, is_resumed=False)

    def write(self, values, steps_done):
        self.rows.setdefault(steps_done, {}).update(values)


class Slow(Dataset):
    """Items that take a while."""

    def __init__(self, seconds: float, num: int = 400):
        self.seconds, self.num = seconds, num

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, index: int) -> dict:
        time.sleep(self.seconds)
        return {"volume": torch.ones(WIDTH), "text": "a", "name": "b"}


class Linear(L.LightningModule):
    """One matrix product a step."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.layer = nn.Linear(WIDTH, WIDTH, bias=False)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, batch_idx):
        time.sleep(STEP_S)
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(self.layer(batch["volume"]).square().mean())
        optimizer.step()

    def validation_step(self, batch, batch_idx):
        time.sleep(0.2)  # which counts for nothing


class TwoInTurn(Linear):
    """Three times as many products in every third step."""

    discriminator_every, accumulate, discriminator_start = 3, 1, 0

    def training_step(self, batch, batch_idx):
        for _ in range(3 if batch_idx % 3 == 2 else 1):
            self.manual_backward(self.layer(batch["volume"]).square().mean())


def trained(module: L.LightningModule, steps: int, load_s: float = 0.0, every: int = 1, **settings) -> Kept:
    quiet()
    logger = Kept()
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_train_batches=steps,
        val_check_interval=steps // 2,
        num_sanity_val_steps=0,
        limit_val_batches=1,
        log_every_n_steps=every,
        logger=logger,
        callbacks=[Throughput(), Memory()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    train = DataLoader(Slow(load_s), batch_size=BATCH, **settings)
    trainer.fit(module, train, DataLoader(Slow(0.0, BATCH), batch_size=BATCH))
    return logger


def test_speed_and_waiting_are_those_of_the_loader_and_the_step():
    rows = trained(Linear(), steps=24, load_s=LOAD_S, every=6).rows
    assert sorted(rows) == [6, 12, 18, 24]
    waited_s, step_s = BATCH * LOAD_S, BATCH * LOAD_S + STEP_S
    for row in list(rows.values())[1:]:
        assert step_s < row["speed/step_seconds"] < 3 * step_s  # sleeping takes at least as long as asked
        assert row["speed/volumes_per_second"] == pytest.approx(BATCH / row["speed/step_seconds"])
        assert waited_s < row["speed/data_wait_share"] * row["speed/step_seconds"]
        assert row["speed/data_wait_share"] < 1 - STEP_S / row["speed/step_seconds"]


def test_a_step_of_one_product_is_counted_exactly():
    rows = trained(Linear(), steps=6).rows
    flops = 2 * 2 * BATCH * WIDTH * WIDTH  # forward, and backward to the weight; the data need no gradient
    for step in (3, 4, 5, 6):
        assert rows[step]["speed/tflops"] * 1e12 * rows[step]["speed/step_seconds"] == pytest.approx(flops)
        assert 0 < rows[step]["speed/mfu"] < 1
    assert "speed/step_seconds" not in rows[2]  # the counted step tells nothing about speed
    assert "speed/mfu" not in rows[1]


def test_a_round_of_two_in_turn_is_counted_as_its_mean():
    rows = trained(TwoInTurn(), steps=8).rows
    flops = 2 * 2 * BATCH * WIDTH * WIDTH * (1 + 1 + 3) / 3
    assert rows[8]["speed/tflops"] * 1e12 * rows[8]["speed/step_seconds"] == pytest.approx(flops)


def test_a_later_discriminator_is_counted_when_it_starts():
    module = TwoInTurn()
    module.discriminator_start = 6
    rows = trained(module, steps=12).rows
    assert [step for step in range(1, 13) if "speed/mfu" not in rows[step]] == [1, 2, 3, 4, 7, 8, 9]


def test_a_gradient_penalty_is_counted_and_stays_what_it_is():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.SiLU(), nn.Flatten(), nn.Linear(2 * 6 * 6, 1), nn.Flatten(0))
    real, fake = torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8)

    def gradient() -> tuple[Tensor, ...]:
        loss = discriminator_loss(network, real, fake, gradient_penalty_weight=10.0).loss
        return torch.autograd.grad(loss, list(network.parameters()))

    expected, count = gradient(), FlopCount()
    count.start()
    counted = gradient()
    count.stop()
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(counted, expected, strict=True))
    convolution, linear = 2 * 2 * 2 * 6 * 6 * 9, 2 * 2 * 2 * 6 * 6  # one pass of a batch of 2
    two_batches = 2 * (2 * convolution + 3 * linear)  # forward, to the weights, and through the linear layer
    penalty = (convolution + linear) + (2 * convolution + linear)  # to the pictures, and back from there
    assert count.total == two_batches + penalty


def test_attention_is_counted_on_a_cpu_too():
    query = torch.rand(1, 2, 8, 16, requires_grad=True)
    count = FlopCount()
    count.start()
    torch.nn.functional.scaled_dot_product_attention(query, query, query).sum().backward()
    count.stop()
    one_product = 2 * 2 * 8 * 8 * 16
    assert count.total == (2 + 5) * one_product  # the backward pass computes the scores again


def test_a_compiled_network_is_counted_as_it_is_written():
    network, count = nn.Linear(WIDTH, WIDTH, bias=False), FlopCount()
    network.compile(backend="aot_eager")
    network(torch.rand(BATCH, WIDTH)).sum().backward()
    count.start()
    network(torch.rand(BATCH, WIDTH)).sum().backward()
    count.stop()
    assert count.total == 2 * 2 * BATCH * WIDTH * WIDTH


@pytest.mark.parametrize(
    ("name", "dtype", "tflops"),
    [
        ("NVIDIA H100 80GB HBM3", torch.bfloat16, 989.4),
        ("NVIDIA H100 PCIe", torch.float16, 756.0),
        ("NVIDIA H200", torch.float32, 494.7),
        ("NVIDIA A100-SXM4-80GB", torch.bfloat16, 312.0),
        ("NVIDIA L40S", torch.bfloat16, 362.0),
        ("NVIDIA L4", torch.bfloat16, 121.0),
        ("Tesla V100-SXM2-32GB", torch.float16, 125.0),
    ],
)
def test_known_gpus_have_the_peak_of_their_data_sheet(monkeypatch, name, dtype, tflops):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        found = peak_of(torch.device("cuda"), dtype)
    finally:
        torch.set_float32_matmul_precision(before)
    assert found.flops_per_second == tflops * 1e12
    assert name in found.source


def test_other_devices_are_measured_and_nothing_random_moves(monkeypatch):
    monkeypatch.setattr(peak, "MEASURED_SIZE", 256)
    state = torch.get_rng_state()
    found = peak_of(torch.device("cpu"), torch.float32)
    assert torch.equal(torch.get_rng_state(), state)
    assert found.source == "measured matrix product, float32"
    assert found.flops_per_second > 1e8
    assert measured_flops_per_second(torch.device("cpu"), torch.bfloat16) > 0


def test_memory_is_that_of_this_process_and_its_workers():
    before = trained(Linear(), steps=2).rows[2]
    assert before["memory/workers_gb"] == 0
    kept = torch.ones(50_000_000)  # 0.2 GB
    rows = trained(Linear(), steps=2, num_workers=2).rows
    assert 0.15 < rows[2]["memory/process_gb"] - before["memory/process_gb"] < 0.4
    assert rows[2]["memory/workers_gb"] > 0.05
    assert len(kept) == 50_000_000
    assert resident_bytes(2**22 + 1) == 0
    assert rows[2]["memory/process_gb"] * GB < 64e9
