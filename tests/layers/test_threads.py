"""Layers on all cores: the same bytes for any number of workers, errors, BLAS's own threads, forks."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from comparison import random

import layers.functions as F
from layers import threads
from layers.cross_entropy import softmax_cross_entropy


def network_bytes(workers):
    """The bytes of a small network's scores and gradients, computed by so many workers."""
    program = f"""
import sys
import numpy as np
from layers import threads
threads._workers.count = {workers}
import layers.functions as F
from layers.cross_entropy import softmax_cross_entropy
random = np.random.RandomState(0).randn
import chainer
x = chainer.Variable(random(3, 16, 30, 40).astype("f"))
weights = [random(*s).astype("f") / 9 for s in [(16, 16, 3, 3), (16, 20, 3, 3), (20, 8, 8, 8)]]
w = [chainer.Variable(a) for a in [weights[0], weights[1].transpose(1, 0, 2, 3).copy(), weights[2]]]
h = F.elu(F.convolution_2d(x, w[0], pad=1))
h = F.max_pooling_2d(F.elu(F.convolution_2d(h, w[1], pad=2, dilate=2)), 3, 2)
h = F.deconvolution_2d(h, w[2], stride=4, pad=2)
loss = softmax_cross_entropy(h, np.random.RandomState(1).randint(-1, 8, (3, *h.shape[2:])))
loss.backward()
for a in [h.array, loss.array, x.grad] + [v.grad for v in w]:
    sys.stdout.buffer.write(a.tobytes())
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True
    )
    return run.stdout


def test_any_number_of_workers_gives_the_same_bytes():
    one = network_bytes(1)
    assert len(one) > 100_000
    assert network_bytes(2) == one
    assert network_bytes(5) == one


def blas_threads():
    import threadpoolctl

    return [p["num_threads"] for p in threadpoolctl.threadpool_info()]


def test_blas_threads_are_as_before_after_a_layer():
    before = blas_threads()
    F.convolution_2d(random((2, 3, 9, 9)), random((4, 3, 3, 3)))
    assert blas_threads() == before
    with pytest.raises(IndexError):
        softmax_cross_entropy(random((1, 2, 2, 2)), np.full((1, 2, 2), 9, np.int32))
    assert blas_threads() == before


@pytest.mark.parametrize(("value", "limit"), [("1", 1), ("0", None), ("x", None)])
def test_omp_num_threads_limits_the_workers(monkeypatch, value, limit):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = threads.worker_count()
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads.worker_count() == (limit or cores)


def test_error_in_a_task_is_raised_after_all_workers_have_stopped(monkeypatch):
    monkeypatch.setattr(threads._workers, "count", 3)
    monkeypatch.setattr(threads._workers, "_pool", None)

    def task(i):
        if i == 7:
            raise ValueError("seven")

    with pytest.raises(ValueError, match="seven"):
        threads.parallel(task, range(20))


def test_a_task_that_starts_tasks_is_an_error_and_no_deadlock(monkeypatch):
    monkeypatch.setattr(threads._workers, "count", 2)
    monkeypatch.setattr(threads._workers, "_pool", None)
    both = threading.Barrier(2)  # both workers, this thread and the pool's, run a task

    def task(i):
        both.wait(timeout=30)
        with pytest.raises(RuntimeError, match="must not call parallel"):
            threads.parallel(print, [i])

    threads.parallel(task, range(2))
    done = []
    threads.parallel(done.append, range(3))  # the workers are free again
    assert sorted(done) == [0, 1, 2]


@pytest.mark.skipif(not hasattr(threads.os, "fork"), reason="needs fork")
def test_layers_run_in_a_forked_process():
    F.elu(random((2, 3, 4, 5)))
    pid = threads.os.fork()
    if pid == 0:
        F.elu(random((2, 3, 4, 5)))
        threads.os._exit(0)
    assert threads.os.waitpid(pid, 0)[1] == 0
