"""The queue: one at a time, bounded, and a job can be told to stop."""

import errno
import sys
import threading

import pytest

from generatect.errors import InputError
from generatect.web.jobs import MAX_KEPT, FullError, Job, Jobs


@pytest.fixture
def jobs():
    queue = Jobs(max_waiting=2, prepare=lambda: None)
    yield queue
    queue.close()
    queue.thread.join(10)
    assert not queue.thread.is_alive()


class Steps:
    """Work that waits at each step for the test."""

    def __init__(self) -> None:
        self.step, self.at_step, self.done = threading.Semaphore(0), threading.Semaphore(0), 0

    def __call__(self, job: Job) -> str:
        for number in range(5):
            job.progress("steps", number, 5)
            self.at_step.release()
            assert self.step.acquire(timeout=10)
            self.done += 1
        return "made/it"


def settled(job: Job) -> str:
    for _ in range(1000):
        if job.state not in ("waiting", "running"):
            return job.state
        threading.Event().wait(0.01)
    raise AssertionError(job.state)


def add(queue: Jobs, work) -> Job:
    job = Job("generate", "a report", {}, work)
    queue.submit(job)
    return job


def test_jobs_run_one_after_the_other_in_their_order(jobs):
    order = []
    running = Steps()
    first = add(jobs, running)
    others = [add(jobs, lambda job: order.append(job.id) or "made/x") for _ in range(2)]
    assert running.at_step.acquire(timeout=10)
    assert [job.state for job in jobs.listing()] == ["running", "waiting", "waiting"]
    running.step.release(5)
    assert [settled(job) for job in (first, *others)] == ["done"] * 3
    assert order == [job.id for job in others]
    assert first.volume == "made/it"
    assert first.stages == {"steps": (4, 5)}


def test_two_beyond_the_queue_are_refused(jobs):
    running = Steps()
    add(jobs, running)
    assert running.at_step.acquire(timeout=10)
    waiting = [add(jobs, running) for _ in range(2)]
    for _ in range(2):
        with pytest.raises(FullError, match="one job runs and 2 wait"):
            add(jobs, running)
    assert len(jobs.listing()) == 3
    jobs.cancel(waiting[0])  # makes room
    add(jobs, lambda job: "made/x")
    jobs.close()
    running.step.release(5)


def test_a_running_job_ends_within_its_step(jobs):
    running = Steps()
    job = add(jobs, running)
    assert running.at_step.acquire(timeout=10)
    jobs.cancel(job)
    assert job.state == "running"  # it is in its step
    running.step.release()
    assert settled(job) == "cancelled"
    assert running.done == 1


def test_a_waiting_job_never_begins(jobs):
    running, begun = Steps(), []
    first = add(jobs, running)
    assert running.at_step.acquire(timeout=10)
    second = add(jobs, lambda job: begun.append(1) or "made/x")
    jobs.cancel(second)
    assert second.state == "cancelled"
    running.step.release(5)
    assert settled(first) == "done"
    assert settled(add(jobs, lambda job: "made/y")) == "done"
    assert not begun


def test_a_job_that_fails_says_so_and_the_next_one_runs(jobs, capfd):
    def refuse(_job):
        raise InputError("a.nii: is no CT")

    def break_off(_job):
        raise ZeroDivisionError("inside")

    bad, broken = add(jobs, refuse), add(jobs, break_off)
    assert settled(bad) == settled(broken) == "failed"
    assert bad.error == "a.nii: is no CT"
    assert broken.error == "It broke off (ZeroDivisionError); the terminal says more."
    assert "ZeroDivisionError: inside" in capfd.readouterr().err
    assert settled(add(jobs, lambda job: "made/x")) == "done"


def test_old_jobs_are_forgotten(jobs):
    for _ in range(MAX_KEPT + 10):
        assert settled(add(jobs, lambda job: "made/x")) == "done"
    assert len(jobs.listing()) == MAX_KEPT + 1


def test_the_remaining_time_is_what_was_expected_and_then_what_the_pace_says(jobs):
    steps = Steps()
    job = Job("generate", "a report", {}, steps, lambda: {"steps": 500.0, "later": 500.0})
    assert job.described()["left"] is None  # it waits
    jobs.submit(job)
    assert steps.at_step.acquire(timeout=10)
    assert job.described()["left"] == "17 min"  # 1000 s
    job.started -= 300
    assert job.described()["left"] == "17 min"  # nothing is done yet
    steps.step.release()
    assert steps.at_step.acquire(timeout=10)
    assert job.described()["left"] == "45 min"  # a tenth took 300 s
    steps.step.release(4)
    assert settled(job) == "done"
    assert job.described()["left"] is None


def test_a_job_without_an_expectation_promises_nothing(jobs):
    steps = Steps()
    job = add(jobs, steps)
    assert steps.at_step.acquire(timeout=10)
    assert job.described()["left"] is None
    steps.step.release(5)
    assert settled(job) == "done"


def test_a_job_can_be_described_while_it_begins_another_stage():
    job = Job("generate", "a report", {}, lambda job: "")
    ended = threading.Event()

    def begin() -> None:
        while not ended.is_set():
            job.stages.clear()
            for number in range(20):
                job.progress(str(number), 0, 1)

    thread, interval = threading.Thread(target=begin), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for _ in range(20_000):
            job.described()
    finally:
        ended.set()
        thread.join()
        sys.setswitchinterval(interval)


def test_a_full_disk_is_named_and_no_trace_is_left(jobs, capfd):
    def fill(_job):
        raise OSError(errno.ENOSPC, "No space left on device", "out/x.nii.gz")

    job = add(jobs, fill)
    assert settled(job) == "failed"
    assert job.error.startswith("out/x.nii.gz: No space left on device; ")
    assert "Traceback" not in capfd.readouterr().err
