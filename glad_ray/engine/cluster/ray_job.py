"""What Ray is told of the job that a sweep is."""

import os

from ray.job_config import JobConfig

from glad_ray import module_path


class _LibrariesFirst(JobConfig):
    """A job whose workers look for modules as `glad_ray.module_path` says.

    Ray itself puts the current folder and the script's first in every worker, before it has imported all that it needs:
    a file named `numpy.py` there would take the place of NumPy. It leaves that out for a job with a `working_dir`.
    """

    def _runtime_env_has_working_dir(self) -> bool:
        return True


def job_config() -> JobConfig:
    """The job of a sweep file; as Ray has it if no sweep file was read, or workers would not find glad_ray."""
    if module_path.VARIABLE in os.environ and module_path.FOUND_BY_ALL:
        return _LibrariesFirst()
    return JobConfig()
