"""One evaluation by processes on the machines of a Ray cluster, which work as those of ``torchrun`` do."""

from __future__ import annotations

import os
import socket
import time
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fairart
from fairart.engine.processes import ProcessLostError, tells_of_a_lost_process
from fairart.runs.ray_connection import RayOptions, cluster

__all__ = ["on_ray"]

MACHINES = 3
"""Times that an evaluation goes on after a machine was lost."""
NOTICED = 60.0
"""Seconds within which a cluster takes a machine that does not answer for lost."""


class MachineLostError(RuntimeError):
    """A machine of the cluster is no longer there."""


class Member:
    """One process of the evaluation, on some machine of the cluster."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def about(self, seen: str) -> dict[str, Any]:
        """Where it is, and whether the folder is seen from there.

        Args:
            seen: a file in the folder of the result.
        """
        import ray

        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        return {
            "node": ray.get_runtime_context().get_node_id(),
            "address": ray.util.get_node_ip_address(),
            "port": port,
            "version": fairart.__version__,
            "seen": Path(seen).is_file(),
        }

    def work(self, function: Callable[..., Any], arguments: dict[str, Any], *, environment: dict[str, str], place: str) -> None:
        """Evaluate with the others.

        Args:
            function: joins the processes that the environment tells of.
            arguments: its arguments.
            environment: variables that a launcher sets.
            place: the folder that relative paths begin at.
        """
        import torch

        os.chdir(place)
        os.environ.update(environment)
        torch.set_num_threads(self.threads)
        function(**arguments)


def on_ray(function: Callable[..., Any], arguments: dict[str, Any], *, folder: Path, processes: int, options: RayOptions) -> None:
    """Run an evaluation in processes on a Ray cluster. When a machine is lost, it goes on from what was finished on the others.

    Args:
        function: joins the processes that its environment tells of, as of ``torchrun``, and evaluates.
        arguments: its arguments, which can be sent to another machine.
        folder: of the result, on a file system that all machines share.
        processes: how many.
        options: the cluster, and what a process takes of it.

    Raises:
        RuntimeError: Ray is not installed, the cluster cannot be reached, has no room, or does not see the folder; or a process
            failed.
    """
    try:
        import ray
    except ImportError:
        raise RuntimeError("an evaluation on Ray needs Ray: pip install 'fairart[ray]'") from None
    folder.mkdir(parents=True, exist_ok=True)
    seen = folder / f".seen-{uuid.uuid4().hex}"
    seen.touch()
    try:
        with cluster(ray, options):
            _check_room(ray, processes, options)
            for lost in range(MACHINES + 1):
                try:
                    return _attempt(ray, function, arguments, str(seen), processes, options)
                except MachineLostError as error:
                    if lost == MACHINES:
                        raise
                    # The result does not depend on their number.
                    processes = min(processes, _room(ray, options))
                    if not processes:
                        raise
                    warnings.warn(f"{error}; the evaluation goes on in {processes} processes", UserWarning, stacklevel=3)
    finally:
        seen.unlink(missing_ok=True)


def _room(ray: Any, options: RayOptions) -> int:
    """How many processes the cluster has room for."""
    has = ray.cluster_resources()
    rooms = [int(has.get("CPU", 0) / options.num_cpus)]
    if options.num_gpus:
        rooms.append(int(has.get("GPU", 0) / options.num_gpus))
    return min(rooms)


def _check_room(ray: Any, processes: int, options: RayOptions) -> None:
    """All processes must run at the same time: with less room they would wait for ever."""
    has = ray.cluster_resources()
    for name, asked in (("CPU", options.num_cpus * processes), ("GPU", options.num_gpus * processes)):
        if asked > has.get(name, 0):
            raise RuntimeError(f"{processes} processes need {asked:g} {name}, the Ray cluster has {has.get(name, 0):g}")


def _attempt(
    ray: Any, function: Callable[..., Any], arguments: dict[str, Any], seen: str, processes: int, options: RayOptions
) -> None:
    remote = ray.remote(num_cpus=options.num_cpus, num_gpus=options.num_gpus)(Member)
    members = [remote.remote(options.num_cpus) for _ in range(processes)]
    try:
        told = [_asked(ray, member.about.remote(seen), []) for member in members]
        _check_told(told, seen)
        nodes = [each["node"] for each in told]
        group = {
            "WORLD_SIZE": processes,
            "MASTER_ADDR": told[0]["address"],
            "MASTER_PORT": told[0]["port"],
            "LOCAL_WORLD_SIZE": 1,
        }
        running = []
        for rank, member in enumerate(members):
            # A process sees its own devices alone, so it is the only one of its machine.
            variables = {**group, "RANK": rank, "NODE_RANK": rank, "LOCAL_RANK": 0}
            environment = {name: str(value) for name, value in variables.items()}
            running.append(member.work.remote(function, arguments, environment=environment, place=str(Path.cwd())))
        failed = []
        while running:
            (done, *_), running = ray.wait(running)
            try:
                _asked(ray, done, nodes)
            except ProcessLostError as error:
                # Another one ended, and says why; or its machine is gone.
                failed.append(error)
        if failed:
            raise RuntimeError(str(failed[0])) from failed[0]
    finally:
        for member in members:
            ray.kill(member)


def _asked(ray: Any, answer: Any, nodes: list[str]) -> Any:
    """The answer of a member.

    Raises:
        ProcessLostError: the member has lost another one.
        MachineLostError: a machine is gone.
        RuntimeError: the member failed, or was killed.
    """
    try:
        return ray.get(answer)
    except ray.exceptions.RayTaskError as error:
        if tells_of_a_lost_process(error.cause):
            raise ProcessLostError(str(error.cause)) from error
        raise RuntimeError(f"a process on the Ray cluster failed: {type(error.cause).__name__}: {error.cause}") from error
    except ray.exceptions.RayError as error:
        # A machine that does not answer is reported before the cluster takes it for lost.
        silent = isinstance(error, ray.exceptions.ActorUnavailableError)
        if "node has died" in str(error) or _one_is_gone(ray, nodes, patience=NOTICED if silent else 0.0):
            raise MachineLostError("a machine of the Ray cluster was lost") from error
        raise RuntimeError(
            "a process on the Ray cluster was killed, often because the memory is full. The same command goes on from what was "
            "finished"
        ) from error


def _one_is_gone(ray: Any, nodes: list[str], *, patience: float) -> bool:
    """Whether a machine is lost, or becomes so within some seconds."""
    end = time.monotonic() + patience
    while True:
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        if not set(nodes) <= alive:
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(0.2)


def _check_told(told: list[dict[str, Any]], seen: str) -> None:
    for each in told:
        if each["version"] != fairart.__version__:
            raise RuntimeError(
                f"machine {each['address']} of the Ray cluster has fairart {each['version']}, this one has {fairart.__version__}"
            )
        if not each["seen"]:
            raise RuntimeError(
                f"machine {each['address']} of the Ray cluster does not see the folder {str(Path(seen).parent)!r}: the result, "
                "and the run, must be on a file system that all machines share"
            )
