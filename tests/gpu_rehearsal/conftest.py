"""Each module of this folder is one test, which runs it in a process of its own where there seem to be GPUs."""

import pytest

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
