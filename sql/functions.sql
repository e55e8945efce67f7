-- What a DBA calls and looks at: get_cache_trigger_health(), cleanup_trigger_error_log(), trigger_error_log, the
-- views, and who may.
\pset footer off
\pset format unaligned
SET client_min_messages = error;
CREATE EXTENSION cache_invalidate;
RESET client_min_messages;
CREATE SCHEMA app;
CREATE SCHEMA other;
SET search_path = app, public;

-- get_cache_trigger_health(): a row for each trigger of ours, and for no other
SELECT * FROM get_cache_trigger_health();
CREATE TABLE tasks (id integer PRIMARY KEY);
CREATE TABLE other.tasks (id integer PRIMARY KEY);
CREATE TABLE events (id integer) PARTITION BY LIST (id);
CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1);
CREATE FUNCTION elsewhere() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER origin AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}');
CREATE TRIGGER off AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=off:{id}');
CREATE TRIGGER "Always" AFTER INSERT ON other.tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation();
CREATE TRIGGER replica AFTER INSERT ON other.tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation();
CREATE TRIGGER partitioned AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation();
CREATE TRIGGER not_ours AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION elsewhere();
ALTER TABLE tasks DISABLE TRIGGER off;
ALTER TABLE other.tasks ENABLE ALWAYS TRIGGER "Always";
ALTER TABLE other.tasks ENABLE REPLICA TRIGGER replica;
SELECT table_name, trigger_name, is_enabled, recent_errors, schema_name, resource, keys, firing, last_fired, last_error, problem, cure, definition
  FROM get_cache_trigger_health();

-- recent_errors: of this trigger of this table in its schema, of the last 24 hours. In one transaction, lest the worker tidies.
BEGIN;
INSERT INTO trigger_error_log (table_name, operation, error_message, error_context, occurred_at) VALUES
  ('tasks', 'INSERT', 'now', 'trigger "origin" of table app.tasks', now()),
  ('tasks', 'INSERT', 'a while ago', 'trigger "origin" of table app.tasks', now() - interval '23 hours'),
  ('tasks', 'INSERT', 'yesterday', 'trigger "origin" of table app.tasks', now() - interval '25 hours'),
  ('tasks', 'INSERT', 'the other', 'trigger "Always" of table other.tasks', now()),
  ('events', 'INSERT', 'last week', 'trigger "partitioned" of table app.events', now() - interval '6 days 23 hours'),
  ('events', 'INSERT', 'older', 'trigger "partitioned" of table app.events', now() - interval '7 days 1 hour'),
  ('events', 'INSERT', 'old', 'trigger "partitioned" of table app.events', now() - interval '1 year');
UPDATE trigger_error_log SET last_occurred_at = occurred_at;
SELECT schema_name, table_name, trigger_name, recent_errors, last_error FROM get_cache_trigger_health();

-- cleanup_trigger_error_log(): seven days unless told
SELECT cleanup_trigger_error_log(NULL) IS NULL;
SELECT cleanup_trigger_error_log(365000);
SELECT cleanup_trigger_error_log(30);
SELECT cleanup_trigger_error_log();
SELECT error_message FROM trigger_error_log ORDER BY id;
SELECT cleanup_trigger_error_log(days_to_keep => 1);
SELECT error_message FROM trigger_error_log ORDER BY id;
COMMIT;
SELECT cleanup_trigger_error_log(-1);
\echo :LAST_ERROR_SQLSTATE
BEGIN;
SELECT cleanup_trigger_error_log(0);
SELECT count(*) FROM trigger_error_log WHERE occurred_at < now();
ROLLBACK;
SELECT count(*) FROM trigger_error_log;

-- A role without any privilege reaches nothing; pg_monitor reads the views, and nothing else
CREATE ROLE regress_cache_plain;
CREATE ROLE regress_cache_monitor IN ROLE pg_monitor;
GRANT USAGE ON SCHEMA app TO regress_cache_plain, regress_cache_monitor;
CREATE FUNCTION may(role text) RETURNS TABLE (what text, may text) LANGUAGE sql AS $$
  SELECT relname::text, array_to_string(ARRAY(SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p
                                              WHERE has_table_privilege(role, c.oid, p)), ',')
    FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relname ~ '^cache_invalid|^trigger_error' AND relkind IN ('r', 'v')
  UNION ALL
  SELECT proname::text, CASE WHEN has_function_privilege(role, p.oid, 'EXECUTE') THEN 'EXECUTE' ELSE '' END
    FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'cache_invalidate'
$$;
SELECT * FROM may('regress_cache_plain') WHERE may <> '' ORDER BY what COLLATE "C";
SELECT * FROM may('regress_cache_monitor') WHERE may <> '' ORDER BY what COLLATE "C";
SET ROLE regress_cache_plain;
SELECT * FROM get_cache_trigger_health();
SELECT * FROM cache_invalidation_triggers;
SELECT * FROM cache_invalidation_coverage;
SELECT reset_cache_invalidation_stats();
SELECT cleanup_trigger_error_log();
SELECT test_cache_invalidation('tasks');
SELECT * FROM cache_invalidation_stats;
SELECT * FROM cache_invalidation_targets;
SELECT * FROM trigger_error_log;
SET ROLE regress_cache_monitor;
SELECT count(*) FROM cache_invalidation_stats;
SELECT count(*) FROM cache_invalidation_targets;
SELECT count(*) FROM cache_invalidation_triggers;
SELECT count(*) >= 0 AS may FROM cache_invalidation_coverage;
SELECT count(*) FROM get_cache_trigger_health();
SELECT reset_cache_invalidation_stats();
RESET ROLE;
-- unless it is given to them: the log can be cleaned by who may not write to it
GRANT EXECUTE ON FUNCTION cleanup_trigger_error_log(integer) TO regress_cache_plain;
GRANT EXECUTE ON FUNCTION get_cache_trigger_health() TO regress_cache_plain;
SET ROLE regress_cache_plain;
SELECT cleanup_trigger_error_log(0) > 0 AS cleaned;
\set VERBOSITY terse
SELECT table_name FROM get_cache_trigger_health();
\set VERBOSITY default
DELETE FROM trigger_error_log;
RESET ROLE;
GRANT SELECT ON trigger_error_log, cache_invalidation_triggers TO regress_cache_plain;
GRANT EXECUTE ON FUNCTION cache_invalidate_rules(), cache_invalidate_trigger_definition(oid) TO regress_cache_plain;
SET ROLE regress_cache_plain;
SELECT table_name FROM get_cache_trigger_health();
RESET ROLE;

-- Settings: limits are checked, and only the server's owner changes what is the server's
SELECT name, setting, unit, context FROM pg_settings WHERE name LIKE 'cache_invalidate.%' ORDER BY name COLLATE "C";
\set VERBOSITY sqlstate
SET cache_invalidate.max_change_set_memory = '1kB';
\set VERBOSITY default
SET cache_invalidate.notify_channel = 'x';

SET client_min_messages = warning;
DROP SCHEMA app, other CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
DROP ROLE regress_cache_plain, regress_cache_monitor;
