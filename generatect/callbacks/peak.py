"""How fast a device could compute."""

import time
from typing import NamedTuple

import torch

DATA_SHEET_TFLOPS = {  # dense, without sparsity; the first name that a device's name contains counts
    "GB200": {"half": 2500.0, "tf32": 1250.0, "fp32": 80.0},
    "B200": {"half": 2250.0, "tf32": 1120.0, "fp32": 75.0},
    "GH200": {"half": 989.4, "tf32": 494.7, "fp32": 67.0},
    "H200": {"half": 989.4, "tf32": 494.7, "fp32": 67.0},
    "H100 PCIe": {"half": 756.0, "tf32": 378.0, "fp32": 51.0},
    "H100 NVL": {"half": 835.0, "tf32": 417.5, "fp32": 60.0},
    "H100": {"half": 989.4, "tf32": 494.7, "fp32": 67.0},
    "A100": {"half": 312.0, "tf32": 156.0, "fp32": 19.5},
    "A10G": {"half": 70.0, "tf32": 35.0, "fp32": 35.0},
    "L40S": {"half": 362.0, "tf32": 183.0, "fp32": 91.6},
    "L4": {"half": 121.0, "tf32": 60.0, "fp32": 30.3},
    "RTX 6000 Ada": {"half": 364.0, "tf32": 182.1, "fp32": 91.1},
    "RTX A6000": {"half": 154.8, "tf32": 77.4, "fp32": 38.7},
    "RTX 4090": {"half": 165.2, "tf32": 82.6, "fp32": 82.6},
    "RTX 3090": {"half": 71.0, "tf32": 35.6, "fp32": 35.6},
    "V100": {"half": 125.0, "tf32": 15.7, "fp32": 15.7},
    "T4": {"half": 65.0, "tf32": 8.1, "fp32": 8.1},
}
"""TFLOP/s by NVIDIA's data sheets: fp16 and bf16 with fp32 accumulation, TF32, fp32."""
MEASURED_SIZE, MEASURED_SIZE_GPU, REPEATS = 768, 8192, 5


class Peak(NamedTuple):
    """What a device does at most.

    Attributes:
        flops_per_second: multiply-add counts as two.
        source: of the number, to be read.
    """

    flops_per_second: float
    source: str


def peak_of(device: torch.device, dtype: torch.dtype) -> Peak:
    """The data sheet's peak of a known GPU, else what a large matrix product reaches on this device.

    Args:
        device: where the training runs.
        dtype: of its matrix products; fp32 counts as TF32 where torch may use it.
    """
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        known = next((row for key, row in DATA_SHEET_TFLOPS.items() if _names(key, name)), None)
        if known is not None:
            is_tf32 = dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest"
            kind = "tf32" if is_tf32 else "fp32" if dtype == torch.float32 else "half"
            return Peak(known[kind] * 1e12, f"data sheet of {name}, {'fp16 and bf16' if kind == 'half' else kind}")
    return Peak(measured_flops_per_second(device, dtype), f"measured matrix product, {str(dtype).split('.')[-1]}")


def _names(key: str, name: str) -> bool:
    """Whether all words of `key` are words of a device's name: "H100 PCIe", "NVIDIA A100-SXM4-80GB"."""
    words = name.replace("-", " ").split()
    return all(word in words for word in key.split())


def measured_flops_per_second(device: torch.device, dtype: torch.dtype) -> float:
    """Best of some products of square matrices; its random numbers are its own."""
    size = MEASURED_SIZE_GPU if device.type == "cuda" else MEASURED_SIZE
    generator = torch.Generator(device).manual_seed(0)
    matrix = torch.randn(size, size, generator=generator, device=device).to(dtype)
    best_s = float("inf")
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        for _ in range(REPEATS):
            wait_for(device)
            start = time.perf_counter()
            matrix @ matrix
            wait_for(device)
            best_s = min(best_s, time.perf_counter() - start)
    return 2 * size**3 / best_s


def wait_for(device: torch.device) -> None:
    """Returns when the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
