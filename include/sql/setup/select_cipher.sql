-- Read what the connection is encrypted with.
-- columns: name, cipher (empty for none)
SHOW SESSION STATUS LIKE 'Ssl_cipher'
