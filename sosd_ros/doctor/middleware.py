"""What carries large messages: DDS and its settings, shared memory, the kernel."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlparse

from .finding import Finding

SHM, RMEM_MAX = Path("/dev/shm"), Path("/proc/sys/net/core/rmem_max")
SEGMENT = 64 * 2**20  # bytes: the profile's, one a process
PROCESSES = 4  # camera, node, and two that listen
RMEM = 32 * 2**20  # bytes: what the profile for Cyclone DDS asks for
PAGE = "docs/middleware.md"
# The settings of each middleware: the variable and the file of ours.
PROFILES = {
    "rmw_fastrtps_cpp": ("", "fastdds.xml"),  # the variable depends on the generation
    "rmw_cyclonedds_cpp": ("CYCLONEDDS_URI", "cyclonedds.xml"),
    "rmw_zenoh_cpp": ("ZENOH_SESSION_CONFIG_URI", "zenoh.json5"),
}


def findings(
    environ: Mapping[str, str], implementation: str, fastdds_variable: str, config: Path
) -> Iterator[Finding]:
    """Of a shell from which nodes are started.

    Args:
        environ: its variables.
        implementation: the RMW that rclpy uses.
        fastdds_variable: that names Fast DDS' profile in this generation of ROS 2.
        config: the folder of our profiles.
    """
    yield from profile(environ, implementation, fastdds_variable, config)
    yield from discovery(environ)
    if "fastrtps" in implementation:
        yield shared_memory(shutil.disk_usage(SHM).total, shutil.disk_usage(SHM).free)
    if "cyclonedds" in implementation:
        yield receive_buffer(int(RMEM_MAX.read_text()))


def profile(
    environ: Mapping[str, str], implementation: str, fastdds_variable: str, config: Path
) -> Iterator[Finding]:
    """Whether the middleware is told to make room for images and clouds."""
    yield Finding("middleware", "ok", implementation)
    if implementation not in PROFILES:
        yield Finding("profile", "look", f"none of ours is for {implementation}", f"see {PAGE}")
        return
    variable, name = PROFILES[implementation]
    variable = variable or fastdds_variable
    ours, value = config / name, environ.get(variable, "")
    if not value:
        yield Finding(
            "profile",
            "look",
            f"{variable} is not set, so large images and clouds get lost between processes",
            f"export {variable}={ours} for the camera's driver and for all that subscribes; "
            "the launch file sets it for the node alone",
        )
    elif not value.lstrip().startswith("<") and not Path(urlparse(value).path).is_file():
        yield Finding(
            "profile", "broken", f"{variable} is {value}, which does not exist", f"use {ours}"
        )
    else:
        yield Finding("profile", "ok", f"{variable} is {value}")


def discovery(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Who can hear whom."""
    domain = environ.get("ROS_DOMAIN_ID", "0")
    said = [f"ROS_DOMAIN_ID {domain}"]
    for name in ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS"):
        if name in environ:
            said.append(f"{name} {environ[name]}")
    text = ", ".join(said)
    if environ.get("ROS_LOCALHOST_ONLY") == "1" and "ROS_AUTOMATIC_DISCOVERY_RANGE" in environ:
        cure = "unset ROS_LOCALHOST_ONLY, which is the older of the two and overrides the other"
        yield Finding("discovery", "look", text, cure)
    elif environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper() == "OFF":
        cure = "set ROS_AUTOMATIC_DISCOVERY_RANGE to LOCALHOST or SUBNET"
        yield Finding("discovery", "broken", f"{text}: no node finds another", cure)
    else:
        yield Finding("discovery", "ok", text)


def shared_memory(total: int, free: int) -> Finding:
    """Whether /dev/shm holds a segment of each process.

    Args:
        total, free: bytes.
    """
    what = f"{SHM} has {free / 2**20:.0f} of {total / 2**20:.0f} MiB free"
    if total < PROCESSES * SEGMENT:
        cure = f"in a container, --shm-size=2g or --ipc=host; see {PAGE}"
        return Finding("shared memory", "broken" if total < SEGMENT else "look", what, cure)
    if free < PROCESSES * SEGMENT:
        cure = f"remove what ended processes left: rm {SHM}/fastdds_* while no node runs"
        return Finding("shared memory", "look", what, cure)
    return Finding("shared memory", "ok", what)


def receive_buffer(most: int) -> Finding:
    """Whether the kernel grants sockets room for a message, which Cyclone DDS needs.

    Args:
        most: bytes.
    """
    what = f"net.core.rmem_max is {most / 2**20:.1f} MiB"
    if most < RMEM:
        cure = f"set it to {RMEM} in /etc/sysctl.d/60-ros.conf; see {PAGE}"
        return Finding("kernel", "look", what, cure)
    return Finding("kernel", "ok", what)
