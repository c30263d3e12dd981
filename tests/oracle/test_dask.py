"""A real dask cluster of two processes: one worker killed, then all of them; the same counters every time."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("distributed")

STUDY = """
import flopcore as fc
from flopcore import program as p
from flopcore.distributions import LogNormal

def run(draws, **options):
    x = fc.variable("C", [LogNormal(10.0 ** (23 + i / 9), 1.0) for i in range(20)])
    lines = [fc.Threshold(str(k), 10**k, ">=") for k in (24, 25)]
    sinks = {"c": fc.CountAbove(x, lines, joint=True), "q": fc.Quantiles(p.largest(x)),
             "m": fc.Moments({"s": p.total(p.log10(x))})}
    program = fc.Program(sinks, [f"m{i}" for i in range(20)])
    return fc.sweep(program, draws=draws, rng=5, **options).state()
"""

CLUSTER = """
import json, os, signal, sys, warnings
from dask.distributed import Client, LocalCluster
from flopcore import sweep_run

def main(nanny):
    sweep_run._STALL_SECONDS = 3.0
    draws = 4_000_000
    options = dict(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1")
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        workers = client.run(os.getpid)
        pids = list(workers.values())
        if not nanny:  # without them nobody starts a worker again
            for nanny_ in cluster.workers.values():
                nanny_.auto_restart = False
        done = []
        def kill(so_far, _):
            if not done:
                for pid in pids if not nanny else pids[:1]:
                    os.kill(pid, signal.SIGKILL)
            done.append(so_far)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            state = run(draws, executor=client.get_executor(pure=False, retries=2), progress=kill)
        texts = [str(w.message) for w in caught if issubclass(w.category, RuntimeWarning)]
        print(json.dumps({"same": state == run(draws), "steps": len(done), "warnings": texts}), flush=True)
        os._exit(0)  # a cluster without workers is slow to close

if __name__ == "__main__":
    main(sys.argv[1] == "nanny")
"""


@pytest.mark.parametrize("restarts", ["nanny", "nobody"])
def test_killed_workers_lose_nothing(tmp_path, restarts):
    script = tmp_path / "cluster.py"
    script.write_text(STUDY + CLUSTER)
    log = tmp_path / "log"
    with log.open("w") as stderr:
        done = subprocess.run(
            [sys.executable, str(script), restarts],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=120,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    assert done.returncode == 0, log.read_text()[-2000:]
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome["same"]
    assert outcome["steps"] > 1
    # Without workers dask gives ranges up as killed, takes no more, or says nothing; the first is no stall.
    assert all("no range came back" in text or "takes no more work" in text for text in outcome["warnings"])
