"""The real node, whose engine fails in the way that an image's first pixel asks for."""

import signal
import sys
import threading

import torch

from sosd_ros.engine import Engine
from sosd_ros.ros.node import main

OUT_OF_MEMORY_ONCE = (255, 0, 1)
FAILS = (255, 0, 2)
HANGS = (255, 0, 3)
FREE_FAILS = (255, 0, 4)  # as of a CUDA context that is broken
HANGS_THEN_FAILS = (255, 0, 5)  # on SIGUSR1

answer, free = Engine.__call__, Engine.free
failed_once = context_is_broken = False
let_go = threading.Event()


def answer_or_fail(engine, images, *others):
    global failed_once, context_is_broken
    print(f"batch of {len(images)}", file=sys.stderr, flush=True)
    fault = tuple(images[0, 0, 0].tolist())
    if fault == OUT_OF_MEMORY_ONCE and not failed_once:
        failed_once = True
        raise torch.cuda.OutOfMemoryError("injected: out of memory")
    if fault == FAILS:
        raise RuntimeError("injected: unspecified launch failure")
    if fault == HANGS:
        threading.Event().wait()
    if fault == HANGS_THEN_FAILS:
        let_go.wait()
        raise RuntimeError("injected: failed at last")
    if fault == FREE_FAILS:
        context_is_broken = True
        raise RuntimeError("injected: unspecified launch failure")
    return answer(engine, images, *others)


def free_or_fail(engine):
    if context_is_broken:
        raise RuntimeError("injected: illegal memory access")
    free(engine)


if __name__ == "__main__":
    Engine.__call__ = answer_or_fail
    Engine.free = free_or_fail
    signal.signal(signal.SIGUSR1, lambda *_: let_go.set())
    main()
