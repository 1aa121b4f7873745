"""The model spec: what to train, on what, how good it must be, and where it serves.

One YAML file a model in `include/configs/models/`, named like the model. Each part has a module of its own.
"""
