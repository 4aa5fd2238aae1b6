"""A Ray cluster to run on: found, or started on this machine, and asked whether it has what a sweep takes."""

import contextlib
import logging
import os
import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import RayTaskError

from glad_ray import module_path
from glad_ray.engine.cluster.addresses import Address, check_address, check_answer, check_machine, find_address
from glad_ray.engine.cluster.authentication import authenticated
from glad_ray.engine.cluster.head_watch import watching_head
from glad_ray.engine.cluster.ray_job import job_config
from glad_ray.engine.cluster.ray_settings import environment, unless_set, uv_run_ignored
from glad_ray.engine.cluster.start_errors import check_python_path, start_error
from glad_ray.engine.on_ray.devices import ALL_SEEN, job_device
from glad_ray.errors import UserError
from glad_ray.interrupts import found_again, hangups_ignored
from glad_ray.paths import expanded
from glad_ray.plan.cluster_file import CLUSTER_VARIABLE, read_node_types
from glad_ray.plan.machines import NodeType, check_machines, least_bundle
from glad_ray.spec import Resources, Unit

_OF_WORKERS = {ALL_SEEN: "1", "RAY_CHDIR_TO_TRIAL_DIR": "0"}
# A process that has imported torch is worth keeping for a minute (a second by default) until the next evaluation, and
# not for longer: by default as many as there are CPUs stay for good, with their contexts on GPUs.
OF_NEW_CLUSTER = {"RAY_idle_worker_killing_time_threshold_ms": "60000", "RAY_num_workers_soft_limit": "0"}
# A head that goes away meanwhile is tried once, for 40 seconds, and not 20 times.
_OF_JOINING = {"RAY_gcs_server_port_wait_time_s": "1"}
_OF_DRIVER = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    # What a sweep tells is the view's to say, and all it keeps lies in its own storage.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # No more trials are submitted than there is room for; Tune would start one process at a time.
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",
    # Nobody reads Tune's state, and to write that of thousands of trials holds everything up for seconds.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    # An interrupt ends the sweep at once: nothing finished is lost by it.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # A machine that loses its power closes no connection: what it computed would be waited for five minutes and more.
    # Ray's servers take a minute between two such questions for an attack.
    "RAY_grpc_client_keepalive_time_ms": "70000",
    "RAY_grpc_client_keepalive_timeout_ms": "30000",
    # A submitted job may have variables that workers are given here: it would be refused.
    "RAY_OVERRIDE_JOB_RUNTIME_ENV": "1",
}


_LAUNCHED_WITH = "~/ray_bootstrap_config.yaml"
_JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""what ray job gives its driver"""


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[str | None]:
    """A connection to the cluster at `address` (`auto`, or host:port), or to a new one on this machine (`local`);
    yields the address of one that others started, None for one of this process.

    None: the cluster that RAY_ADDRESS names, as a submitted job has it, or the one that `ray start` started on this
    machine, as it does on every machine of a cluster, or else a new one. A connection that this process has already is
    used and left open. On a cluster of others, a terminal that goes away ends nothing. Raises `UserError` if there is
    no such cluster, or Ray cannot start or join it.
    """
    if address is not None:
        check_address(address)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        stack.enter_context(environment(unless_set(_OF_DRIVER)))
        if ray.is_initialized():
            yield None
            return
        found = find_address(address)
        try:
            if not found.local:
                stack.enter_context(hangups_ignored())
                check_answer(found.given)
            stack.enter_context(authenticated(None if found.local else found.given))
            if not found.local:
                check_machine(found.given)
            _init(found)
        except UserError:
            raise
        except Exception as error:
            with contextlib.suppress(Exception):
                ray.shutdown()
            # The error names the variables that are set, and not those of this connection.
            stack.close()
            raise start_error(error, found) from error
        head = str(ray.get_runtime_context().gcs_address)
        stack.enter_context(watching_head(head, end=ray.shutdown))
        yield None if found.local else head


def _init(found: Address) -> None:
    """Start or join the cluster found."""
    check_python_path()
    runtime_env: dict[str, Any] = _python()
    if not found.local:
        runtime_env["env_vars"] = _of_workers()
    # Processes started here inherit the environment; those of a cluster are given theirs, which takes a second more
    # for each.
    variables = unless_set(_OF_WORKERS | OF_NEW_CLUSTER if found.local else _OF_JOINING)
    with found_again(), environment(variables), uv_run_ignored():
        ray.init(
            address=found.given,
            include_dashboard=False if found.local else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env=runtime_env or None,
            job_config=job_config(),
        )


def _python() -> dict[str, Any]:
    """The path of Python for Ray's workers, where it has to be quoted: Ray starts those that have a runtime environment
    by a line for the shell, and writes the path into it as it is. A job may name another Python.
    """
    quoted = shlex.quote(sys.executable)
    if quoted == sys.executable or "py_executable" in os.environ.get(_JOB_VARIABLE, ""):
        return {}
    return {"py_executable": quoted}


def _of_workers() -> dict[str, str]:
    """Variables for workers on other machines, as somebody set them already or a job did; among them where modules
    beside the sweep file are, for machines that see the same files.
    """
    path = {name: os.environ[name] for name in ("PYTHONPATH", module_path.VARIABLE) if name in os.environ}
    return {name: os.environ.get(name, value) for name, value in _OF_WORKERS.items()} | path


def node_types(joined: str | None) -> tuple[NodeType, ...]:
    """The kinds of machines that an autoscaler may start on the cluster joined: those of the launcher file that
    $GLAD_RAY_CLUSTER names, or that `ray up` left on its head; none where there is no such file.
    """
    if joined is None:
        return ()
    if named := os.environ.get(CLUSTER_VARIABLE):
        return read_node_types(named)
    try:
        launched_with = expanded(_LAUNCHED_WITH)
    except UserError:
        return ()  # `ray up` leaves the file in a home folder
    return read_node_types(launched_with) if os.path.exists(launched_with) else ()


def check_resources(
    resources: Resources, units: Collection[tuple[Unit, str]], types: Sequence[NodeType], *, held: float
) -> None:
    """Raise `UserError` if some unit of work, given with the name of its algorithm or network, asks for more than any
    machine of the cluster has, or any of these types would have.

    `held`: of the GPUs of every machine, by generators.
    """
    there = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    where = "here" if not types else f"here, or of the types {', '.join(each.name for each in types)},"
    check_machines(resources, units, [*there, *(each.resources for each in types)], held=held, where=where)
    used = {resources.generator_gpus, *(least_bundle(resources, unit, name).gpus for unit, name in units)}
    gpus = min(used - {0}, default=0)
    if gpus and any(node.get("GPU", 0) >= gpus for node in there):
        result(ray.remote(job_device).options(num_cpus=0, num_gpus=gpus, max_retries=0).remote(resources, gpus))


def result(reference: ray.ObjectRef[Any]) -> Any:
    """What a remote call returned; raises what it raised."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause from error
