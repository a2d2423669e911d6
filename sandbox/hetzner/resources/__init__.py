"""The API's resources: a file here with `routes` is part of the API."""
