"""The paper's code (github.com/GeorgeCazenavette/glad) run as it is, to be timed: its `main` of DC, DM and MTT in
pixels, its `epoch` and its `evaluate_synset`.

Its scripts are run unchanged on random images. In their place stand: reading the dataset, its looks at the set between
steps, and packages that only log (wandb) or that it imports and does not use here (kornia); ema_pytorch, where it is
missing, by an average of the same updates. A step ends where it logs its loss. Its generator is left to
`stylegan_speed.py`. Written for commit fe62863.
"""

import contextlib
import importlib
import importlib.util
import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from glad_ray.data import Dataset, normalise
from glad_ray.spec import DC, DM, DSA, MTT
from glad_ray.spec.networks import ARCHITECTURES
from glad_ray.spec.networks.convnet import standard_depth
from gpu_checks.problems import CLASSES, Problem, step_seconds

_OWN = ("networks", "utils", "glad_utils", "reparam_module", "shared_args", "distill_dc", "distill_dm", "distill_mtt")
_LOGGED = {"dc": "Loss", "dm": "Loss", "mtt": "Grand_Loss"}


class _Enough(BaseException):
    """So many steps were made as were asked for."""


class _Average(nn.Module):
    """An average of weights as ema_pytorch keeps it: a copy at the first update, then less and less of the new."""

    def __init__(self, model: nn.Module, beta: float, **_: Any) -> None:
        super().__init__()
        self.online, self.average, self.beta, self.updates = [model], deepcopy(model), beta, 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        self.updates += 1
        weight = 1 - min(self.beta, 1 - 1 / self.updates)
        for mean, value in zip(self.average.parameters(), self.online[0].parameters(), strict=True):
            mean.lerp_(value, weight)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the averaged network."""
        return self.average(images)


class Reference:
    """The modules of a checkout."""

    def __init__(self, path: Path, device: torch.device) -> None:
        self.path, self.device = path, device
        self.on_log: Callable[[dict[str, Any]], None] = lambda record: None
        with _import_from(path, self._stand_ins(), device):
            self.utils, self.arguments = (importlib.import_module(name) for name in ("utils", "shared_args"))
            self.scripts = {name: importlib.import_module(f"distill_{name}") for name in _LOGGED}

    def _stand_ins(self) -> dict[str, ModuleType]:
        wandb = ModuleType("wandb")
        wandb.config = SimpleNamespace()  # type: ignore[attr-defined]

        def begin(config: Any, **_: Any) -> SimpleNamespace:
            wandb.config._items = dict(vars(config))  # type: ignore[attr-defined]
            return SimpleNamespace(name="run")

        wandb.init = begin  # type: ignore[attr-defined]
        wandb.log = lambda record, **_: self.on_log(record)  # type: ignore[attr-defined]
        found = {"wandb": wandb, "kornia": ModuleType("kornia")}
        if importlib.util.find_spec("ema_pytorch") is None:
            found["ema_pytorch"] = ModuleType("ema_pytorch")
            found["ema_pytorch"].EMA = _Average  # type: ignore[attr-defined]
        return found

    def step_seconds(self, problem: Problem, count: int) -> list[float]:
        """Seconds of each of `count` steps, after two that are not timed."""
        return step_seconds(partial(self.steps, problem), self.device, count)

    def steps(self, problem: Problem, count: int, at_step: Callable[[int], None]) -> None:
        """Make `count` steps of a problem in pixels, and call `at_step` with how many there are after each."""
        algorithm, dataset = problem.run.algorithm, problem.dataset
        name, width, depth = algorithm.name, problem.run.backbone.width or 128, standard_depth(problem.run.pixels)
        more = {"syn_steps": algorithm.synthetic_steps} if isinstance(algorithm, MTT) else {}
        if isinstance(algorithm, DC | DM):
            more = {"batch_real": algorithm.real_batch_size}
        made = 0

        def note(record: dict[str, Any]) -> None:
            nonlocal made
            if _LOGGED[name] in record:
                made += 1
                at_step(made)
                if made == count:
                    raise _Enough

        script, side = self.scripts[name], dataset.train_images.shape[-1]
        images, labels = self._images(dataset), torch.tensor(dataset.train_labels)
        pairs = [(image, int(label)) for image, label in zip(images, labels, strict=True)]
        same = {label: label for label in range(CLASSES)}
        data = (3, (side, side), CLASSES, None, None, None, pairs, pairs, None, None, same, same)
        with tempfile.TemporaryDirectory() as folder:
            arguments = self._arguments(folder, dataset, width, depth, more)
            script.parser = SimpleNamespace(parse_args=lambda: arguments)  # type: ignore[attr-defined]
            script.get_dataset = lambda *_, **__: data  # type: ignore[attr-defined]
            script.eval_loop = lambda **_: False  # type: ignore[attr-defined]
            script.image_logging = lambda **_: None  # type: ignore[attr-defined]
            if name == "mtt":
                self._write_experts(Path(folder), width, depth, side)
            self.on_log = note
            with contextlib.suppress(_Enough), _quiet(self.device):
                script.main(arguments)

    def _arguments(self, folder: str, dataset: Dataset, width: int, depth: int, more: dict[str, Any]) -> Any:
        arguments = self.arguments.add_shared_args().parse_args([])
        given = {
            "data_path": folder,
            "save_path": folder,
            "buffer_path": folder,
            "res": dataset.train_images.shape[-1],
            "width": width,
            "depth": depth,
            "eval_it": 10**6,
            "Iteration": 10**6 - 1,
            "eval_mode": "S",
            "lr_img": 0.1,
            "lr_w": 0.01,
            "lr_g": 1e-4,
            "lr_net": 0.01,
            "lr_lr": 1e-6,
            "lr_teacher": 0.01,
            "inner_loop": 1,
            "outer_loop": 1,
            "dis_metric": "ours",
            "batch_syn": None,
            "load_all": True,
            "max_start_epoch": 1,
            "max_files": None,
            "max_experts": None,
            "expert_epochs": 2,
        }
        for key, value in {**given, **more}.items():
            setattr(arguments, key, value)
        return arguments

    def _write_experts(self, folder: Path, width: int, depth: int, side: int) -> None:
        network = self.network("ConvNet", side, width, depth)
        start = [parameter.detach().cpu() for parameter in network.parameters()]
        to = folder / "CIFAR10" / "ConvNet" / f"depth-{depth}" / f"width-{width}"
        to.mkdir(parents=True)
        torch.save([[[(1 + 0.005 * epoch) * each for each in start] for epoch in range(4)]], to / "replay_buffer_0.pt")

    def network(self, name: str, side: int, width: int, depth: int) -> nn.Module:
        """One of its networks, on the device."""
        return self.utils.get_network(name, 3, CLASSES, (side, side), depth=depth, width=width).to(self.device)

    def expert_epoch(self, dataset: Dataset, count: int, width: int, depth: int) -> Callable[[], None]:
        """An epoch on the first `count` images, as its code to train experts makes it, test left out."""
        network = self.network("ConvNet", dataset.train_images.shape[-1], width, depth)
        optimiser = torch.optim.SGD(network.parameters(), lr=0.01)
        images, labels = self._images(dataset)[:count], torch.tensor(dataset.train_labels)[:count]
        data = self.utils.TensorDataset(images, labels)
        loader = torch.utils.data.DataLoader(data, batch_size=256, shuffle=True, num_workers=0)
        options = self._training_options(epochs=1, lr=0.01)

        def epoch() -> None:
            self.utils.epoch("train", loader, network, optimiser, nn.CrossEntropyLoss(), options, aug=True)

        return epoch

    def evaluation(self, name: str, dataset: Dataset, epochs: int, lr: float) -> Callable[[], None]:
        """A network of its usual width, trained on an image a class and tested on as many."""
        side = dataset.train_images.shape[-1]
        depth = {32: 3, 64: 4, 128: 5, 256: 6, 512: 7}[side]
        images, labels = self._images(dataset)[:: len(dataset.train_labels) // CLASSES], torch.arange(CLASSES)
        test = torch.utils.data.DataLoader(self.utils.TensorDataset(images, labels), batch_size=128)

        def evaluate() -> None:
            network = self.network(ARCHITECTURES[name].reference_names[side > 64], side, 128, depth)
            with _quiet(self.device):
                self.utils.evaluate_synset(0, network, images, labels, test, self._training_options(epochs, lr))

        return evaluate

    def _training_options(self, epochs: int, lr: float) -> SimpleNamespace:
        return SimpleNamespace(
            device=str(self.device),
            dataset="CIFAR10",
            dsa=True,
            dsa_strategy=DSA,
            dsa_param=self.utils.ParamDiffAug(),
            lr_net=lr,
            epoch_eval_train=epochs,
            batch_train=256,
        )

    @staticmethod
    def _images(dataset: Dataset) -> Tensor:
        return normalise(dataset.train_images, dataset.mean, dataset.std)


@contextlib.contextmanager
def _import_from(path: Path, stand_ins: dict[str, ModuleType], device: torch.device) -> Iterator[None]:
    """Modules of a folder come first, under names that are free again afterwards."""
    hidden = {name: sys.modules.pop(name) for name in (*_OWN, *stand_ins) if name in sys.modules}
    sys.modules.update(stand_ins)
    sys.path.insert(0, str(path))
    to_gpu = torch.Tensor.cuda
    if device.type == "cpu":
        # It puts constants on a GPU as it is imported.
        torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.Tensor.cuda = to_gpu  # type: ignore[method-assign]
        sys.path.remove(str(path))
        for name in [name for name in sys.modules if name.partition(".")[0] in (*_OWN, *stand_ins)]:
            del sys.modules[name]
        sys.modules.update(hidden)


@contextlib.contextmanager
def _quiet(device: torch.device) -> Iterator[None]:
    """Nothing is printed; `cuda` is the device of this run."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        if device.type == "cuda":
            stack.enter_context(torch.cuda.device(device))
        yield
