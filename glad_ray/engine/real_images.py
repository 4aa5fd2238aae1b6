"""The real images that runs and experts see: which ones, and how they are read."""

from typing import NamedTuple

from glad_ray.data import Dataset, load_dataset
from glad_ray.data.prepare import Decode, decode_here
from glad_ray.progress.events import ImagesPrepared
from glad_ray.progress.view import View
from glad_ray.spec import ExpertSet, Run
from glad_ray.spec.images.whitening import Whitening


class DataKey(NamedTuple):
    """Which real images: equal keys share them."""

    dataset: str
    resolution: int
    antialias: bool
    held_out: int
    whitening: Whitening = "none"

    @classmethod
    def of(cls, of: Run | ExpertSet) -> "DataKey":
        """The images that a run or a set of experts sees."""
        side = of.pixels if isinstance(of, Run) else of.resolution
        return cls(of.dataset, side, of.antialias, of.held_out, of.whitening)

    def load(self, view: View, decode: Decode = decode_here) -> Dataset:
        """Read them, after they are prepared, which is shown; raises `UserError` if they are not there."""

        def progressed(done: int, total: int) -> None:
            view.show(ImagesPrepared(f"{self.dataset} {self.resolution}px", done, total))

        return load_dataset(
            self.dataset,
            resolution=self.resolution,
            antialias=self.antialias,
            whitening=self.whitening,
            held_out=self.held_out,
            decode=decode,
            on_progress=progressed,
        )
