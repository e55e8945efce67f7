-- explain_cache_invalidation(): what a change would send and where to. What it says is what the journal gets when the
-- change is made.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all
\set SHOW_CONTEXT never

CREATE SCHEMA app;
SET search_path = app, public;
-- The same, but for what differs from run to run
CREATE FUNCTION explain(rel regclass, operation text, old jsonb DEFAULT NULL, new jsonb DEFAULT NULL)
  RETURNS TABLE (trigger_name name, kind text, item text, server name, channel text) LANGUAGE sql AS $$
  SELECT e.trigger_name, e.kind,
         regexp_replace(regexp_replace(e.item, '"timestamp":[0-9.]+,"batch_id":"[0-9]+"', '..'), '"timestamp":"[^"]+"', '..'), e.server, e.channel
    FROM public.explain_cache_invalidation(rel, operation, old, new) e
$$;

-- The result as it is: times of now, and the transaction's id, 0 while it has none
CREATE TABLE plain (id integer PRIMARY KEY);
CREATE TRIGGER cache AFTER INSERT OR UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=plain:{id}', 'server=cache');
SELECT * FROM explain_cache_invalidation('plain', 'DELETE', '{"id": 1}') \gdesc
BEGIN;
SELECT trigger_name, kind, server, channel, item::json ->> 'batch_id' AS batch_id,
       abs((item::json ->> 'timestamp')::numeric - extract(epoch FROM clock_timestamp())::numeric) < 60 AS is_now
  FROM explain_cache_invalidation('plain', 'INSERT', new => '{"id": 1}') WHERE kind = 'message';
SELECT pg_current_xact_id_if_assigned() IS NULL AS no_id_taken;
SELECT pg_current_xact_id() AS xid \gset
SELECT item::json ->> 'batch_id' = :'xid' AS is_own FROM explain_cache_invalidation('plain', 'INSERT', new => '{"id": 1}') WHERE kind = 'message';
COMMIT;
BEGIN READ ONLY;
SELECT kind, item FROM explain('plain', 'INSERT', new => '{"id": 1}') WHERE kind = 'key';
COMMIT;

-- Every operation, in any case: both sides of an UPDATE, NULLs, an id that changes, TRUNCATE
CREATE TABLE tasks (id integer PRIMARY KEY, project_id integer, title text);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('resource=task', 'key=task:{id}', 'key=list:{project_id}', 'pattern=t:{title}:*', 'fields=title');
SELECT * FROM explain('tasks', 'INSERT', new => '{"id": 1, "project_id": 10, "title": "o*e"}');
SELECT * FROM explain('tasks', 'update', '{"id": 1, "project_id": 10}', '{"id": 1, "project_id": 11, "title": null}');
SELECT * FROM explain('tasks', 'Update', '{"id": 1, "project_id": 10}', '{"id": 2, "project_id": 10}');
SELECT * FROM explain('tasks', 'DELETE', '{"id": 1, "project_id": 10, "title": "gone"}');
SELECT * FROM explain('tasks', 'truncate');
SELECT * FROM explain('tasks', 'INSERT', new => '{}');
SELECT count(*) FROM journal.waiting();

-- An UPDATE that does not count
CREATE TABLE counted (id integer PRIMARY KEY, price numeric, views integer);
CREATE TRIGGER few AFTER UPDATE ON counted FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=few:{id}', 'columns=price', 'channel=');
CREATE TRIGGER most AFTER UPDATE ON counted FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=most:{id}', 'ignore=views', 'channel=');
CREATE TRIGGER unless_null AFTER INSERT ON counted FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=price:{price}', 'channel=');
SELECT * FROM explain('counted', 'UPDATE', '{"id": 1, "price": 1.0, "views": 1}', '{"id": 1, "price": 1.00, "views": 2}');
SELECT * FROM explain('counted', 'UPDATE', '{"id": 1, "price": 1.0, "views": 1}', '{"id": 1, "price": 1.0, "views": 2}');
SELECT * FROM explain('counted', 'INSERT', new => '{"id": 1}');

-- Several triggers, by name; WHEN and UPDATE OF of each
CREATE TABLE choosy (id integer PRIMARY KEY, a integer, b text);
CREATE TRIGGER c_when AFTER INSERT OR UPDATE ON choosy FOR EACH ROW WHEN (NEW.a > 0) EXECUTE FUNCTION notify_cache_invalidation('key=c:{id}', 'channel=');
CREATE TRIGGER a_of AFTER UPDATE OF a, b ON choosy FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=a:{id}', 'channel=');
CREATE TRIGGER b_row AFTER UPDATE ON choosy FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.* AND NEW.tableoid = 'choosy'::regclass)
  EXECUTE FUNCTION notify_cache_invalidation('key=b:{id}', 'channel=');
CREATE TRIGGER d_gone AFTER DELETE ON choosy FOR EACH ROW WHEN (OLD.b LIKE 'x%') EXECUTE FUNCTION notify_cache_invalidation('key=d:{id}', 'channel=other');
CREATE TRIGGER e_all AFTER TRUNCATE ON choosy WHEN (current_setting('app.cares', true) = 'yes')
  EXECUTE FUNCTION notify_cache_invalidation('key=e:{id}', 'key=e', 'channel=');
CREATE TRIGGER f_before BEFORE UPDATE ON choosy FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
SELECT * FROM explain('choosy', 'UPDATE', '{"id": 1, "a": 1}', '{"id": 1, "a": 2}');
SELECT * FROM explain('choosy', 'UPDATE', '{"id": 1, "a": 1}', '{"id": 2, "a": 1}');
SELECT * FROM explain('choosy', 'UPDATE', '{"id": 1, "a": 0}', '{"id": 1, "a": 0}');
SELECT * FROM explain('choosy', 'INSERT', new => '{"id": 1}');
SELECT * FROM explain('choosy', 'DELETE', '{"id": 1, "b": "xyz"}');
SELECT * FROM explain('choosy', 'DELETE', '{"id": 1, "b": "abc"}');
SELECT * FROM explain('choosy', 'TRUNCATE');
SET app.cares = 'yes';
SELECT * FROM explain('choosy', 'TRUNCATE');

-- Disabled, and enabled for the other kind of session
ALTER TABLE choosy DISABLE TRIGGER a_of;
ALTER TABLE choosy ENABLE REPLICA TRIGGER b_row;
ALTER TABLE choosy ENABLE ALWAYS TRIGGER c_when;
SELECT * FROM explain('choosy', 'UPDATE', '{"id": 1, "a": 1}', '{"id": 1, "a": 2}');
SET session_replication_role = replica;
SELECT * FROM explain('choosy', 'UPDATE', '{"id": 1, "a": 1}', '{"id": 1, "a": 2}');
SELECT * FROM explain('choosy', 'DELETE', '{"id": 1, "b": "xyz"}');
RESET session_replication_role;
SET cache_invalidate.enabled = off;
SELECT * FROM explain('choosy', 'DELETE', '{"id": 1, "b": "xyz"}');
RESET cache_invalidate.enabled;

-- Nothing of ours there
CREATE TABLE bare (id integer PRIMARY KEY, parent integer REFERENCES bare);
CREATE VIEW looking AS SELECT 1 AS id;
SELECT * FROM explain('bare', 'INSERT', new => '{"id": 1}');
SELECT * FROM explain('bare_pkey', 'INSERT', new => '{"id": 1}');
SELECT * FROM explain('looking', 'DELETE', '{"id": 1}');
SELECT * FROM explain('plain', 'DELETE', '{"id": 1}');

-- Paths over foreign keys: looked up; what is not there is widened
CREATE TABLE users (id integer PRIMARY KEY, email text);
CREATE TABLE calls (id bigint PRIMARY KEY, user_id integer REFERENCES users);
CREATE TABLE scores (id integer PRIMARY KEY, call_id bigint REFERENCES calls);
INSERT INTO users VALUES (10, 'a@example.org'), (20, 'b@example.org');
INSERT INTO calls VALUES (100, 10), (200, 20), (400, NULL);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON scores FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=user:{call_id.user_id}', 'key=mail:{call_id.user_id.email}:{id}', 'fields=user=call_id.user_id');
SELECT * FROM explain('scores', 'INSERT', new => '{"id": 1, "call_id": 100}');
SELECT * FROM explain('scores', 'UPDATE', '{"id": 1, "call_id": 100}', '{"id": 1, "call_id": 200}');
SELECT * FROM explain('scores', 'DELETE', '{"id": 1, "call_id": 400}');
SELECT * FROM explain('scores', 'INSERT', new => '{"id": 1, "call_id": 999}');
SELECT kind, item FROM explain('scores', 'TRUNCATE');
-- What it found is not what a trigger finds later in the transaction
BEGIN;
SELECT item FROM explain('scores', 'INSERT', new => '{"id": 1, "call_id": 100}') WHERE kind = 'key';
UPDATE calls SET user_id = 20 WHERE id = 100;
INSERT INTO scores VALUES (1, 100);
UPDATE calls SET user_id = NULL WHERE id = 100;
SELECT item FROM explain('scores', 'INSERT', new => '{"id": 2, "call_id": 100}') WHERE kind = 'key';
UPDATE calls SET user_id = 20 WHERE id = 100;
COMMIT;
SELECT item FROM journal.waiting();

-- What cannot be computed: the error that would be logged, and what is deleted instead
CREATE TABLE changed (id integer PRIMARY KEY, old_name text);
CREATE TRIGGER cache AFTER INSERT ON changed FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=c:{old_name}', 'key=c:{id}', 'channel=');
SET session_replication_role = replica;
ALTER TABLE changed RENAME COLUMN old_name TO new_name;
RESET session_replication_role;
SELECT * FROM explain('changed', 'INSERT', new => '{"id": 1, "new_name": "x"}');

-- Names and values as they are; members that are no columns; a column that was dropped
CREATE TABLE "Odd {name}" ("Id" integer PRIMARY KEY, gone integer, "a b" text, "quo""te" text);
ALTER TABLE "Odd {name}" DROP COLUMN gone;
CREATE TRIGGER "Cache ""It" AFTER INSERT ON "Odd {name}" FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key={Id}:{a b}', 'key={{{"quo""te"}}}', 'channel=My Channel', 'fields=a b');
SELECT * FROM explain('"Odd {name}"', 'INSERT', new => '{"Id": 1, "a b": "é \" \\ {x}", "quo\"te": "%s", "id": 2, "gone": {"id": 3}, "": null}');

-- Every kind of type, from to_jsonb() and from text
CREATE DOMAIN small AS integer CHECK (VALUE < 100);
CREATE TYPE pair AS (a integer, b timestamptz);
CREATE TABLE everything (id small PRIMARY KEY, price numeric(10, 2), at timestamptz, tags text[], doc jsonb, pair pair, code varchar(3), twice integer GENERATED ALWAYS AS (id * 2) STORED);
CREATE TRIGGER cache AFTER INSERT ON everything FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key={id}:{price}:{at}:{tags}:{pair}:{code}:{twice}', 'fields=price,doc,twice', 'format=resource');
SET TimeZone = 'Asia/Kathmandu';
SELECT * FROM explain('everything', 'INSERT', new => to_jsonb(ROW(7, 1.5, 'epoch', '{a,"b c"}', '{"x": [1]}', ROW(1, 'epoch'), 'abc', 14)::everything));
SELECT item FROM explain('everything', 'INSERT', new => '{"id": "7", "price": 1, "at": "1970-01-01 00:00+00", "tags": ["a"], "pair": {"a": 2}, "code": "x"}');
RESET TimeZone;
SELECT * FROM explain('everything', 'INSERT', new => '{"id": "seven"}');
SELECT * FROM explain('everything', 'INSERT', new => '{"id": 700}');

-- A condition on a generated column: STORED, as the row says; VIRTUAL, which there is from 18 on, computed
SELECT CASE WHEN current_setting('server_version_num')::integer >= 180000 THEN 'VIRTUAL' ELSE 'STORED' END AS kind,
       CASE WHEN current_setting('server_version_num')::integer >= 180000 THEN '{"id": 6}' ELSE '{"id": 6, "twice": 12}' END AS described \gset
CREATE TABLE computed (id integer PRIMARY KEY, twice integer GENERATED ALWAYS AS (id * 2) :kind);
CREATE TRIGGER cache AFTER DELETE ON computed FOR EACH ROW WHEN (OLD.twice > 10) EXECUTE FUNCTION notify_cache_invalidation('key=g:{id}', 'channel=');
SELECT * FROM explain('computed', 'DELETE', :'described');
SELECT * FROM explain('computed', 'DELETE', '{"id": 5, "twice": 10}');

-- A partitioned table, and a partition that looks different
CREATE TABLE events (region text, id integer, note text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE events_eu PARTITION OF events FOR VALUES IN ('eu');
CREATE TABLE events_us (gone integer, note text, id integer NOT NULL, region text NOT NULL);
ALTER TABLE events_us DROP COLUMN gone;
ALTER TABLE events ATTACH PARTITION events_us FOR VALUES IN ('us');
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=e:{region}:{id}', 'fields=note');
SELECT * FROM explain('events', 'INSERT', new => '{"region": "eu", "id": 1, "note": "n"}');
SELECT * FROM explain('events_us', 'UPDATE', '{"region": "us", "id": 1, "note": "n"}', '{"region": "us", "id": 1, "note": "m"}');
SELECT * FROM explain('events_eu', 'TRUNCATE');

-- Servers: those that the table's owner may use, with their prefix; none is told too
CREATE SERVER other FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'unix:///nonexistent/other.sock', key_prefix 'app[1]:');
CREATE SERVER asleep FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'unix:///nonexistent/asleep.sock', enabled 'false');
CREATE ROLE regress_cache_owner;
CREATE ROLE regress_cache_member IN ROLE regress_cache_owner;
CREATE ROLE regress_cache_plain;
GRANT USAGE ON SCHEMA app TO regress_cache_owner, regress_cache_plain;
CREATE TABLE owned (id integer PRIMARY KEY, b integer);
CREATE TRIGGER a_all AFTER INSERT ON owned FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=o:{id}', 'pattern=o:{id}:*', 'channel=');
CREATE TRIGGER b_some AFTER INSERT ON owned FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=p:{id}', 'server=asleep,other', 'channel=');
CREATE TRIGGER c_none AFTER INSERT ON owned FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=q:{id}', 'server=asleep', 'channel=');
SELECT * FROM explain('owned', 'INSERT', new => '{"id": 1}');
ALTER TABLE owned OWNER TO regress_cache_owner;
SET ROLE regress_cache_owner;
SELECT * FROM explain('owned', 'INSERT', new => '{"id": 1}');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER cache, other TO regress_cache_owner;
SELECT * FROM explain('owned', 'INSERT', new => '{"id": 1}');
REVOKE USAGE ON FOREIGN SERVER other FROM regress_cache_owner;
-- Only who owns the table, or is a member of the role that does
SET ROLE regress_cache_member;
SELECT * FROM explain('owned', 'INSERT', new => '{"id": 1}');
SET ROLE regress_cache_plain;
SELECT * FROM explain('owned', 'INSERT', new => '{"id": 1}');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT ALL ON owned TO regress_cache_plain;
SET ROLE regress_cache_plain;
SELECT * FROM explain('owned', 'INSERT', new => '{"id": 1}');
SELECT * FROM explain('looking', 'DELETE', '{"id": 1}');
SELECT * FROM explain('pg_catalog.pg_class', 'TRUNCATE');
RESET ROLE;
-- who must be allowed to read what the trigger reads elsewhere
ALTER TABLE scores OWNER TO regress_cache_owner;
SET ROLE regress_cache_owner;
SELECT * FROM explain('scores', 'INSERT', new => '{"id": 1, "call_id": 200}');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT SELECT (user_id, id) ON calls TO regress_cache_owner;
GRANT SELECT ON users TO regress_cache_owner;
SET ROLE regress_cache_owner;
SELECT * FROM explain('scores', 'INSERT', new => '{"id": 1, "call_id": 200}');
RESET ROLE;
ALTER TABLE scores OWNER TO CURRENT_USER;

-- Wrong arguments
SELECT * FROM explain_cache_invalidation('plain', 'UPSERT');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM explain_cache_invalidation('plain', 'INSERT', '{"id": 1}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM explain_cache_invalidation('plain', 'INSERT');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM explain_cache_invalidation('plain', 'INSERT', '{"id": 1}', '{"id": 1}');
SELECT * FROM explain_cache_invalidation('plain', 'UPDATE', '{"id": 1}');
SELECT * FROM explain_cache_invalidation('plain', 'UPDATE', new => '{"id": 1}');
SELECT * FROM explain_cache_invalidation('plain', 'DELETE', new => '{"id": 1}');
SELECT * FROM explain_cache_invalidation('plain', 'DELETE', '{"id": 1}', '{"id": 1}');
SELECT * FROM explain_cache_invalidation('plain', 'TRUNCATE', '{"id": 1}');
SELECT * FROM explain_cache_invalidation('plain', 'INSERT', new => '[{"id": 1}]');
SELECT * FROM explain_cache_invalidation('plain', 'INSERT', new => 'null');
SELECT * FROM explain_cache_invalidation(NULL, 'INSERT', new => '{"id": 1}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM explain_cache_invalidation('plain', NULL);
SELECT * FROM explain_cache_invalidation(1::oid, 'TRUNCATE');
\echo :LAST_ERROR_SQLSTATE

-- What it foretells is what the journal gets. The changes are described once, and made
CREATE TABLE foretold (item text);
CREATE FUNCTION foretell(rel regclass, operation text, old jsonb DEFAULT NULL, new jsonb DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
  WITH told AS MATERIALIZED (SELECT * FROM public.explain_cache_invalidation(rel, operation, old, new))
  INSERT INTO app.foretold
  SELECT DISTINCT format('%s %s -> %s', kind, item, string_agg(server, ',' ORDER BY server COLLATE "C"))
    FROM told WHERE kind IN ('key', 'pattern') AND server IS NOT NULL GROUP BY trigger_name, kind, item
  UNION ALL
  SELECT regexp_replace(item, '^\{"table":"([^"]*)","operation":"([A-Z]*)"(?:,"record_id":"([^"]*)")?(?:,(.*))?,"timestamp":[0-9.]+,"batch_id":"[0-9]+"\}$',
                        'record \1 \2 "\3" {\4}')
    FROM told WHERE kind = 'message'
  UNION ALL
  SELECT format('error %s %s: %s (trigger "cache" of table app.%1$s)', rel, operation, item) FROM told WHERE kind = 'error'
$$;
CREATE FUNCTION compare(OUT told bigint, OUT arrived bigint, OUT differences text[]) LANGUAGE plpgsql AS $$
BEGIN
  CREATE TEMPORARY TABLE came ON COMMIT DROP AS SELECT item FROM journal.waiting();
  SELECT count(*) INTO told FROM foretold;
  SELECT count(*) INTO arrived FROM came;
  SELECT array_agg(coalesce('told: ' || f.item, 'came: ' || c.item)) INTO differences
    FROM foretold f FULL JOIN came c ON f.item = c.item WHERE f.item IS NULL OR c.item IS NULL;
  DELETE FROM foretold;
END $$;
\t on
DROP SERVER other;
DROP SERVER asleep;
CREATE SERVER second FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'unix:///nonexistent/second.sock');
SELECT count(*) FROM journal.waiting();

SELECT foretell('tasks', 'INSERT', NULL, '{"id": 1, "project_id": 10, "title": "o*e \"one\""}');
INSERT INTO tasks VALUES (1, 10, 'o*e "one"');
SELECT * FROM compare();
SELECT foretell('tasks', 'UPDATE', (SELECT to_jsonb(t) FROM tasks t), (SELECT to_jsonb(t) || '{"project_id": 11, "title": null}' FROM tasks t));
UPDATE tasks SET project_id = 11, title = NULL;
SELECT * FROM compare();
SELECT foretell('tasks', 'UPDATE', (SELECT to_jsonb(t) FROM tasks t), (SELECT to_jsonb(t) || '{"id": 2}' FROM tasks t));
UPDATE tasks SET id = 2;
SELECT * FROM compare();
SELECT foretell('tasks', 'UPDATE', (SELECT to_jsonb(t) FROM tasks t), (SELECT to_jsonb(t) FROM tasks t));
UPDATE tasks SET id = id;
SELECT * FROM compare();
SELECT foretell('tasks', 'DELETE', (SELECT to_jsonb(t) FROM tasks t));
DELETE FROM tasks;
SELECT * FROM compare();
SELECT foretell('scores', 'UPDATE', '{"id": 1, "call_id": 100}', '{"id": 1, "call_id": 200}');
UPDATE scores SET call_id = 200;
SELECT * FROM compare();
SELECT foretell('scores', 'DELETE', '{"id": 1, "call_id": 200}');
DELETE FROM scores;
SELECT * FROM compare();
SELECT foretell('changed', 'INSERT', NULL, '{"id": 1, "new_name": "x"}');
INSERT INTO changed VALUES (1, 'x');
SELECT * FROM compare();
SELECT foretell('choosy', 'INSERT', NULL, '{"id": 1, "a": 1, "b": "y"}');
INSERT INTO choosy VALUES (1, 1, 'y');
SELECT * FROM compare();
SELECT foretell('choosy', 'UPDATE', '{"id": 1, "a": 1, "b": "y"}', '{"id": 1, "a": -1, "b": "y"}');
UPDATE choosy SET a = -1;
SELECT * FROM compare();
SELECT foretell('choosy', 'DELETE', '{"id": 1, "a": -1, "b": "y"}');
DELETE FROM choosy;
SELECT * FROM compare();
SELECT foretell('events', 'INSERT', NULL, '{"region": "us", "id": 1, "note": "n"}');
INSERT INTO events VALUES ('us', 1, 'n');
SELECT * FROM compare();
SELECT foretell('owned', 'INSERT', NULL, '{"id": 1}');
INSERT INTO owned VALUES (1);
SELECT * FROM compare();
CREATE TABLE wiped (id integer PRIMARY KEY);
CREATE TRIGGER cache AFTER TRUNCATE ON wiped EXECUTE FUNCTION notify_cache_invalidation('key=w:{id}', 'key=wiped', 'pattern=[w]:{id}:*');
SELECT foretell('wiped', 'TRUNCATE');
TRUNCATE wiped;
SELECT * FROM compare();
-- Values that only just survive their way through JSON
CREATE TABLE types (id integer PRIMARY KEY, b boolean, n numeric, f float8, g real, t text, u uuid, d date, z timestamptz, i interval, x bytea, a numeric[], r tstzrange, c pair, j json);
CREATE TRIGGER cache AFTER DELETE ON types FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key={b}|{n}|{f}|{g}|{t}|{u}|{d}|{z}|{i}|{x}|{a}|{r}|{c}', 'fields=b,n,f,g,t,u,d,z,i,x,a,r,c,j');
INSERT INTO types SELECT n, n % 2 = 0, n / 7.0 - 1, n / 7::float8 - 1, n / 7::real, E'text "\n\u00e9\\' || n, md5(n::text)::uuid, date '2026-01-01' - 500000 * n,
    timestamptz '1970-01-01 00:00:00.000001+00' + n * interval '100 days 7 seconds', n * interval '-1 year 2 days 0.5 seconds', decode(md5(n::text), 'hex'),
    ARRAY[n, 1.00, NULL], tstzrange(timestamptz 'epoch' + n * interval '1 day', NULL), ROW(n, 'epoch')::pair, '{"a": [1.0, "b"]}' FROM generate_series(1, 4) n;
INSERT INTO types (id, f, d, z, n, r, t) VALUES (5, 'NaN', '-infinity', 'infinity', 'NaN', 'empty', ''), (6, '-Infinity', 'infinity', '-infinity', 1e30, NULL, '{"b": 1}');
SELECT count(*) FROM types, foretell('types', 'DELETE', to_jsonb(types));
DELETE FROM types;
SELECT * FROM compare();

\t off
SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
DROP ROLE regress_cache_owner, regress_cache_member, regress_cache_plain;
