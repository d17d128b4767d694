"""The tape measure: what a running node answers at one pixel, and what makes its metres right."""
