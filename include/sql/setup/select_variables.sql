-- Read how the session is; of the two isolations a server has one or both, and only Aurora has its version.
-- columns: name, value
SHOW SESSION VARIABLES WHERE Variable_name IN (
  'aurora_version', 'max_allowed_packet', 'sql_mode', 'time_zone', 'transaction_isolation', 'tx_isolation'
)
