"""One file a resource of the API; each has a `routes`."""
