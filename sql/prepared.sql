-- Two-phase commit: what a prepared transaction changed waits in the journal until COMMIT PREPARED, in whatever
-- session; ROLLBACK PREPARED leaves nothing. The server needs max_prepared_transactions; without it, the other
-- expected file ends here.
\set ECHO none
SELECT current_setting('max_prepared_transactions') = '0' AS cannot_prepare \gset
\if :cannot_prepare
\echo max_prepared_transactions is 0
\quit
\endif
\i sql/include/journal.sql
\set ECHO all
CREATE SCHEMA app;
SET search_path = app, public;
CREATE TABLE t (id integer PRIMARY KEY, value integer);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=t:{id}', 'fields=value');
INSERT INTO t VALUES (1, 0), (2, 0);
SELECT count(*) FROM journal.waiting();

-- Nothing before COMMIT PREPARED
BEGIN;
UPDATE t SET value = 1 WHERE id = 1;
SAVEPOINT a;
UPDATE t SET value = 1 WHERE id = 2;
ROLLBACK TO a;
INSERT INTO t VALUES (3, 1);
PREPARE TRANSACTION 'regress_cache_one';
SELECT * FROM journal.waiting();
-- the session goes on with a clean slate
INSERT INTO t VALUES (4, 1);
SELECT * FROM journal.waiting();
COMMIT PREPARED 'regress_cache_one';
SELECT * FROM journal.waiting();

-- ROLLBACK PREPARED, PREPARE of an aborted transaction
BEGIN;
INSERT INTO t VALUES (5, 1);
PREPARE TRANSACTION 'regress_cache_two';
ROLLBACK PREPARED 'regress_cache_two';
BEGIN;
INSERT INTO t VALUES (5, 1);
SELECT 1 / 0;
PREPARE TRANSACTION 'regress_cache_two';
SELECT * FROM journal.waiting();

-- Two at a time, ended in the other order, by a session that has never captured anything
BEGIN;
INSERT INTO t VALUES (6, 1);
PREPARE TRANSACTION 'regress_cache_three';
BEGIN;
INSERT INTO t VALUES (7, 1);
PREPARE TRANSACTION 'regress_cache_four';
\c -
\pset format unaligned
\pset footer off
SET search_path = app, public;
COMMIT PREPARED 'regress_cache_four';
SELECT * FROM journal.waiting();
COMMIT PREPARED 'regress_cache_three';
SELECT * FROM journal.waiting();

-- More than fits its memory
SET cache_invalidate.max_change_set_memory = '64kB';
BEGIN;
INSERT INTO t SELECT i, 0 FROM generate_series(1001, 4000) i;
PREPARE TRANSACTION 'regress_cache_five';
SELECT count(*) FROM journal.waiting();
COMMIT PREPARED 'regress_cache_five';
SELECT count(DISTINCT item) FROM journal.waiting();
BEGIN;
INSERT INTO t SELECT i, 0 FROM generate_series(5001, 8000) i;
PREPARE TRANSACTION 'regress_cache_six';
ROLLBACK PREPARED 'regress_cache_six';
SELECT count(*) FROM journal.waiting();

-- One that has captured nothing is nobody's business
BEGIN;
CREATE TABLE other (id integer);
INSERT INTO other VALUES (1);
PREPARE TRANSACTION 'regress_cache_seven';
COMMIT PREPARED 'regress_cache_seven';
SELECT count(*) FROM journal.waiting();

SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
