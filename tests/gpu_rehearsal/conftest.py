"""Each module of this folder is one test, which runs it in a process of its own where there seem to be GPUs."""

import pytest
from torch.nn.attention import SDPBackend, sdpa_kernel

from glad_ray import machine
from glad_ray.algorithms import real_batches
from glad_ray.experts import ExpertFiles, train_experts
from glad_ray.generators.stylegan_xl import activation
from glad_ray.networks import vit
from glad_ray.storage import Storage
from tests.gpu_rehearsal import runs
from tests.gpu_rehearsal.process import PLUGIN, rehearse


def pytest_pycollect_makemodule(module_path, parent):
    if parent.config.pluginmanager.has_plugin(PLUGIN):
        return None
    return Rehearsal.from_parent(parent, path=module_path)


class Rehearsal(pytest.File):
    """A module of tests, as a single one."""

    def collect(self):
        item = InProcessOfItsOwn.from_parent(self, name="in_a_process_of_its_own")
        item.add_marker("full")
        yield item


class FailedError(Exception):
    """What pytest said in that process."""


class InProcessOfItsOwn(pytest.Item):
    """Runs pytest on the module."""

    def runtest(self):
        code, said = rehearse(self.path, root=self.config.rootpath)
        if code:
            raise FailedError(said)

    def repr_failure(self, excinfo):
        return str(excinfo.value) if isinstance(excinfo.value, FailedError) else super().repr_failure(excinfo)

    def reportinfo(self):
        return self.path, None, f"{self.path.stem} on pretended GPUs"


@pytest.fixture(scope="module")
def experts(sample, tmp_path_factory):
    """Trajectories for the runs that match some, trained on the CPU."""
    storage = Storage.open(tmp_path_factory.mktemp("experts"))
    expert_set = runs.DISTILLED["mtt"].expert_set
    train_experts(expert_set, [0, 1], sample, storage, device="cpu", on_epoch=lambda expert, epoch: None)
    return ExpertFiles(storage, expert_set)


@pytest.fixture(scope="module")
def forms_for_gpus():
    """A GPU takes other forms of some computations than a CPU; the CPU takes these as well, so no rounding differs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "few_operations_are_fast", lambda device: True)
        patch.setattr(vit, "fused_is_fast_for", lambda tokens: True)
        patch.setattr(vit, "drawn_at_once_on", lambda device: True)
        patch.setattr(real_batches, "together_is_fast", lambda device: True)
        patch.setattr(real_batches, "CPU_IMAGES", 10_000)
        patch.setattr(activation, "depthwise_is_fast", lambda x: False)
        with sdpa_kernel(SDPBackend.MATH):
            yield
