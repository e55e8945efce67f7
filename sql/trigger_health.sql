-- cache_invalidation_triggers and get_cache_trigger_health(): the arguments as SQL sees them, and what is wrong with a rule.
\set VERBOSITY terse
\pset footer off
\pset format unaligned
SET client_min_messages = error;
CREATE EXTENSION cache_invalidate;
CREATE ROLE regress_cache_owner;
CREATE ROLE "Regress Cache Owner";
CREATE SCHEMA app;
SET search_path = app, public;
CREATE TABLE projects (id integer PRIMARY KEY, title text, owner text);
CREATE TABLE tasks (id integer PRIMARY KEY, project_id integer REFERENCES projects, title text, status text);
CREATE TABLE "odd ""Table" ("Id" integer PRIMARY KEY, a text, b text);
-- A mistake is to stay one: nobody checks these.
ALTER EVENT TRIGGER cache_invalidate_check_trigger DISABLE;

-- What was given, and what was not
CREATE TRIGGER nothing AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation();
CREATE TRIGGER "A ""Name" AFTER INSERT OR UPDATE OR DELETE ON "odd ""Table" FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation(
  'key=odd:{Id}', ' key =list:{a}', 'pattern=page:*:{b}', 'resource=odd', 'id={Id}', 'columns= a , b', 'fields=a,c=b', 'format=resource', 'channel=odd ones');
CREATE TRIGGER other AFTER UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation(
  'ignore=title', 'payload={"p": "{project_id.title}", "x": 1}', 'channel=');
CREATE TRIGGER later AFTER TRUNCATE ON tasks FOR EACH STATEMENT EXECUTE FUNCTION notify_cache_invalidation('key=tasks:{id}', 'unchanged=send');
SELECT table_name, trigger_name, firing, is_enabled, resource, keys, patterns, id, columns, ignored, fields, format, payload, channel, servers
  FROM cache_invalidation_triggers ORDER BY table_name COLLATE "C", trigger_name COLLATE "C";
CREATE VIEW problems AS SELECT trigger_name, problem, cure FROM cache_invalidation_triggers
  WHERE problem IS NOT NULL ORDER BY table_name COLLATE "C", trigger_name COLLATE "C";
SELECT * FROM problems;
DROP TRIGGER other ON tasks;
DROP TRIGGER "A ""Name" ON "odd ""Table";
DROP TRIGGER nothing ON tasks;
DROP TRIGGER later ON tasks;

-- Arguments that no longer parse
CREATE TRIGGER unknown AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('kye=task:{id}');
CREATE TRIGGER unclosed AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}', 'key=worse:{id');
CREATE TRIGGER "both" AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('columns=id', 'ignore=title', 'key=a:{id}');
SELECT * FROM problems;
-- what can be used of them is shown
SELECT trigger_name, keys, columns, ignored FROM cache_invalidation_triggers ORDER BY 1;
DROP TRIGGER unknown ON tasks;
DROP TRIGGER unclosed ON tasks;
DROP TRIGGER "both" ON tasks;

-- Columns and paths that are not there, or cannot be followed
CREATE TRIGGER c1 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{gone}');
CREATE TRIGGER c2 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('columns=id,gone');
CREATE TRIGGER c3 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('fields=x=gone');
CREATE TRIGGER c4 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('payload={"x": ["{gone}"]}');
CREATE TRIGGER c5 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('id={gone}');
CREATE TRIGGER c6 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('ignore=gone');
CREATE TRIGGER fine AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=p:{project_id.owner}:{title}');
CREATE TRIGGER p1 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=p:{project_id.gone}');
CREATE TRIGGER p2 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('pattern=p:{status.id}');
CREATE TRIGGER p3 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('fields=x=gone.id');
CREATE TRIGGER s1 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key={ctid}');
SELECT * FROM problems;
ALTER TABLE tasks ADD COLUMN gone integer;
SELECT * FROM problems;
DROP TABLE tasks;
CREATE TABLE tasks (id integer PRIMARY KEY, title text);

-- Firing
CREATE TRIGGER t1 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}');
CREATE TRIGGER t2 BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}');
CREATE TRIGGER t3 AFTER INSERT ON tasks FOR EACH STATEMENT EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}');
CREATE TRIGGER "T 4" AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}');
ALTER TABLE tasks DISABLE TRIGGER t1;
ALTER TABLE tasks DISABLE TRIGGER "T 4";
SELECT * FROM problems;
DROP TRIGGER t2 ON tasks;
DROP TRIGGER t3 ON tasks;
ALTER TABLE tasks ENABLE TRIGGER USER;
ALTER TABLE tasks ENABLE REPLICA TRIGGER t1;
SELECT trigger_name, firing, is_enabled, problem FROM cache_invalidation_triggers ORDER BY 1;
DROP TRIGGER t1 ON tasks;
DROP TRIGGER "T 4" ON tasks;

-- Servers: one that is not there, one of another kind, and those that the table's owner may not use
CREATE TRIGGER s1 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}', 'server=cache');
CREATE TRIGGER s2 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}', 'server=foreign');
CREATE TRIGGER s3 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}');
CREATE TRIGGER s4 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation();
CREATE FOREIGN DATA WRAPPER elsewhere;
CREATE SERVER "foreign" FOREIGN DATA WRAPPER elsewhere;
SELECT * FROM problems;
DROP TRIGGER s2 ON tasks;
CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'unix:///nonexistent/cache.sock');
CREATE SERVER "Cache 2" FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'unix:///nonexistent/cache.sock', publish_channel 'changes');
SELECT * FROM problems;
ALTER TABLE tasks OWNER TO regress_cache_owner;
SELECT * FROM problems;
GRANT USAGE ON FOREIGN SERVER "Cache 2" TO regress_cache_owner;
SELECT * FROM problems;
GRANT USAGE ON FOREIGN SERVER cache TO PUBLIC;
SELECT * FROM problems;
REVOKE USAGE ON FOREIGN SERVER cache FROM PUBLIC;
ALTER TABLE tasks OWNER TO "Regress Cache Owner";
SELECT * FROM problems;
-- those that are switched off do not count
ALTER SERVER cache OPTIONS (ADD enabled 'false');
SELECT * FROM problems;
ALTER SERVER "Cache 2" OPTIONS (ADD enabled 'false');
SELECT * FROM problems;
ALTER TABLE tasks OWNER TO CURRENT_USER;
DROP TRIGGER s1 ON tasks;
DROP TRIGGER s3 ON tasks;
DROP TRIGGER s4 ON tasks;

-- What can send nothing at all
CREATE TRIGGER n1 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('channel=');
CREATE TRIGGER n2 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}', 'channel=');
CREATE TRIGGER n3 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('channel=own');
SELECT * FROM problems;
ALTER SERVER cache OPTIONS (SET enabled 'true');
SELECT * FROM problems;
DROP TRIGGER n1 ON tasks;
DROP TRIGGER n2 ON tasks;
DROP TRIGGER n3 ON tasks;

-- A partitioned table is one row, whatever its partitions have; a trigger of a partition's own is told under its name
CREATE TABLE events (id integer) PARTITION BY LIST (id);
CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1) PARTITION BY LIST (id);
CREATE TABLE events_1_1 PARTITION OF events_1 FOR VALUES IN (1);
CREATE TRIGGER all_of_them AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=event:{id}');
CREATE TRIGGER own AFTER INSERT ON events_1_1 FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=event:{id}');
SELECT table_name, trigger_name, problem FROM cache_invalidation_triggers ORDER BY 1, 2;
DROP TABLE events;

-- get_cache_trigger_health(): each error counts for the trigger that it tells of
CREATE TRIGGER h1 AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}');
CREATE TRIGGER "h ""2" AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}', 'key=task:{gone}');
INSERT INTO trigger_error_log (table_name, operation, error_message, error_context, occurred_at) VALUES
  ('tasks', 'INSERT', 'old', 'trigger "h1" of table app.tasks', now() - interval '25 hours'),
  ('tasks', 'INSERT', 'first', 'trigger "h ""2" of table app.tasks', now() - interval '2 hours'),
  ('tasks', 'INSERT', 'older', 'trigger "h "2" of table app.tasks', now() - interval '2 hours'),
  ('tasks', 'INSERT', 'newest', 'trigger "h "2" of table app.tasks', now() - interval '1 hour');
UPDATE trigger_error_log SET last_occurred_at = occurred_at;
SELECT trigger_name, recent_errors, last_error, problem, cure FROM get_cache_trigger_health() ORDER BY trigger_name COLLATE "C";
-- the same from a role that only monitors
CREATE ROLE regress_cache_watch IN ROLE pg_monitor;
GRANT USAGE ON SCHEMA app TO regress_cache_watch;
SET ROLE regress_cache_watch;
SELECT trigger_name, recent_errors, last_error FROM get_cache_trigger_health() ORDER BY trigger_name COLLATE "C";
RESET ROLE;

-- Where there are no statistics, or no worker, to clear them is no error
SELECT reset_cache_invalidation_stats();

DROP SCHEMA app CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
DROP FOREIGN DATA WRAPPER elsewhere CASCADE;
DROP ROLE regress_cache_owner, "Regress Cache Owner", regress_cache_watch;
