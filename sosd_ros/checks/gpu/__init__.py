"""All that is to be known of a GPU, in one call: ``python -m sosd_ros.checks.gpu``."""
