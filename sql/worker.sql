-- What the worker does, as far as SQL can see it without a cache to ask: errors of triggers reach the log, the test
-- message goes the whole way, the views tell the state of a cache that is away. Needs the library preloaded.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all
CREATE SCHEMA app;
SET search_path = app, public;

-- The views: a cache that is away, and what is owed to it
SELECT worker_pid IS NOT NULL AS has_worker, worker_started <= now() AS has_started, worker_starts > 0 AS was_started, since <= now() AS counts,
       batches > 0 AS has_batches, keys > 0 AS has_keys, journal_scans > 0 AS has_scanned, ring_bytes > 0 AS has_ring
  FROM cache_invalidation_stats;
SELECT journal.wait_until('(SELECT state = ''down'' FROM cache_invalidation_targets)');
SELECT server, state, state_since <= now() AS since, problem, cure, keys_pending, reads_journal, keys_deleted, commands, connections, failures > 0 AS has_failed, last_acknowledged
  FROM cache_invalidation_targets;
CREATE TABLE tasks (id integer PRIMARY KEY, project_id integer);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}', 'key=list:{project_id}');
INSERT INTO tasks SELECT i, 1 FROM generate_series(1, 9) i;
UPDATE tasks SET project_id = 2;
BEGIN;
INSERT INTO tasks VALUES (100, 100);
ROLLBACK;
SELECT journal.wait_until('(SELECT keys_pending >= 12 FROM cache_invalidation_targets)');
SELECT keys_pending FROM cache_invalidation_targets;

-- Servers are taken up and dropped, switched off and on, renamed, while the worker runs
ALTER SERVER cache OPTIONS (ADD enabled 'false');
SELECT journal.wait_until('(SELECT state = ''disabled'' FROM cache_invalidation_targets)');
SELECT server, state, problem FROM cache_invalidation_targets;
ALTER SERVER cache OPTIONS (SET enabled 'true');
SELECT journal.wait_until('(SELECT state = ''down'' FROM cache_invalidation_targets)');
CREATE SERVER second FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'unix:///nonexistent/second.sock');
SELECT journal.wait_until('EXISTS (SELECT FROM cache_invalidation_targets WHERE server = ''second'' AND state = ''down'')');
BEGIN;
DROP SERVER second;
ROLLBACK;
ALTER SERVER second RENAME TO third;
SELECT server, problem FROM cache_invalidation_targets WHERE server <> 'cache';
DROP SERVER third;
SELECT journal.wait_until('(SELECT count(*) = 1 FROM cache_invalidation_targets)');

-- test_cache_invalidation(): what is wrong is said in the answer
CREATE TABLE plain (id integer);
SELECT test_cache_invalidation('nowhere');
SELECT test_cache_invalidation('not " a name');
SELECT test_cache_invalidation('');
SELECT test_cache_invalidation(NULL) IS NULL;
SELECT test_cache_invalidation('app.plain', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
ALTER TABLE tasks DISABLE TRIGGER cache;
SELECT test_cache_invalidation('tasks');
ALTER TABLE tasks ENABLE TRIGGER cache;
-- the table's owner may use no server: NOTIFY only
CREATE ROLE regress_cache_owner;
ALTER TABLE tasks OWNER TO regress_cache_owner;
CREATE FUNCTION without_times(answer json) RETURNS text LANGUAGE sql AS
  $$ SELECT regexp_replace(answer::text, '"milliseconds":[0-9.]+', '"milliseconds":n', 'g') $$;
SELECT without_times(test_cache_invalidation('app.tasks', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'));
SELECT without_times(test_cache_invalidation('"tasks"'));
BEGIN;
SELECT without_times(test_cache_invalidation('tasks'));
ROLLBACK;

-- trigger_error_log: written after the commit, and not for what was rolled back
SET session_replication_role = replica;
ALTER TABLE tasks RENAME COLUMN project_id TO project;
RESET session_replication_role;
BEGIN;
DELETE FROM tasks WHERE id = 1;
ROLLBACK;
INSERT INTO tasks VALUES (20, 1), (21, 1);
SELECT journal.wait_until('EXISTS (SELECT FROM trigger_error_log)');
SELECT table_name, operation, error_message, error_context, occurred_at <= now() AS is_past FROM trigger_error_log;
SELECT table_name, is_enabled, recent_errors FROM get_cache_trigger_health() WHERE schema_name = 'app';

SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
DROP ROLE regress_cache_owner;
