"""Ranges, executors, checkpoints and early stops: none of them changes a count."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import flopcore as fc
from flopcore import sweep_run
from flopcore.distributions import LogNormal, LogUniform

LINES = [fc.Threshold(str(k), 10**23 * 4**k, ">" if k % 2 else ">=") for k in range(5)]
ENTITIES = [
    *(fc.Entity(f"one-{i}", (fc.Factor("C", LogNormal(1e24 * (i + 1), 1.0)),)) for i in range(6)),
    *(
        fc.Entity(f"two-{i}", (fc.Factor("N", LogNormal(1e11, 0.5)), fc.Factor("D", LogUniform(1e12, 3e13))), 6)
        for i in range(3)
    ),
]


def sweep(draws=50_000, **options):
    return fc.sweep(ENTITIES, LINES, draws=draws, rng=8, **options)


def counts(result):
    return result.draws, result.exceed_counts.tobytes(), result.count_histogram.tobytes()


class LosingExecutor(Executor):
    """Loses every third range, then refuses work for good."""

    def __init__(self, refuses_after):
        self.submitted = 0
        self.refuses_after = refuses_after

    def submit(self, fn, /, *args, **kwargs):
        self.submitted += 1
        if self.submitted > self.refuses_after:
            raise RuntimeError("pool is gone")
        future = Future()
        if self.submitted % 3 == 0:
            future.cancel()
            future.set_running_or_notify_cancel()
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_an_executor_gives_the_same_counts():
    with ThreadPoolExecutor(3) as threads:
        assert counts(sweep(executor=threads)) == counts(sweep())
    with ProcessPoolExecutor(2) as processes:
        assert counts(sweep(executor=processes)) == counts(sweep())


def test_lost_ranges_are_sent_again_and_a_dead_executor_is_replaced():
    assert counts(sweep(executor=LosingExecutor(10**6))) == counts(sweep())
    for refuses_after in (0, 5):
        with pytest.warns(RuntimeWarning, match="takes no more work"):
            assert counts(sweep(executor=LosingExecutor(refuses_after))) == counts(sweep())


def test_a_killed_worker_process_loses_nothing():
    with ProcessPoolExecutor(2) as pool:
        victims = []

        def kill(done, total):
            if not victims:
                victims.extend(pool._processes)
                os.kill(victims[0], signal.SIGKILL)

        with pytest.warns(RuntimeWarning, match="takes no more work"):
            result = sweep(3_000_000, executor=pool, progress=kill)
    assert counts(result) == counts(sweep(3_000_000))


def test_an_error_of_a_range_is_raised_and_the_rest_cancelled():
    class Failing(Executor):
        def __init__(self):
            self.futures = []

        def submit(self, fn, /, *args, **kwargs):
            future = Future()
            if self.futures:
                self.futures.append(future)
            else:
                self.futures.append(future)
                future.set_exception(MemoryError("range"))
            return future

    executor = Failing()
    with pytest.raises(MemoryError, match="range"):
        sweep(executor=executor)
    assert all(future.cancelled() for future in executor.futures[1:])


def test_a_stall_is_reported(monkeypatch):
    monkeypatch.setattr(sweep_run, "_STALL_SECONDS", 0.05)

    class Sleepy(Executor):
        def __init__(self):
            self.jobs = []

        def submit(self, fn, /, *args, **kwargs):
            self.jobs.append((Future(), fn, args))
            return self.jobs[-1][0]

    executor = Sleepy()

    def wake(message, category, *rest, **options):
        assert "no range came back" in message
        assert category is RuntimeWarning
        for future, fn, args in executor.jobs:
            if not future.done():
                future.set_result(fn(*args))

    monkeypatch.setattr(sweep_run.warnings, "warn", wake)
    assert counts(sweep(executor=executor)) == counts(sweep())


def test_a_checkpoint_resumes_extends_and_says_what_it_is(tmp_path):
    first = sweep(20_000, checkpoint=tmp_path / "run")
    assert counts(first) == counts(sweep(20_000))
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["sweep.npz"]
    seen = []
    again = sweep(20_000, checkpoint=tmp_path / "run", progress=lambda done, total: seen.append(done))
    assert counts(again) == counts(first)
    assert seen == []
    assert counts(sweep(50_000, checkpoint=tmp_path / "run")) == counts(sweep(50_000))
    with pytest.raises(ValueError, match="already holds 50000"):
        sweep(20_000, checkpoint=tmp_path / "run")
    with pytest.raises(fc.DataError, match="another study, seed or precision"):
        fc.sweep(ENTITIES, LINES, draws=60_000, rng=9, checkpoint=tmp_path / "run")
    with pytest.raises(fc.DataError, match="another study"):
        fc.sweep(ENTITIES[1:], LINES, draws=60_000, rng=8, checkpoint=tmp_path / "run")


def test_a_damaged_checkpoint_is_named(tmp_path):
    sweep(1000, checkpoint=tmp_path)
    path = tmp_path / "sweep.npz"
    whole = path.read_bytes()
    for damaged in (b"", b"not a zip", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(fc.DataError, match="is not a checkpoint"):
            sweep(2000, checkpoint=tmp_path)
    path.write_bytes(whole)
    with np.load(path) as saved:
        arrays = dict(saved)
    for name, value in (("counts0", np.zeros((1, 1), np.int64)), ("counts1", None), ("draws", np.array(-1))):
        np.savez(path, **{k: v for k, v in {**arrays, name: value}.items() if v is not None})
        with pytest.raises(fc.DataError, match="remove it to start over"):
            sweep(2000, checkpoint=tmp_path)


def test_a_checkpoint_that_cannot_be_written_fails_before_the_work(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    seen = []
    with pytest.raises(OSError, match="file"):
        sweep(checkpoint=blocked / "run", progress=lambda done, total: seen.append(done))

    sweep(1000, checkpoint=tmp_path)
    before = (tmp_path / "sweep.npz").read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        sweep(checkpoint=tmp_path, progress=lambda done, total: seen.append(done))
    assert seen == []
    assert (tmp_path / "sweep.npz").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "sweep.npz"]


@pytest.mark.parametrize("sampler", ["philox", "sobol"])
def test_an_interrupted_run_leaves_a_checkpoint_that_resumes(tmp_path, monkeypatch, sampler):
    monkeypatch.setattr(sweep_run, "_SAVE_SECONDS", 0.0)
    x = fc.variable("C", LogNormal(1e24, 1.0))
    program = fc.Program({"m": fc.Moments({"log": fc.program.log10(x)}), "q": fc.Quantiles(x)})

    def run(**options):
        return fc.sweep(program, draws=300_000, rng=2, sampler=sampler, **options)

    whole = run()
    for stop in (4096, 30_000, 200_000):

        def interrupt(done, total, stop=stop):
            if done >= stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(checkpoint=tmp_path, progress=interrupt)
    seen = []
    assert run(checkpoint=tmp_path, progress=lambda done, total: seen.append(done)).state() == whole.state()
    assert seen[0] > 4096  # it went on from a checkpoint


def test_a_bar_is_drawn_on_stderr(capsys):
    bar = sweep(draws=50_000, progress="bar")
    assert counts(bar) == counts(sweep())
    assert capsys.readouterr().out == ""


def test_a_read_only_directory_is_an_error_before_the_work():
    seen = []
    with tempfile.TemporaryDirectory() as name:
        sweep(1000, checkpoint=name)
        before = Path(name, "sweep.npz").read_bytes()
        os.chmod(name, 0o555)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)  # root writes anywhere
            with pytest.raises(PermissionError):
                sweep(10**12, checkpoint=name, progress=lambda done, total: seen.append(done))
        finally:
            os.seteuid(user)
            os.chmod(name, 0o755)
        assert seen == []
        assert Path(name, "sweep.npz").read_bytes() == before


KILLED = """
import sys
import flopcore as fc
from flopcore import sweep_run
from flopcore.distributions import LogNormal
sweep_run._SAVE_SECONDS = 0.0
sweep_run._RANGE_SECONDS = 0.02
entities = [fc.Entity(str(i), (fc.Factor("C", LogNormal(1e24, 1.0)),)) for i in range(50)]
lines = [fc.Threshold("t", 10**24, ">")]
print("ready", flush=True)
result = fc.sweep(entities, lines, draws=2_000_000, rng=3, threads=1, checkpoint=sys.argv[1])
print(result.exceed_counts.sum(), result.count_histogram.tobytes() == b"", flush=True)
"""


def test_a_run_killed_at_any_time_resumes_to_the_same_counts(tmp_path):
    code = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)]
    random = np.random.default_rng(0)
    for delay in random.uniform(0.0, 0.25, 8):
        with subprocess.Popen(code, stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            time.sleep(delay)
            process.kill()
    entities = [fc.Entity(str(i), (fc.Factor("C", LogNormal(1e24, 1.0)),)) for i in range(50)]
    options = {"draws": 2_000_000, "rng": 3}
    lines = [fc.Threshold("t", 10**24, ">")]
    resumed = fc.sweep(entities, lines, **options, checkpoint=tmp_path)
    assert counts(resumed) == counts(fc.sweep(entities, lines, **options))


KILLED_PROGRAM = """
import sys
import flopcore as fc
from flopcore import program as p
from flopcore import sweep_run
from flopcore.distributions import LogNormal
sweep_run._SAVE_SECONDS = 0.0
sweep_run._RANGE_SECONDS = 0.02
def run(**options):
    x = fc.variable("C", [LogNormal(10.0 ** (23 + i / 9), 1.0) for i in range(20)])
    sinks = {"c": fc.CountAbove(x, [fc.Threshold("t", 10**24)]), "q": fc.Quantiles(p.largest(x)),
             "m": fc.Moments({"s": p.total(p.log10(x)), "x": p.log10(p.largest_k(x, 2))})}
    return fc.sweep(fc.Program(sinks, [str(i) for i in range(20)]), draws=1_000_000, rng=3, **options)
if __name__ == "__main__":
    print("ready", flush=True)
    run(threads=1, checkpoint=sys.argv[1])
    print("done", flush=True)
"""


@pytest.mark.slow
def test_a_program_killed_at_twenty_random_times_resumes_to_the_same_bits(tmp_path):
    namespace = {"__name__": "here"}
    exec(KILLED_PROGRAM, namespace)
    whole = namespace["run"]()
    code = [sys.executable, "-c", KILLED_PROGRAM, str(tmp_path)]
    seconds = whole.elapsed
    finished = 0
    for delay in np.random.default_rng(1).uniform(0.0, seconds / 5, 20):
        with subprocess.Popen(code, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(delay)
            process.kill()
            finished += "done" in process.stdout.read()
    resumed = namespace["run"](checkpoint=tmp_path)
    assert resumed.state() == whole.state()
    assert finished < 20


FULL = """
import resource, signal, sys
import flopcore as fc
from flopcore.distributions import LogNormal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
entities = [fc.Entity(str(i), (fc.Factor("C", LogNormal(1e24, 1.0)),)) for i in range(50)]
try:
    fc.sweep(entities, [fc.Threshold("t", 10**24)], draws=10**12, rng=3, checkpoint=sys.argv[1])
except OSError as error:
    print("refused", error)
"""


def test_a_disk_that_takes_no_more_is_an_error_before_the_work(tmp_path):
    # The system refuses to let the file grow, as it does when the disk is full; 10**12 draws would take days.
    code = [sys.executable, "-c", FULL, str(tmp_path / "run")]
    done = subprocess.run(code, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("refused")
    assert list((tmp_path / "run").iterdir()) == []


def test_until_stops_at_the_first_batch_that_suffices(tmp_path):
    rule = fc.rel_error(0.002)
    stopped = sweep(10_000_000, until=rule)
    assert stopped.draws < 10_000_000
    assert stopped.draws % 65536 == 0
    assert np.all(stopped.mc_error() <= 0.002 * stopped.expected())
    assert counts(stopped) == counts(sweep(stopped.draws))
    assert counts(sweep(10_000_000, until=rule, threads=1, checkpoint=tmp_path)) == counts(stopped)
    assert counts(sweep(10_000_000, until=rule, checkpoint=tmp_path)) == counts(stopped)
    with ThreadPoolExecutor(2) as threads:
        assert counts(sweep(10_000_000, until=rule, executor=threads)) == counts(stopped)
    assert sweep(3000, until=rule).draws == 3000


def test_rel_error_is_compared_exactly():
    # counts 0, 0, 0, 1: mean 1/4, variance 1/4, standard error 1/4: the relative error is 1.
    one = (4, Fraction(1), Fraction(1))
    assert not fc.rel_error(0.999).reached([one])
    assert fc.rel_error(0.5).reached([(4, Fraction(4), Fraction(4)), (4, Fraction(0), Fraction(0))])
    assert not fc.rel_error(0.5).reached([(1, Fraction(1), Fraction(1))])
    with pytest.raises(ValueError, match="nothing in this result is a mean"):
        fc.rel_error(0.5).reached([])
    for share in (0, 1, -0.1, float("nan"), Fraction(3, 2)):
        with pytest.raises(ValueError, match="rel_error"):
            fc.rel_error(share)


def test_the_draws_at_which_until_is_asked_are_fixed():
    fixed = sweep_run.fixed_stops
    stops = list(sweep_run._stops(10**6, fc.rel_error(0.1), fixed))
    assert stops[:6] == [65536 * k for k in (1, 2, 3, 4, 5, 6)]
    assert stops[-1] == 10**6
    assert stops == sorted(set(stops))
    assert len(list(sweep_run._stops(10**12, fc.rel_error(0.1), fixed))) < 100
    assert list(sweep_run._stops(10**6, None, fixed)) == [10**6]
    powers = list(sweep_run._stops(10**6, fc.rel_error(0.1), sweep_run.doubling_stops))
    assert powers == [65536 << k for k in range(4)] + [10**6]
