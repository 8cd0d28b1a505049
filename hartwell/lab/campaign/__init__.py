"""Campaigns: many trials, of seeds x workloads x sizes x allocators, over all cores or a cluster.

        plan ──> cells ──> pool of processes, or Dask ──> journal ──> report

    report = Campaign(Plan(allocators=("buddy",), workloads=("random",), operations=(5000,), seeds=(0, 1))).run()

A *cell* is one trial, described by plain data alone; what comes of it depends on nothing else, so that a campaign gives
the same report for any number of workers, and for one that was interrupted and went on.
"""

from .campaign import Campaign, Here, Processes
from .plan import Cell, Plan
from .report import CampaignReport, CellResult

__all__ = ["Campaign", "CampaignReport", "Cell", "CellResult", "Here", "Plan", "Processes"]
