"""Commands that put an installation to the test: the middleware, and the node over hours."""
