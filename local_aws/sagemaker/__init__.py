"""SageMaker, answered from botocore's own service model, with jobs and endpoints in real processes."""
