"""Keys of the object storage these tests start."""

KEYS = {"access_key": "SANDBOX01", "secret_key": "hush-hush-hush"}
