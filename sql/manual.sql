-- invalidate_cache_key(), invalidate_cache_pattern(), invalidate_cache_resource(): by hand, like a trigger.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all
CREATE SERVER other FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'unix:///nonexistent/other.sock');
CREATE SCHEMA app;
SET search_path = app, public;

-- Keys as they are, and globs
SELECT invalidate_cache_key('task:7');
SELECT item FROM journal.waiting();
SELECT invalidate_cache_key('a*b', E'two words\n', 'tâche', 'a*b', '{x}'), invalidate_cache_key(VARIADIC ARRAY['task:8']);
SELECT invalidate_cache_key(VARIADIC '{}');
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";
SELECT invalidate_cache_pattern('task:[0-9]:*');
SELECT item FROM journal.waiting();
SELECT invalidate_cache_key(repeat('k', 1048576)), invalidate_cache_pattern(repeat('*', 1048576));
SELECT split_part(item, ' ', 1), length(item) FROM journal.waiting() ORDER BY 1;

-- What is no key
CREATE FUNCTION complaint(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  hint text;
BEGIN
  EXECUTE call;
  RETURN 'none';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
  RETURN sqlstate || ' ' || sqlerrm || coalesce(' | ' || nullif(hint, ''), '');
END $$;
SELECT complaint(format('SELECT public.%s', call)) FROM unnest(ARRAY[
  'invalidate_cache_key(NULL)', 'invalidate_cache_key(''a'', NULL)', 'invalidate_cache_key(VARIADIC NULL)',
  'invalidate_cache_key('''')', 'invalidate_cache_key(repeat(''k'', 1048577))', 'invalidate_cache_key(repeat(''é'', 524289))',
  'invalidate_cache_pattern(NULL)', 'invalidate_cache_pattern('''')', 'invalidate_cache_pattern(repeat(''k'', 1048577))',
  'invalidate_cache_resource(NULL)', 'invalidate_cache_resource(''nothing'')', 'invalidate_cache_resource(''nothing'', ''[]'')',
  'invalidate_cache_resource(''nothing'', ''3'')']) call;
BEGIN READ ONLY;
SELECT invalidate_cache_key('k');
ROLLBACK;
BEGIN READ ONLY;
SELECT invalidate_cache_pattern('k');
ROLLBACK;
BEGIN READ ONLY;
SELECT invalidate_cache_resource('k');
ROLLBACK;
-- leaves nothing behind, not even what stood before it
SELECT complaint($$SELECT public.invalidate_cache_key('good', NULL)$$);
SELECT item FROM journal.waiting();

-- Part of its transaction
BEGIN;
SELECT invalidate_cache_key('rolled back');
ROLLBACK;
BEGIN;
SELECT invalidate_cache_key('kept');
SAVEPOINT s;
SELECT invalidate_cache_key('taken back'), invalidate_cache_pattern('taken:*');
ROLLBACK TO s;
SELECT invalidate_cache_key('kept too');
COMMIT;
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";
SET cache_invalidate.enabled = off;
SELECT invalidate_cache_key('off'), invalidate_cache_pattern('off'), invalidate_cache_resource('off');
RESET cache_invalidate.enabled;
SELECT item FROM journal.waiting();

-- Very many: written early, and in one transaction
SET cache_invalidate.max_change_set_memory = '256kB';
BEGIN;
SELECT count(invalidate_cache_key('user:' || n || ':name', 'k' || n)) FROM generate_series(1, 10000) n;
COMMIT;
RESET cache_invalidate.max_change_set_memory;
SELECT count(DISTINCT tx) AS transactions, max("row") > 1 AS in_parts, count(DISTINCT item) AS keys FROM journal.waiting();

-- A resource: all its triggers that may fire, those of partitions once, with what they could name
CREATE TABLE projects (id integer PRIMARY KEY);
CREATE TABLE tasks (id integer PRIMARY KEY, project_id integer REFERENCES projects, title varchar(8), price numeric(10,2), due timestamptz, tags jsonb, done boolean);
CREATE TRIGGER a AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION
  notify_cache_invalidation('resource=task', 'key=task:{id}', 'key=tasks:list:{project_id}', 'pattern=page:{project_id}:[0-9]*', 'key=all',
    'key=of:{project_id.id}:{title}');
CREATE TRIGGER b AFTER TRUNCATE ON tasks EXECUTE FUNCTION notify_cache_invalidation('resource=task', 'key=task:{id}');
CREATE TRIGGER c AFTER DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION
  notify_cache_invalidation('resource=task', 'key=typed:{price}:{due}:{tags}:{done}', 'format=resource', 'channel=chan', 'server=other');
CREATE TRIGGER d AFTER DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION
  notify_cache_invalidation('resource=task', 'channel=chan', 'payload={"a":"{$id}","b":"{title}"}');
CREATE TRIGGER e AFTER DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('resource=task', 'key=disabled');
ALTER TABLE tasks DISABLE TRIGGER e;
CREATE TRIGGER f AFTER DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=by table name', 'channel=');
CREATE TABLE subtasks (project_id integer, other text);
CREATE TRIGGER a AFTER INSERT ON subtasks FOR EACH ROW EXECUTE FUNCTION
  notify_cache_invalidation('resource=task', 'key=sub:{project_id}:{other}', 'channel=');
CREATE TABLE parts (id integer) PARTITION BY LIST (id);
CREATE TRIGGER a AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=part:{id}', 'channel=');
CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
SELECT invalidate_cache_resource('task');
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";
SELECT invalidate_cache_resource('tasks'), invalidate_cache_resource('parts');
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";
ALTER TABLE ONLY parts DISABLE TRIGGER a;
SELECT invalidate_cache_resource('parts'), complaint($$SELECT public.invalidate_cache_resource('part_1')$$);
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";

-- of some rows: values have the form that capture gives them, NULL makes a template not apply
SELECT invalidate_cache_resource('task', '{"project_id": 3}');
SELECT item FROM journal.waiting() WHERE item !~ 'UPDATE' ORDER BY item COLLATE "C";
SET TimeZone = 'Asia/Tokyo';
SELECT invalidate_cache_resource('task',
  '{"id": null, "project_id": "4", "price": 1, "due": "2030-01-02 03:04:05", "tags": {"b": 1, "a": [null, "x"]}, "done": true, "title": "*", "other": "o"}');
RESET TimeZone;
SELECT item FROM journal.waiting() WHERE item !~ 'UPDATE' ORDER BY item COLLATE "C";
INSERT INTO projects VALUES (4);
INSERT INTO tasks VALUES (1, 4, '*', 1, '2030-01-01 18:04:05+00', '{"b": 1, "a": [null, "x"]}', true);
SELECT item FROM journal.waiting() WHERE item !~ 'INSERT' ORDER BY item COLLATE "C";
DELETE FROM tasks;
SELECT item FROM journal.waiting() WHERE item ~ 'typed';
SELECT invalidate_cache_resource('task', '{"tags": "x", "done": [1], "none": 1, "neither": 2}');
SELECT item FROM journal.waiting() WHERE item ~ 'typed';
SELECT complaint($$SELECT public.invalidate_cache_resource('task', '{"project_id": "three"}')$$);
SELECT complaint($$SELECT public.invalidate_cache_resource('task', '{"title": "much too long"}')$$);
SELECT item FROM journal.waiting();

-- Nobody's function runs, whoever calls: not that of a domain in somebody's table
CREATE FUNCTION told(anyelement) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'called'; RETURN true; END $$;
CREATE DOMAIN checked AS integer CHECK (told(VALUE));
CREATE TYPE pair AS (a checked, b integer);
CREATE TABLE typed (a checked, b checked[], c pair, d int4range, e text);
CREATE TRIGGER a AFTER INSERT ON typed FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key={a}:{b}:{c}:{d}:{e}', 'channel=');
SELECT invalidate_cache_resource('typed', '{"a": 1, "b": "{1}", "c": "(1,2)", "d": "[1,3]", "e": "x"}');
SELECT item FROM journal.waiting();

-- Only with EXECUTE, and where the caller has USAGE
CREATE ROLE regress_cache_caller;
GRANT USAGE ON SCHEMA app TO regress_cache_caller;
SET ROLE regress_cache_caller;
SELECT public.invalidate_cache_key('k');
SELECT public.invalidate_cache_pattern('k');
SELECT public.invalidate_cache_resource('task');
RESET ROLE;
GRANT EXECUTE ON FUNCTION invalidate_cache_key(text[]), invalidate_cache_pattern(text), invalidate_cache_resource(text, jsonb) TO regress_cache_caller;
SET ROLE regress_cache_caller;
SELECT complaint($$SELECT public.invalidate_cache_key('k')$$);
SELECT complaint($$SELECT public.invalidate_cache_pattern('k')$$);
SELECT complaint($$SELECT public.invalidate_cache_resource('task')$$);
RESET ROLE;
SELECT item FROM journal.waiting();
GRANT USAGE ON FOREIGN SERVER other TO regress_cache_caller;
SET ROLE regress_cache_caller;
SELECT public.invalidate_cache_key('mine'), public.invalidate_cache_pattern('mine:*'), public.invalidate_cache_resource('task', '{"id": 1, "project_id": 2, "title": "t"}');
RESET ROLE;
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";
REVOKE USAGE ON FOREIGN SERVER other FROM regress_cache_caller;
SET ROLE regress_cache_caller;
SELECT complaint($$SELECT public.invalidate_cache_key('k')$$);
RESET ROLE;
-- With its definer's
CREATE FUNCTION by_definer() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ SELECT public.invalidate_cache_key('by definer') $$;
SET ROLE regress_cache_caller;
SELECT by_definer();
RESET ROLE;
SELECT item FROM journal.waiting();

-- A server that is disabled is none
ALTER SERVER cache OPTIONS (ADD enabled 'false');
GRANT USAGE ON FOREIGN SERVER cache TO regress_cache_caller;
SET ROLE regress_cache_caller;
SELECT complaint($$SELECT public.invalidate_cache_key('k')$$);
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER cache FROM regress_cache_caller;
SELECT invalidate_cache_key('to the other');
ALTER SERVER other OPTIONS (ADD enabled 'off');
SET ROLE regress_cache_caller;
SELECT public.invalidate_cache_key('k');
SELECT public.invalidate_cache_pattern('k');
SELECT public.invalidate_cache_resource('parts');
RESET ROLE;
SELECT invalidate_cache_key('to nobody');

SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
DROP ROLE regress_cache_caller;
