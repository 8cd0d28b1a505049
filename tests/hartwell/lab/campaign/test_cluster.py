"""A campaign on a real Dask cluster: the same as at home, and a worker that dies is not the end."""

from __future__ import annotations

from pathlib import Path

import dask.config
import pytest
from distributed import LocalCluster

from hartwell.lab.campaign import Campaign, Here, Plan
from hartwell.lab.campaign.cluster import Cluster, ClusterError
from hartwell.lab.campaign.report import Status


def test_a_cluster_whose_worker_dies(killer: str, trap: Path) -> None:
    plan = Plan(allocators=("buddy", killer), operations=(100,))
    with (dask.config.set({"distributed.scheduler.allowed-failures": 0}),
          LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=50) as local,
          Cluster(local.scheduler_address) as cluster):
        report = Campaign(plan).run(cluster)
    ours = Campaign(Plan(allocators=("buddy",), operations=(100,))).run(Here())
    died, sound = sorted(report.results, key=lambda result: result.cell.allocator == "buddy")
    assert (died.status, died.said) == (Status.CRASHED, "its worker died")
    assert sound.to_json() == ours.results[0].to_json()


@pytest.mark.parametrize("address, said", [
    ("tcp://127.0.0.1:1", "no Dask scheduler answers there"),
    ("head", "expected an address such as tcp://head:8786"),
])
def test_a_cluster_that_is_not_there(address: str, said: str) -> None:
    with pytest.raises(ClusterError, match=said):
        Cluster(address, seconds=0.2)
