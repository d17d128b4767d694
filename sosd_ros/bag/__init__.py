"""Answer the images of a recording, without ROS."""
