"""The plugin of pytest for a process in which there seem to be GPUs: `pytest -p tests.gpu_rehearsal.plugin`."""

from pathlib import Path

import pytest
import torch

from tests.gpu_rehearsal.gpu import PretendedGPU

# While tests are collected, too: those that need a GPU look for one then.
torch.cuda.is_available = lambda: True


@pytest.fixture(autouse=True)
def there_is_a_gpu(request):
    """For tests that know nothing of the pretence; those of this folder begin it themselves."""
    if request.path.parent == Path(__file__).parent:
        yield
        return
    with PretendedGPU():
        yield
