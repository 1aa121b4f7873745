"""The embedded AWS: one process on 127.0.0.1 that laptops and tests use in place of the cloud."""
