"""The node and what it stands on: here, and in the tools, ROS is imported, and nowhere else."""
