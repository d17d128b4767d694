"""A camera, and the node as a process of its own: what demo, benchmark, checks and tests share."""
