"""How fast everything is on this machine, and against what: ``python -m sosd_ros.benchmark``."""
