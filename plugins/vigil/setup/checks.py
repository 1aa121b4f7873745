"""Every check, in the order in which things are mended."""

from __future__ import annotations

from vigil.setup import account, configuration, databases, messaging, models, mwaa, storage
from vigil.setup.findings import Check

CHECKS = (
    Check("settings", configuration.settings),
    Check("pipeline file", configuration.pipeline_file, ("settings",)),
    Check("model specs", configuration.model_specs),
    Check("database connection", databases.connection, ("settings",)),
    Check("database", databases.server, ("database connection",)),
    Check("database session", databases.session, ("database",)),
    Check("database encryption", databases.encryption, ("database",)),
    Check("database grants", databases.grants, ("database",)),
    Check("database migrations", databases.migrations, ("database",)),
    Check("database packets", databases.packets, ("database",)),
    Check("database clock", databases.clock, ("database",)),
    Check("databases of sources", configuration.source_databases, ("pipeline file",)),
    Check("AWS", account.answers, ("settings",)),
    Check("AWS clock", account.clock, ("AWS",)),
    Check("AWS caller", account.caller, ("AWS",)),
    Check("bucket", storage.bucket, ("AWS",)),
    Check("bucket versions", storage.versions, ("bucket",)),
    Check("bucket encryption", storage.encryption, ("bucket",)),
    Check("bucket privacy", storage.privacy, ("bucket",)),
    Check("bucket writing", storage.writing, ("bucket",)),
    Check("alert topic", messaging.alert_topic, ("AWS",)),
    Check("alert subscribers", messaging.alert_subscribers, ("alert topic",)),
    Check("operations topic", messaging.operations_topic, ("AWS",)),
    Check("operations subscribers", messaging.operations_subscribers, ("operations topic",)),
    Check("operations publishers", messaging.operations_publishers, ("operations topic",)),
    Check("image pushes", messaging.image_pushes, ("AWS",)),
    Check("dead letters", messaging.dead_letters, ("AWS",)),
    Check("queues of sources", messaging.source_queues, ("AWS", "pipeline file")),
    Check("roles", account.roles, ("AWS",)),
    Check("permissions", account.permissions, ("AWS", "pipeline file")),
    Check("images", configuration.images, ("AWS", "model specs")),
    Check("model registry", models.registry, ("AWS", "pipeline file")),
    Check("endpoints", models.endpoints, ("AWS", "model specs")),
    Check("training stacks", configuration.training_stacks, ("AWS",)),
    Check("Amazon MWAA", mwaa.environment, ("AWS",)),
)
