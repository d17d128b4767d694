"""The real node, whose engine fails in the way that an image's first pixel asks for."""

import threading

import torch

from sosd_ros.engine import TorchEngine
from sosd_ros.node import main

OUT_OF_MEMORY_ONCE = (255, 0, 1)
FAILS = (255, 0, 2)
HANGS = (255, 0, 3)

answer = TorchEngine.__call__
failed_once = False


def answer_or_fail(engine, images, focals, answers):
    global failed_once
    fault = tuple(images[0, 0, 0].tolist())
    if fault == OUT_OF_MEMORY_ONCE and not failed_once:
        failed_once = True
        raise torch.cuda.OutOfMemoryError("injected: out of memory")
    if fault == FAILS:
        raise RuntimeError("injected: unspecified launch failure")
    if fault == HANGS:
        threading.Event().wait()
    return answer(engine, images, focals, answers)


if __name__ == "__main__":
    TorchEngine.__call__ = answer_or_fail
    main()
