"""Checks of what people have written: settings, pipeline file, model specs, training stacks."""

from __future__ import annotations

from vigil.detection.pipeline import Pipeline, TableOptions, load_pipeline
from vigil.paths import configs_dir
from vigil.setup.findings import Look, failing, fine, not_applicable, tell_apart
from vigil.setup.ground import Ground
from vigil.stacks.template import ground_of
from vigil.training.spec.model import ModelSpec, known_models, load_model_spec


def settings(ground: Ground) -> Look:
    """Look whether the settings can be read, and fit together."""
    return fine(f"environment {ground.settings.environment}, bucket {ground.settings.bucket}")


def pipeline_file(ground: Ground) -> Look:
    """Look whether the pipeline file can be read, and its model has a spec."""
    pipeline = pipeline_of(ground)
    if pipeline.model not in known_models():
        return failing(
            f"it names the model {pipeline.model}, which has no spec in {configs_dir() / 'models'}",
            f"write {pipeline.model}.yaml there, or name one of {', '.join(known_models())}",
        )
    names = ", ".join(source.name for source in pipeline.sources)
    return fine(f"{ground.settings.pipeline_file}: model {pipeline.model}, sources {names}")


def source_databases(ground: Ground) -> Look:
    """Look whether the databases that tables are read from let the pipeline in."""
    conn_ids = {
        source.connection for source in pipeline_of(ground).sources if isinstance(source, TableOptions)
    }
    looks = {}
    for conn_id in sorted(conn_ids):
        ground.connection(conn_id).connect().close()
        looks[conn_id] = fine("can be logged in to")
    return tell_apart(looks, "no source is a table")


def model_specs(ground: Ground) -> Look:
    """Look whether every model spec can be read."""
    return fine(", ".join(spec.name for spec in specs()))


def images(ground: Ground) -> Look:
    """Look whether every model spec's images are known in the region."""
    uris = [image.uri(ground.region) for spec in specs() for image in (spec.algorithm, spec.evaluation)]
    return fine(f"{len(set(uris))} in {ground.region}")


def training_stacks(ground: Ground) -> Look:
    """Look whether everything is set that training stacks need, or nothing."""
    given = ground.settings
    if given.training_stack_role_arn is given.schedule_role_arn is given.instance_boundary_arn is None:
        return not_applicable(
            "none of their settings is set", "deploy/training-stacks.yaml has them, should they be wanted"
        )
    return fine(f"schedules in the group {ground_of(given, ground.region).schedule_group}")


def pipeline_of(ground: Ground) -> Pipeline:
    """Return what the pipeline file says."""
    return load_pipeline(ground.settings.pipeline_file)


def specs() -> list[ModelSpec]:
    """Return every model spec."""
    return [load_model_spec(name) for name in known_models()]
