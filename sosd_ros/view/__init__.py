"""The live view: what a running node answers, in a browser, by rerun's web viewer."""

import importlib.util


def check_installed() -> None:
    """Refuse to go on without rerun.

    Raises:
        ValueError: that says how to get it.
    """
    if importlib.util.find_spec("rerun") is None:
        raise ValueError(
            "the live view needs rerun-sdk, which is not installed: install the extra 'view', "
            "which wants Python 3.11 and NumPy 2; the view may run on another machine than the "
            "node (docs/view.md)"
        )
