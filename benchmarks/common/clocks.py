"""Clocks: of one call, and of several jobs that take turns."""

import time

import numpy as np


def timed(job, clock=time.process_time):
    """Result of a job and its seconds, by default of the processor.

    Processor time does not depend on the load of the machine.
    """
    start = clock()
    found = job()
    return found, clock() - start


def take_turns(jobs, n_turns):
    """Seconds of each job by the wall clock, an array over turns.

    The jobs of a turn meet the same state of the machine.
    """
    wall = time.perf_counter
    seconds = [[timed(job, wall)[1] for job in jobs.values()] for _ in range(n_turns)]
    return dict(zip(jobs, np.array(seconds).T, strict=True))
