-- The arguments of notify_cache_invalidation(): what is refused when CREATE TRIGGER runs, and how it is said.
\pset footer off
\pset format unaligned
SET client_min_messages = error;
CREATE EXTENSION cache_invalidate;
RESET client_min_messages;
CREATE SCHEMA app;
SET search_path = app, public;
CREATE TABLE tasks (id integer PRIMARY KEY, project_id integer, "Title" text, "a,b" text);

-- As it looks to who makes the mistake
CREATE TRIGGER cache AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{ID}');

-- The same for many, in few lines: what comes of a trigger with these arguments
CREATE FUNCTION attempt(VARIADIC arguments text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  list text;
  code text;
  message text;
  detail text;
  hint text;
BEGIN
  SELECT string_agg(quote_literal(a), ', ') INTO list FROM unnest(arguments) a;
  BEGIN
    EXECUTE format('CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation(%s)', list);
    RAISE SQLSTATE 'ACCEP';
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  END;
  RETURN CASE WHEN code = 'ACCEP' THEN 'accepted'
         ELSE format('%s: %s', code, message) || coalesce(E'\nDETAIL: ' || nullif(detail, ''), '') || coalesce(E'\nHINT: ' || nullif(hint, ''), '') END;
END $$;
\t on

-- What is no argument
SELECT attempt('task:{id}');
SELECT attempt('');
SELECT attempt('=value');
SELECT attempt('keys=task:{id}');
SELECT attempt('KEY=task:{id}');
SELECT attempt('fields=id', 'fields=project_id');
SELECT attempt('resource=task', 'resource=job');
SELECT attempt('key=a', 'pattern=*', 'id={id}', 'key=b', 'pattern=b*', 'id={id}');

-- Templates
SELECT attempt('key=');
SELECT attempt('id=');
SELECT attempt('pattern=');
SELECT attempt('pattern=task:{nope}:*');
SELECT attempt('pattern=[{id}]*');
SELECT attempt(E'pattern=task\\{id}');
SELECT attempt('key={}');
SELECT attempt('key=task:{id');
SELECT attempt('key=task:{id:{project_id}}');
SELECT attempt('key=task:id}');
SELECT attempt('key=ümlaut:}');
SELECT attempt('key={"id}');
SELECT attempt('key={""}');
SELECT attempt('key={"id"x}');
SELECT attempt('key={project_id.owner}');
SELECT attempt('id={nope}');
SELECT attempt('key={ id }');
SELECT attempt('key={title}');
SELECT attempt('key={ctid}');

-- Lists
SELECT attempt('fields=nope');
SELECT attempt('fields=id,');
SELECT attempt('fields=');
SELECT attempt('fields=name=');
SELECT attempt('fields==id');
SELECT attempt('fields=id,Title,id=project_id');
SELECT attempt('fields=timestamp=id');
SELECT attempt('format=resource', 'fields=id');
SELECT attempt('format=record', 'fields=id,action=id');
SELECT attempt('columns=');
SELECT attempt('columns=id,,project_id');
SELECT attempt('columns=id,nope');
SELECT attempt('ignore=nope');
SELECT attempt('columns=id', 'ignore=project_id');
SELECT attempt('server=');

-- The rest
SELECT attempt('format=json');
SELECT attempt('format=');
SELECT attempt('resource=');
SELECT attempt('resource=' || repeat('r', 256));
SELECT attempt('channel=' || repeat('c', 64));

-- What is accepted: no arguments at all, every one, blanks around names, literal braces
SELECT attempt(VARIADIC '{}');
SELECT attempt('key=task:{id}', 'key={"Title"}:{Title}', 'key={{{id}}}', 'key=fixed', 'pattern=*', 'pattern=task:{id}:[a-z]?*', 'resource=' || repeat('r', 255), 'id={id}/{project_id}',
               'fields=key=id, Title , projectId = project_id', 'format=resource', 'channel=' || repeat('c', 63), 'columns= id , project_id');
SELECT attempt('channel=', 'ignore=Title', 'format=record', ' key =x=y');

-- A server that does not exist: a warning, since a dump may bring it later
SELECT attempt('server=nowhere, elsewhere');
\t off

-- Timing and tables
CREATE TRIGGER cache BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation();
\set VERBOSITY sqlstate
CREATE TRIGGER cache AFTER INSERT ON tasks FOR EACH STATEMENT EXECUTE FUNCTION notify_cache_invalidation();
CREATE TRIGGER cache BEFORE TRUNCATE ON tasks EXECUTE FUNCTION notify_cache_invalidation();
CREATE TRIGGER cache AFTER INSERT OR TRUNCATE ON tasks EXECUTE FUNCTION notify_cache_invalidation();
CREATE TRIGGER cache AFTER TRUNCATE ON tasks EXECUTE FUNCTION notify_cache_invalidation('key={nope}');
CREATE TRIGGER cache AFTER TRUNCATE ON tasks EXECUTE FUNCTION notify_cache_invalidation('key={id}');
DROP TRIGGER cache ON tasks;
CREATE VIEW tasks_view AS SELECT * FROM tasks;
CREATE TRIGGER cache INSTEAD OF INSERT ON tasks_view FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation();
DROP VIEW tasks_view;
\set VERBOSITY default
CREATE TEMPORARY TABLE temporary (id integer);
CREATE TRIGGER cache AFTER INSERT ON temporary FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation();
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM pg_trigger WHERE tgname = 'cache';

-- Called by nobody but a trigger
SELECT notify_cache_invalidation();
\echo :LAST_ERROR_SQLSTATE

-- CREATE OR REPLACE TRIGGER is checked too, and leaves what was there when it is refused
CREATE TRIGGER cache AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key={id}', 'columns=project_id');
CREATE OR REPLACE TRIGGER cache AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key={id', 'columns=Title');
CREATE FUNCTION dependencies() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT pg_get_triggerdef(t.oid) || coalesce(' needs ' || string_agg(attname, ', ' ORDER BY attnum), '')
    FROM pg_trigger t
    LEFT JOIN pg_depend d ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid AND d.refobjid = t.tgrelid AND d.refobjsubid > 0
    LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
   WHERE t.tgname = 'cache' GROUP BY t.oid
$$;
SELECT * FROM dependencies();

-- The columns that are named, and the primary key, cannot be dropped from under it
ALTER TABLE tasks DROP COLUMN project_id;
CREATE OR REPLACE TRIGGER cache AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('fields=t=Title', 'ignore=a', 'id=x');
SELECT * FROM dependencies();
CREATE OR REPLACE TRIGGER cache AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('fields=t=Title', 'id=x');
SELECT * FROM dependencies();
ALTER TABLE tasks DROP COLUMN project_id, DROP COLUMN id;
\set VERBOSITY terse
ALTER TABLE tasks DROP COLUMN "Title";
ALTER TABLE tasks DROP COLUMN "Title" CASCADE;
\set VERBOSITY default
SELECT count(*) FROM dependencies();

-- On a partitioned table and on inheritance
CREATE TABLE events (region text, id integer) PARTITION BY LIST (region);
CREATE TABLE events_eu PARTITION OF events FOR VALUES IN ('eu');
CREATE TRIGGER cache AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key={nope}');
CREATE TRIGGER cache AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key={id}');
CREATE TABLE events_us PARTITION OF events FOR VALUES IN ('us');
SELECT tgrelid::regclass FROM pg_trigger WHERE tgname = 'cache' ORDER BY 1;
\set VERBOSITY terse
ALTER TABLE events DROP COLUMN id;
\set VERBOSITY default

SET client_min_messages = warning;
DROP SCHEMA app CASCADE;
DROP EXTENSION cache_invalidate CASCADE;

-- Names that are too long, in settings
ALTER SYSTEM SET cache_invalidate.notify_channel = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx';
ALTER SYSTEM SET cache_invalidate.worker_role = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx';
