"""CloudWatch's alarms: what moto keeps of them is evaluated, and changes of state are told.

Evaluated are alarms on one metric with a plain statistic and a fixed threshold, once a minute and when points
or alarms are put. Composite alarms and those on expressions, Metrics Insights queries, percentiles or anomaly
detection keep the state that SetAlarmState gives them. Of AWS's own metrics there are those of queues alone:
how many messages they hold, and how old the oldest is. Actions are topics of SNS; others are refused.
"""
