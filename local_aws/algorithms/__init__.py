"""What stands in for container images: one module each, named in registry.py."""
