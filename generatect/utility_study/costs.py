"""What a study will cost, from timing a step of its training and of its sampling on this machine."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from generatect.data.cache import ArrayCache
from generatect.data.inputs import ModelInputs
from generatect.progress import duration
from generatect.utility_study.cell import STAGE, assembled, compute_device
from generatect.utility_study.items import Item, ItemPairs
from generatect.utility_study.study import Study
from generatect.utility_study.synthetic import MadePairs


def announced(study: Study) -> str:
    """What is still to be done and how long it takes here, a line each."""
    num_cells, num_to_train = len(study.sets) * len(study.seeds), study.num_to_train()
    lines = [
        f"{num_cells} classifiers ({len(study.sets)} training sets, seeds {study.seeds}), "
        f"{num_cells - num_to_train} there from before"
    ]
    if num_to_train:
        step, device = seconds_of_step(study), compute_device(study.recipe.trainer).type
        lines.append(
            f"{num_to_train} to train for {study.recipe.steps} steps of {study.recipe.batch_size} volumes, "
            f"{step:.2f} s a step on {device}: about {duration(num_to_train * study.recipe.steps * step)}"
        )
    source = study.synthetic[0].source if study.synthetic else None
    if isinstance(source, MadePairs) and (num := num_to_make(study)):
        seconds = num / source.batch_size * seconds_of_batch(source)
        lines.append(f"{num} synthetic volumes to make: about {duration(seconds)} on {source.model.device.type}")
    return "\n".join(lines)


def num_to_make(study: Study) -> int:
    """Synthetic volumes that are not in the cache."""
    inputs = study_inputs(study, study.synthetic)
    return sum(not inputs.is_cached(number) for number in range(len(study.synthetic)))


def study_inputs(study: Study, items: Sequence[Item]) -> ModelInputs:
    """Items as the classifier sees them, through the study's cache."""
    return ModelInputs(ItemPairs(items), study.grid, ArrayCache(study.recipe.cache_dir))


def seconds_of_step(study: Study) -> float:
    """Seconds of a training step, from timing two forward and backward passes."""
    device = compute_device(study.recipe.trainer)
    network, inputs = assembled(study.recipe).module[STAGE].to(device), study_inputs(study, study.real.train)
    places = [place % len(study.real.train) for place in range(study.recipe.batch_size)]

    def step() -> None:
        network(torch.stack([inputs.volume(place) for place in places]).to(device)).sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return min(timed(step), timed(step))  # the first time sets much up


def seconds_of_batch(source: MadePairs) -> float:
    """Seconds in which a batch of volumes is made, from timing one step of sampling twice."""
    texts = [source.text(place) for place in range(min(source.batch_size, len(source)))]
    one_step = replace(source.options, steps=1)
    seconds = min(timed(lambda: source.model.sample_lowres(texts, 0, one_step)) for _ in range(2))
    return seconds * source.options.steps


def timed(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started
