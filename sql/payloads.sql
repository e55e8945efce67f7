-- Messages that argument "payload" describes: what is refused when CREATE TRIGGER runs, what a change leaves in the journal,
-- and what a listener gets, side by side with what a PL/pgSQL trigger would have sent. Needs the library preloaded.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all
CREATE SCHEMA app;
SET search_path = app, public;

-- What is refused, and how it is said
CREATE TABLE tasks (id bigint PRIMARY KEY, project_id uuid, title text, done boolean, price numeric, due date, extra jsonb, raw json, tags text[]);
CREATE TRIGGER cache AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('payload={"id":"{$id}",}');
CREATE TRIGGER cache AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('payload={"id":"{$key}"}');
CREATE TRIGGER cache AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('payload={"id":"{ID}"}');
CREATE FUNCTION attempt(VARIADIC arguments text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  list text;
  code text;
  message text;
  detail text;
BEGIN
  SELECT string_agg(quote_literal(a), ', ') INTO list FROM unnest(arguments) a;
  BEGIN
    EXECUTE format('CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation(%s)', list);
    RAISE SQLSTATE 'ACCEP';
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
  END;
  RETURN CASE WHEN code = 'ACCEP' THEN 'accepted' ELSE format('%s: %s', code, message) || coalesce(E'\nDETAIL: ' || nullif(detail, ''), '') END;
END $$;
\t on
SELECT attempt('payload=');
SELECT attempt('payload=[]');
SELECT attempt('payload="{id}"');
SELECT attempt('payload={"größe":1 "b":2}');
SELECT attempt('payload={"a":1,"b":{"a":1,"a":2}}');
SELECT attempt('payload={"a":"\ud83d"}');
SELECT attempt('payload={"a":"\u0000"}');
SELECT attempt('payload={"a":01}');
SELECT attempt('payload={"a":"{id"}');
SELECT attempt('payload={"a":"{id::int}"}');
SELECT attempt('payload={"a":"{project_id.name}"}');
SELECT attempt('payload={}', 'format=record');
SELECT attempt('payload={}', 'fields=id');
SELECT attempt('payload={}', 'payload={}');
SELECT attempt('payload={"a":"' || repeat('x', 3992) || '"}');
SELECT attempt('payload={"a":"' || repeat('x', 3993) || '"}');
SELECT attempt('payload={"a":"' || repeat('x', 3990) || '{id}{$id}"}');
SELECT attempt('payload={"a":"' || repeat('x', 3990) || '{$operation}"}');
SELECT attempt('payload={}', 'id={title}', 'resource=task', 'channel=c', 'columns=title', 'key=task:{id}');
\t off

-- Its columns are dependencies of the trigger
CREATE TRIGGER cache AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('payload={"a":[{"b":"x {title}"}]}');
ALTER TABLE tasks DROP COLUMN title;
DROP TRIGGER cache ON tasks;

-- In the journal: the values of the newest row; a column that is gone is not known
CREATE TABLE plain (id integer PRIMARY KEY, title text, project_id integer REFERENCES plain);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON plain FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation(
  'payload={"op":"{$operation}","id":"{id}","title":"{title}","key":"plain:{id}:{title}","owner":"{project_id.title}"}', 'channel=plain');
BEGIN;
INSERT INTO plain VALUES (1, 'first');
UPDATE plain SET title = 'second "one"';
COMMIT;
INSERT INTO plain VALUES (2, NULL, 1);
UPDATE plain SET id = 3 WHERE id = 2;
DELETE FROM plain WHERE id = 3;
SET session_replication_role = replica;
ALTER TABLE plain RENAME COLUMN title TO name;
RESET session_replication_role;
UPDATE plain SET name = 'third';
SELECT tx, item FROM journal.waiting();
DROP TABLE plain;

-- What a listener gets. Each table has the trigger that people write by hand, which notes what it would have sent, and ours.
-- psql writes notifications to where results go. The test message is sent after all that was committed before it; whoever is
-- asked for something else then has taken notice.
CREATE ROLE regress_cache_owner;
CREATE TABLE probe (id integer);
CREATE TRIGGER cache AFTER INSERT ON probe FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation();
ALTER TABLE probe OWNER TO regress_cache_owner;
CREATE TABLE expected (number integer GENERATED ALWAYS AS IDENTITY, message jsonb);
CREATE TABLE received (number integer GENERATED ALWAYS AS IDENTITY, line text);
CREATE VIEW messages AS
  SELECT number, substring(line FROM 'with payload "(.*)" received from server process')::jsonb AS message
    FROM received WHERE line LIKE 'Asynchronous notification "messages"%';
-- everything but when it was
CREATE FUNCTION timeless(message jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT message - 'timestamp' - 'epoch' - 'lsn' $$;
CREATE VIEW differences AS
  SELECT timeless(e.message) AS by_hand, timeless(m.message) AS ours
    FROM expected e FULL JOIN messages m ON timeless(e.message) = timeless(m.message)
   WHERE e.number IS NULL OR m.number IS NULL;

CREATE FUNCTION notify_by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  r app.tasks := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
BEGIN
  INSERT INTO app.expected (message) VALUES (json_build_object(
    'resource', 'task', 'id', r.id::text, 'action', TG_OP, 'projectId', r.project_id, 'timestamp', now(),
    'table', TG_TABLE_NAME, 'schema', TG_TABLE_SCHEMA, 'batch_id', pg_current_xact_id()::text, 'batch', pg_current_xact_id()::text::numeric,
    'row', json_build_object('id', r.id, 'title', r.title, 'done', r.done, 'price', r.price, 'due', r.due, 'extra', r.extra,
                             'raw', r.raw, 'tags', r.tags::text, 'as_text', json_build_array(r.id::text, r.done::text, r.extra::text)),
    'key', concat('task:', r.id, ':', r.title), 'constant', json_build_array(1.50, true, NULL, '{}', 'ü"')));
  RETURN NULL;
END $$;
CREATE TRIGGER by_hand AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_by_hand();
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation(
  'resource=task', 'channel=messages',
  'payload={
    "resource": "{$resource}", "id": "{$id}", "action": "{$operation}", "projectId": "{project_id}", "timestamp": "{$timestamp}",
    "epoch": "{$epoch}", "lsn": "{$lsn}", "table": "{$table}", "schema": "{$schema}", "batch_id": "{$batch_id}", "batch": "{$batch_id::number}",
    "row": {"id": "{id}", "title": "{title}", "done": "{done}", "price": "{price}", "due": "{due}", "extra": "{extra}",
            "raw": "{raw}", "tags": "{tags}", "as_text": ["{id::text}", "{done::text}", "{extra::text}"]},
    "key": "task:{id}:{title}", "constant": [1.50, true, null, "{{}}", "\u00fc\""]}');
SELECT clock_timestamp() AS begun, pg_current_wal_insert_lsn() AS lsn_before \gset
LISTEN messages;
\o results/payloads.received
INSERT INTO tasks VALUES
  (1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'title', true, 1.50, '2026-01-02', '{"b": [1, null], "a": "é"}', '[1,  2]', '{a,"b c"}'),
  (9007199254740993, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (3, NULL, E'quote " backslash \\ tab \t line\nfeed \x01 é 中 😀', false, 12345678901234567890.123, 'infinity', 'null', '"text"', '{}'),
  (4, NULL, '', true, 'NaN', '0001-01-01 BC', '5', '{"a":{"b":[{}]}}', '{NULL}');
UPDATE tasks SET title = 'changed ' || coalesce(title, 'nothing'), price = -price, extra = to_jsonb(title);
UPDATE tasks SET done = NOT done WHERE id = 1;
DELETE FROM tasks WHERE id <> 3;
SELECT test_cache_invalidation('app.probe')->>'success' AS all_sent \gset
SELECT 1;
\o
\echo :all_sent
\copy received (line) FROM 'results/payloads.received' WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')
SELECT count(*) FROM messages;
SELECT * FROM differences;
SELECT count(*) FROM expected JOIN messages ON timeless(expected.message) = timeless(messages.message);
SELECT bool_and((message->>'timestamp')::timestamptz BETWEEN :'begun' AND clock_timestamp()) AS timestamp,
       bool_and(extract(epoch FROM (message->>'timestamp')::timestamptz) = (message->>'epoch')::numeric) AS epoch,
       bool_and((message->>'lsn')::pg_lsn > :'lsn_before' AND (message->>'lsn')::pg_lsn <= pg_current_wal_insert_lsn()) AS lsn,
       string_agg(DISTINCT jsonb_typeof(message->'timestamp') || ' ' || jsonb_typeof(message->'epoch') || ' ' || jsonb_typeof(message->'batch_id') || ' ' ||
                  jsonb_typeof(message->'batch'), ', ') AS types
  FROM messages;
-- the order of the members is that of the argument
SELECT regexp_replace(substring(line FROM 'with payload "(.*)" received from server process'), '\d{4}-\d\d-\d\dT[^"]*|(?<="epoch":)[0-9.]+|(?<="lsn":")[^"]*|(?<="batch(_id)?":"?)\d+', 'n', 'g') AS message
  FROM received WHERE line ~ '"id":"1","action":"INSERT"';

-- The two usual shapes, and the whole table
CREATE TABLE projects (id integer PRIMARY KEY, org_id integer, name text) PARTITION BY RANGE (id);
CREATE TABLE projects_1 PARTITION OF projects DEFAULT;
CREATE TRIGGER resource AFTER INSERT OR UPDATE OR DELETE ON projects FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('resource=project', 'channel=messages',
  'payload={"resource":"{$resource}","id":"{$id}","action":"{$operation}","orgId":"{org_id::text}","timestamp":"{$timestamp}"}');
CREATE TRIGGER record AFTER INSERT OR UPDATE OR DELETE ON projects FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('channel=messages', 'id={name}',
  'payload={"table":"{$schema}.{$table}","operation":"{$operation}","record_id":"{$id}","user":"user {org_id}","timestamp":"{$epoch}","batch_id":"{$batch_id}"}');
CREATE TRIGGER truncated AFTER TRUNCATE ON projects EXECUTE FUNCTION notify_cache_invalidation('channel=messages',
  'payload={"table":"{$table}","operation":"{$operation}","record_id":"{$id}","orgId":"{org_id}","deep":{"list":[1,"org:{org_id}"]}}');
TRUNCATE received;
\o results/payloads.received
INSERT INTO projects VALUES (7, 12, 'seven');
UPDATE projects SET id = 8, name = 'eight';
UPDATE projects SET name = NULL;
TRUNCATE projects;
SELECT test_cache_invalidation('app.probe')->>'success' AS all_sent \gset
SELECT 1;
\o
\echo :all_sent
\copy received (line) FROM 'results/payloads.received' WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')
SELECT regexp_replace(substring(line FROM 'with payload "(.*)" received from server process'), '\d{4}-\d\d-\d\dT[^"]*|(?<="timestamp":)[0-9.]+|(?<="batch_id":")\d+', 'n', 'g') AS message
  FROM received WHERE line LIKE 'Asynchronous%' ORDER BY number;

-- The examples of docs/payloads.md: what the triggers by hand send, and what ours send in their place
CREATE TABLE jobs (id integer PRIMARY KEY, project_id integer, done boolean);
CREATE FUNCTION notify_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('by_hand', json_build_object(
    'resource', 'task', 'id', COALESCE(NEW.id, OLD.id), 'action', TG_OP,
    'projectId', COALESCE(NEW.project_id, OLD.project_id), 'meta', json_build_object('done', NEW.done),
    'timestamp', now())::text);
  RETURN NULL;
END $$;
CREATE TRIGGER by_hand AFTER INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION notify_task();
CREATE TRIGGER notify AFTER INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('channel=messages',
    'payload={"resource":"task","id":"{id}","action":"{$operation}","projectId":"{project_id}","meta":{"done":"{done}"},"timestamp":"{$timestamp}"}');
CREATE TABLE calls (id uuid PRIMARY KEY, owner_id integer);
CREATE FUNCTION notify_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  r jsonb := to_jsonb(CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END);
BEGIN
  PERFORM pg_notify('by_hand', json_build_object(
    'table', TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, 'operation', TG_OP, 'record_id', r->>'id', 'user_id', r->>TG_ARGV[0],
    'cache_key', TG_TABLE_NAME || ':' || (r->>'id'),
    'timestamp', extract(epoch FROM now()), 'batch_id', txid_current()::text)::text);
  RETURN NULL;
END $$;
CREATE TRIGGER by_hand AFTER INSERT OR UPDATE OR DELETE ON calls FOR EACH ROW EXECUTE FUNCTION notify_change('owner_id');
CREATE TRIGGER notify AFTER INSERT OR UPDATE OR DELETE ON calls FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('channel=messages', 'key=calls:{id}',
    'payload={"table":"{$schema}.{$table}","operation":"{$operation}","record_id":"{$id}","user_id":"{owner_id::text}","cache_key":"calls:{id}",
              "timestamp":"{$epoch}","batch_id":"{$batch_id}"}');
TRUNCATE received;
LISTEN by_hand;
\o results/payloads.received
INSERT INTO jobs VALUES (1, 10, true), (2, NULL, NULL);
UPDATE jobs SET done = false, project_id = 20;
INSERT INTO calls VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 12), ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', NULL);
UPDATE calls SET owner_id = 13 WHERE owner_id = 12;
DELETE FROM calls;
SELECT test_cache_invalidation('app.probe')->>'success' AS all_sent \gset
SELECT 1;
\o
\echo :all_sent
\copy received (line) FROM 'results/payloads.received' WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')
CREATE VIEW by_hand AS
  SELECT substring(line FROM 'with payload "(.*)" received from server process')::jsonb AS message
    FROM received WHERE line LIKE 'Asynchronous notification "by_hand"%';
SELECT count(*), count(h.message) AS by_hand, count(m.message) AS ours,
       bool_and(jsonb_typeof(h.message->'timestamp') = jsonb_typeof(m.message->'timestamp')) AS same_type_of_timestamp
  FROM by_hand h FULL JOIN messages m ON timeless(h.message) = timeless(m.message);

-- What is too long loses its columns, then its id
CREATE TABLE pages (id text PRIMARY KEY, body text);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON pages FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('channel=messages',
  'payload={"body":"{body}","op":"{$operation}","id":"{$id}","url":"/pages/{$id}","size":["{body}"]}');
TRUNCATE received;
\o results/payloads.received
INSERT INTO pages VALUES ('short', repeat('b', 3900)), ('long', repeat('b', 4000)), (repeat('i', 3900), 'x'), (repeat('i', 4000), 'x');
SELECT test_cache_invalidation('app.probe')->>'success' AS all_sent \gset
SELECT 1;
\o
\echo :all_sent
\copy received (line) FROM 'results/payloads.received' WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')
SELECT octet_length(substring(line FROM 'with payload "(.*)" received from server process')) AS bytes, left(message->>'id', 9) AS id,
       (SELECT string_agg(key, ' ' ORDER BY key COLLATE "C") FROM jsonb_object_keys(message) key) AS members
  FROM messages JOIN received USING (number) ORDER BY number;

UNLISTEN *;
SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
DROP ROLE regress_cache_owner;
