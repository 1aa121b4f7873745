"""Operators of the detection domain."""
from airflow.sdk import BaseOperator
class DetectAnomaliesOperator(BaseOperator):
    def execute(self, context): return None
class JudgePeriodOperator(BaseOperator):
    def execute(self, context): return None
