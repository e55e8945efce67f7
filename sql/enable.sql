-- enable_cache_invalidation() and disable_cache_invalidation(): the triggers that they make, replace, leave and drop.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all
\pset tuples_only on
CREATE SCHEMA app;
SET search_path = app, public;
CREATE VIEW attached AS
  SELECT regexp_replace(pg_get_triggerdef(t.oid), '^CREATE TRIGGER', CASE WHEN tgparentid <> 0 THEN 'clone' ELSE 'made' END)
         || CASE tgenabled WHEN 'O' THEN '' ELSE ' ' || tgenabled::text END
    FROM pg_trigger t WHERE NOT tgisinternal AND tgname NOT IN ('keep_out', 'anchor') ORDER BY tgrelid::regclass::text COLLATE "C", tgname;

-- A table: two triggers; the same again is nothing, anything else replaces
CREATE TABLE tasks (id integer PRIMARY KEY, project_id integer, title text, "odd {name}" text);
SELECT enable_cache_invalidation('tasks', keys => '{task:{id}}');
TABLE attached;
CREATE TEMP TABLE before AS SELECT oid, xmin::text AS version FROM pg_trigger WHERE tgname ~ '^cache_invalidation_tasks';
SELECT enable_cache_invalidation('tasks', keys => '{task:{id}}');
SELECT enable_cache_invalidation('tasks', keys => 'task:{id}');
SELECT enable_cache_invalidation('tasks', keys => ARRAY['task:{id}']);
SELECT enable_cache_invalidation('tasks', '{"task:{id}"}', patterns => '{}', columns => '{}', always => NULL);
SELECT enable_cache_invalidation('tasks'::regclass, ARRAY['task:{id}']::varchar[], NULL::text[]);
SELECT enable_cache_invalidation('tasks', 'task:{id}'::text);
SELECT count(*) FROM pg_trigger t JOIN before USING (oid) WHERE t.xmin::text = version;
SELECT enable_cache_invalidation('tasks', keys => '{task:{id},tasks:list:{project_id}}');
SELECT enable_cache_invalidation('tasks', keys => ARRAY['task:{id}', 'tasks:list:{project_id}']);
TABLE attached;
SELECT enable_cache_invalidation('tasks', keys => ARRAY['task:{id}', 'it''s:{project_id}:\x'], patterns => 'page:{project_id}:*', resource => 'task',
  id => '{project_id}-{id}', columns => '{title,project_id}', fields => ARRAY['title', 'projectId=project_id'], format => 'resource',
  channel => 'chan', servers => '{cache,nowhere}', unchanged => 'skip', always => true);
TABLE attached;
SELECT enable_cache_invalidation('tasks', keys => 'a', ignore => '{title}', payload => '{"id":"{$id}"}');
TABLE attached;
-- the firing mode alone
SELECT enable_cache_invalidation('tasks', keys => 'a', ignore => '{title}', payload => '{"id":"{$id}"}', always => true);
ALTER TABLE tasks DISABLE TRIGGER cache_invalidation_tasks_truncate;
SELECT enable_cache_invalidation('tasks', keys => 'a', ignore => '{title}', payload => '{"id":"{$id}"}', always => true);
SELECT enable_cache_invalidation('tasks', keys => 'a', ignore => '{title}', payload => '{"id":"{$id}"}', always => true);
SELECT enable_cache_invalidation('tasks', keys => 'a', ignore => '{title}', payload => '{"id":"{$id}"}');
TABLE attached;
-- one that somebody made by hand under the name, or dropped
DROP TRIGGER cache_invalidation_tasks ON tasks;
CREATE TRIGGER cache_invalidation_tasks AFTER INSERT ON tasks FOR EACH ROW WHEN (new.id > 0) EXECUTE FUNCTION notify_cache_invalidation('key=a');
DROP TRIGGER cache_invalidation_tasks_truncate ON tasks;
SELECT enable_cache_invalidation('tasks', keys => 'a');
TABLE attached;
-- taken back with its transaction
BEGIN;
SELECT enable_cache_invalidation('tasks', keys => 'b');
SELECT disable_cache_invalidation('tasks');
ROLLBACK;
SELECT enable_cache_invalidation('tasks', keys => 'a');

-- A table that is renamed has no second pair; what else is there stays
CREATE TRIGGER cache_invalidation_by_hand AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=hand:{id}');
CREATE TRIGGER mine AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=mine:{id}');
ALTER TABLE tasks RENAME TO todo;
SELECT enable_cache_invalidation('todo', keys => 'a');
SELECT enable_cache_invalidation('todo', keys => 'a');
TABLE attached;
ALTER TABLE todo RENAME TO tasks;
SELECT disable_cache_invalidation('tasks');
SELECT disable_cache_invalidation('tasks');
TABLE attached;
DROP TRIGGER mine ON tasks;

-- Names of tables in templates, and long ones
CREATE TABLE "Odd {t}*" (id integer);
SELECT enable_cache_invalidation('"Odd {t}*"', keys => '{{$schema}:{$table}:{id},{{$table}}}', patterns => '{$table}:{id}:*');
CREATE TABLE abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk (id integer);
SELECT enable_cache_invalidation('abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk', keys => 'long:{id}');
SELECT enable_cache_invalidation('abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk', keys => 'long:{id}');
TABLE attached;
SELECT disable_cache_invalidation('"Odd {t}*"'), disable_cache_invalidation('abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk');

-- Mistakes
SELECT enable_cache_invalidation('tasks', keys => 'task:{none}');
SELECT enable_cache_invalidation('tasks', keys => 'task:{id');
\set SHOW_CONTEXT never
SELECT enable_cache_invalidation('tasks', keys => '{a,,b}');
SELECT enable_cache_invalidation('tasks', keys => ARRAY[1]);
SELECT enable_cache_invalidation('tasks', keys => ARRAY['a', NULL]);
SELECT enable_cache_invalidation('tasks', format => 'other');
SELECT enable_cache_invalidation('tasks', columns => '{id,none}');
SELECT enable_cache_invalidation(NULL);
SELECT disable_cache_invalidation(NULL);
SELECT enable_cache_invalidation('attached', keys => 'a');
\echo :LAST_ERROR_SQLSTATE
SELECT enable_cache_invalidation(1::oid::regclass, keys => 'a');
CREATE TEMP TABLE passing (id integer);
SELECT enable_cache_invalidation('passing', keys => 'a');
CREATE TRIGGER cache_invalidation_tasks AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
SELECT enable_cache_invalidation('tasks', keys => 'a');
\echo :LAST_ERROR_SQLSTATE
SELECT disable_cache_invalidation('tasks');
TABLE attached;
DROP TABLE tasks;

-- Partitions: the server clones the row trigger; TRUNCATE of a partition is seen too
CREATE TABLE events (id integer, kind text) PARTITION BY LIST (id);
CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1);
CREATE TABLE events_2 PARTITION OF events FOR VALUES IN (2, 3) PARTITION BY LIST (id);
CREATE TABLE events_2_2 PARTITION OF events_2 FOR VALUES IN (2);
SELECT enable_cache_invalidation('events', keys => 'event:{id}', always => true);
TABLE attached;
SELECT enable_cache_invalidation('events', keys => 'event:{id}', always => true);
-- a new one gets its trigger with the next call
CREATE TABLE events_2_3 PARTITION OF events_2 FOR VALUES IN (3);
SELECT enable_cache_invalidation('events', keys => 'event:{id}', always => true);
SELECT enable_cache_invalidation('events', keys => 'event:{id}', always => true);
-- firing modes of clones
SELECT enable_cache_invalidation('events', keys => 'event:{id}');
ALTER TABLE events_1 DISABLE TRIGGER cache_invalidation_events;
SELECT enable_cache_invalidation('events', keys => 'event:{id}');
TABLE attached;
SELECT enable_cache_invalidation('events', keys => 'other:{id}');
-- a partition for itself; what belongs to the whole stays
SELECT enable_cache_invalidation('events_1', keys => 'mine:{id}');
SELECT disable_cache_invalidation('events_1');
SELECT enable_cache_invalidation('events_1', keys => 'mine:{id}');
ALTER TABLE events RENAME TO happenings;
SELECT enable_cache_invalidation('happenings', keys => 'other:{id}');
TABLE attached;
-- TRUNCATE of a partition is seen without preloading, by a session that has not loaded the library
\c -
SET search_path = app, public;
TRUNCATE events_2_2;
SELECT item FROM journal.waiting() WHERE item ~ '^pattern';
TRUNCATE events_1;
SELECT item FROM journal.waiting() WHERE item ~ '^pattern' ORDER BY item COLLATE "C";
SELECT disable_cache_invalidation('happenings');
TRUNCATE events_1, events_2;
SELECT item FROM journal.waiting();
TABLE attached;
DROP TABLE happenings;

-- Inheritance: children have triggers of their own, named after the parent that was enabled
CREATE TABLE people (id integer, name text);
CREATE TABLE staff (salary integer) INHERITS (people);
CREATE TABLE bosses (car text) INHERITS (staff);
SELECT enable_cache_invalidation('people', keys => '{$table}:{id}');
SELECT enable_cache_invalidation('staff', keys => 'staff:{id}:{salary}');
TABLE attached;
SELECT enable_cache_invalidation('people', keys => '{$table}:{id}'), enable_cache_invalidation('staff', keys => 'staff:{id}:{salary}');
INSERT INTO bosses VALUES (1, 'Ann', 2);
UPDATE people SET name = 'Bob' WHERE id = 1;
SELECT item FROM journal.waiting() WHERE item ~ '^key' ORDER BY tx, item COLLATE "C";
SELECT disable_cache_invalidation('staff');
SELECT disable_cache_invalidation('people');
TABLE attached;
DROP TABLE people CASCADE;

-- A whole schema
CREATE SCHEMA shop;
CREATE TABLE shop.a (id integer);
CREATE TABLE shop.b (number integer);
CREATE TABLE shop.c (id integer) PARTITION BY LIST (id);
CREATE TABLE shop.c_1 PARTITION OF shop.c FOR VALUES IN (1);
CREATE TABLE shop.d () INHERITS (shop.a);
CREATE TABLE shop.e (id integer) INHERITS (shop.b);
CREATE VIEW shop.v AS SELECT 1 AS id;
SELECT enable_cache_invalidation_for_schema('shop', keys => '{$schema}.{$table}:{id}');
SELECT enable_cache_invalidation_for_schema('shop', keys => '{$schema}.{$table}:{id}');
TABLE attached;
SELECT enable_cache_invalidation_for_schema('shop', keys => 'x:{');
SELECT enable_cache_invalidation_for_schema(NULL);
SELECT enable_cache_invalidation_for_schema('public', keys => 'nothing of extensions');
SELECT disable_cache_invalidation_for_schema('shop'), disable_cache_invalidation_for_schema('shop');
TABLE attached;

-- As the caller, with his privileges; nothing of his search_path is called
CREATE ROLE regress_cache_user;
GRANT USAGE ON SCHEMA app TO regress_cache_user;
GRANT USAGE, CREATE ON SCHEMA shop TO regress_cache_user;
CREATE TABLE shop.own (id integer);
ALTER TABLE shop.own OWNER TO regress_cache_user;
SET ROLE regress_cache_user;
CREATE FUNCTION shop.notify_cache_invalidation() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
SET search_path = shop, pg_catalog, public;
SELECT public.enable_cache_invalidation('own', keys => 'own:{id}');
SELECT public.enable_cache_invalidation('a', keys => 'a:{id}');
SELECT public.enable_cache_invalidation_for_schema('shop', keys => 'a:{id}');
SELECT public.enable_cache_invalidation('own', keys => 'a:{id}');
RESET ROLE;
GRANT TRIGGER ON shop.a, shop.d TO regress_cache_user;
SET ROLE regress_cache_user;
SELECT public.enable_cache_invalidation('a', keys => 'a:{id}');
SELECT public.enable_cache_invalidation('a', keys => 'b:{id}');
SELECT public.disable_cache_invalidation('a');
RESET ROLE;
SET search_path = app, public;
TABLE attached;

SET client_min_messages = warning;
DROP SCHEMA app, shop, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
DROP ROLE regress_cache_user;
