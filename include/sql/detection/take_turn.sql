-- Wait until nobody else does a piece of work, and keep others waiting until the transaction ends.
-- parameters: work
INSERT INTO turns (work) VALUES (%(work)s) ON DUPLICATE KEY UPDATE work = VALUES(work)
