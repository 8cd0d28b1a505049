"""`hartwell lab workloads`: the workloads by name."""

from __future__ import annotations

from hartwell.cli.kernels import AsJson


def workloads(as_json: AsJson = False) -> None:
    """List the workloads: what allocators can be put under, by the names that other commands take.

    \b
    [b]Examples[/b]
      hartwell lab workloads
      hartwell lab workloads --json
    """
    from hartwell.lab.workload import made, recorded
    from hartwell.views.table import print_json, print_table

    rows = [(each.name, ", ".join(kind.value for kind in each.kinds), each.about) for each in (*made(), *recorded())]
    if as_json:
        print_json({"workloads": [{"name": name, "kinds": kinds.split(", "), "about": about}
                                  for name, kinds, about in rows]})
        return
    print_table(("workload", "for", "what it does"), rows, left=3, prose=1)
