"""Answer a folder, a video or an image, without ROS."""
