"""The real node, which records what its Python code asks of the machine after its imports.

The first argument is the file of the record: one JSON list an event, its name and its arguments.
"""

import json
import os
import sys

from sosd_ros.ros.node import main

RECORDED = ("open", "os.", "shutil.", "socket.", "subprocess.", "tempfile.", "pickle.", "urllib.")


def record_events(file):
    def record(event, arguments):
        if event.startswith(RECORDED):
            os.write(file, (json.dumps([event, *map(str, arguments)]) + "\n").encode())

    sys.addaudithook(record)


if __name__ == "__main__":
    record_events(os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT))
    main()
