"""The node and its parts: only this package and the tools import ROS."""
