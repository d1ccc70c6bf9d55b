"""Everything that the page works with: the networks, the queue, the volumes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from generatect.ct.scan import Reading
from generatect.pipeline import TextToCT, TokenOptions, UpscaleOptions
from generatect.synthesis.understanding import lines_on_length
from generatect.web import making
from generatect.web.cost import Rates, describe, expect, measure
from generatect.web.examples import Examples
from generatect.web.folders import Folders
from generatect.web.jobs import Job, Jobs
from generatect.web.library import Library


class Studio:
    """What handlers of requests are given.

    Args:
        model: the networks.
        output: folder of what is made.
        folders: opened folders.
        tokens: how tokens are sampled where the page does not say otherwise.
        upscale: how slices are refined, likewise.
        reading: how opened files are read.
        max_waiting: jobs that may wait behind the one that runs.
        max_upload_bytes: size of a file that a browser may send.
    """

    def __init__(
        self,
        model: TextToCT,
        output: Path,
        folders: Folders,
        tokens: TokenOptions,
        upscale: UpscaleOptions,
        reading: Reading,
        max_waiting: int,
        max_upload_bytes: int,
    ) -> None:
        self.model, self.output, self.folders = model, output, folders
        self.tokens, self.upscale, self.max_upload_bytes = tokens, upscale, max_upload_bytes
        self.examples = Examples(model.preset.upscaled_grid)
        self.library = Library(output, folders, self.examples, reading)
        self.rates: Rates | None = None
        self.jobs = Jobs(max_waiting, self._measure)

    def cost(self, tokens: TokenOptions, upscale: UpscaleOptions) -> str | None:
        """What a volume will cost; None until the networks have been timed."""
        return None if self.rates is None else describe(self.model, self.rates, tokens, upscale)

    def generate(self, wish: making.Wish) -> Job:
        """Queues a volume.

        Raises:
            FullError: as many jobs wait as may.
        """
        settings = {
            "seed": wish.seed,
            "token steps": wish.tokens.steps,
            "guidance": wish.tokens.guidance,
            "upscaling steps": wish.upscale.steps,
        }
        if cut := lines_on_length(self.model.reads([wish.prompt])):
            settings["report"] = "; ".join(cut)
        return self._queue(
            "generate",
            wish.prompt,
            settings,
            lambda job: f"made/{making.generate(self.model, wish, self.output, job)}",
            lambda: {} if self.rates is None else expect(self.model, self.rates, wish.tokens, wish.upscale),
        )

    def reconstruct(self, volume_id: str) -> Job:
        """Queues the reconstruction of a volume.

        Raises:
            InputError: there is no such volume.
            FullError: as many jobs wait as may.
        """
        title = self.library.about(volume_id).title

        def work(job: Job) -> str:
            original = self.library.volume(volume_id)
            offload = self.tokens.offload
            return f"made/{making.reconstruct(self.model, original, title, volume_id, self.output, job, offload)}"

        return self._queue("reconstruct", title, {}, work)

    def _queue(
        self,
        kind: str,
        title: str,
        settings: dict[str, Any],
        work: Callable[[Job], str],
        expected: Callable[[], dict[str, float]] = dict,
    ) -> Job:
        job = Job(kind, title, settings, work, expected)
        self.jobs.submit(job)
        return job

    def _measure(self) -> None:
        self.rates = measure(self.model, self.tokens, self.upscale)
