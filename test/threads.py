"""What tests of threads share: work that goes on when the test says so."""

import threading

FOREVER = 3600.0  # seconds: a wait of that length would be seen


class Handler:
    """Handles items only when it is let."""

    def __init__(self):
        self.handled = []
        self.started, self.let = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, item):
        self.started.release()
        self.let.acquire()
        self.handled.append(item)
