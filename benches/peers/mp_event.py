"""multiprocessing.Event as a peer of the broadcast benchmark.

Usage: mp_event.py N. Says "ready"; answers each line "go" with the nanoseconds from the
set to the last of N resident processes that saw it. Ends with its input.
"""

import multiprocessing
import os
import sys
import time


def is_asleep(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "S"


def stay(index, events, stamps, arrived, parent):
    turn = 0
    while os.getppid() == parent:
        with arrived.get_lock():
            arrived.value += 1
        while not events[turn].wait(5):
            if os.getppid() != parent:
                return
        stamps[index] = time.monotonic_ns()
        turn = 1 - turn


def main():
    count = int(sys.argv[1])
    context = multiprocessing.get_context("fork")
    # Two in turn: one is cleared while all wait for the other.
    events = [context.Event(), context.Event()]
    stamps = context.Array("Q", count, lock=False)
    arrived = context.Value("Q", 0)
    parent = os.getpid()
    processes = [
        context.Process(target=stay, args=(index, events, stamps, arrived, parent), daemon=True)
        for index in range(count)
    ]
    for process in processes:
        process.start()
    print("ready", flush=True)
    rounds = 0
    while sys.stdin.readline():
        rounds += 1
        while arrived.value < rounds * count:
            time.sleep(0.0002)
        while not all(is_asleep(process.pid) for process in processes):
            time.sleep(0.0002)
        event = events[(rounds - 1) % 2]
        for index in range(count):
            stamps[index] = 0
        began = time.monotonic_ns()
        event.set()
        while not all(stamps):
            time.sleep(0.0002)
        last = max(stamps)
        event.clear()
        print(last - began, flush=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


main()
