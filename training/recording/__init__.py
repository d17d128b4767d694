"""From a recording of a robot to a data set: images, depth where a sensor saw it, one camera."""
