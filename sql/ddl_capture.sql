-- What changes the rows of a table and fires no row trigger: TRUNCATE, partitions that come and go, DROP, rewritten
-- values; and DDL that would leave a trigger behind which cannot do its work.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all

CREATE SCHEMA app;
SET search_path = app, public;
CREATE FUNCTION attach(place regclass, VARIADIC arguments text[]) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  EXECUTE format('CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation(%s)',
                 place, (SELECT string_agg(quote_literal(a), ', ') FROM unnest(arguments) a));
END $$;
CREATE FUNCTION noted() RETURNS TABLE (tx bigint, item text) LANGUAGE sql SECURITY DEFINER SET search_path = public AS
  'SELECT tx, item FROM journal.waiting()';

-- An ordinary role, who owns what he changes
CREATE ROLE regress_cache_owner;
GRANT USAGE, CREATE ON SCHEMA app TO regress_cache_owner;
GRANT USAGE ON FOREIGN SERVER cache TO regress_cache_owner;
SET ROLE regress_cache_owner;

-- ---- TRUNCATE

CREATE TABLE t (id integer PRIMARY KEY, a integer, b text);
CREATE TABLE other (id integer PRIMARY KEY);
CREATE TABLE child (id integer PRIMARY KEY, t_id integer REFERENCES t);
CREATE TABLE uncovered (id integer REFERENCES t);
SELECT attach('t', 'key=t:{id}', 'key=fixed', 'pattern=t:{a}:*'), attach('other', 'key=other:{id}', 'channel='), attach('child', 'key=child:{t_id.a}:{id}');
INSERT INTO t VALUES (1, 10, 'one');
INSERT INTO other VALUES (1);
SELECT count(*) FROM noted();

-- Named, with others, by CASCADE; where there is a TRUNCATE trigger too it is one message
TRUNCATE t, other, t CASCADE;
SELECT * FROM noted();
INSERT INTO t VALUES (1, 10, 'one');
INSERT INTO child VALUES (7, 1);
SELECT count(*) FROM noted();
TRUNCATE t CASCADE;
CREATE TRIGGER gone AFTER TRUNCATE ON t EXECUTE FUNCTION notify_cache_invalidation('key=t:{id}', 'key=fixed', 'pattern=t:{a}:*');
TRUNCATE t CASCADE;
TRUNCATE uncovered;
SELECT * FROM noted();

-- Within a transaction: folded with what the rows gave, taken back with the savepoint; nothing of a table that is
-- known to be empty, because nobody else can write to it
BEGIN;
INSERT INTO other VALUES (2);
SAVEPOINT a;
TRUNCATE other;
ROLLBACK TO a;
COMMIT;
BEGIN;
SAVEPOINT a;
TRUNCATE other;
RELEASE a;
TRUNCATE other;
COMMIT;
BEGIN;
LOCK TABLE other;
TRUNCATE other;
COMMIT;
BEGIN;
CREATE TABLE fresh (id integer);
SELECT attach('fresh', 'key=fresh:{id}');
COPY fresh FROM stdin;
1
\.
TRUNCATE fresh;
COMMIT;
SELECT * FROM noted();

-- A statement that fails, in a block that catches it, and inside another one
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$;
CREATE FUNCTION truncate_other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  BEGIN
    TRUNCATE app.child;
  EXCEPTION WHEN raise_exception THEN
    TRUNCATE app.other;
  END;
  RETURN NULL;
END $$;
CREATE TRIGGER fail BEFORE TRUNCATE ON child EXECUTE FUNCTION fail();
CREATE TRIGGER truncate_other BEFORE TRUNCATE ON fresh EXECUTE FUNCTION truncate_other();
TRUNCATE fresh;
DROP TRIGGER fail ON child;
DROP TRIGGER truncate_other ON fresh;
RESET ROLE;
CREATE ROLE regress_cache_stranger;
GRANT USAGE ON SCHEMA app TO regress_cache_stranger;
SET ROLE regress_cache_stranger;
TRUNCATE app.t;
RESET ROLE;
GRANT TRUNCATE ON t, other TO regress_cache_stranger;
SET ROLE regress_cache_stranger;
TRUNCATE app.other;
RESET ROLE;
SELECT * FROM noted();

-- Firing modes, as the row trigger has them
ALTER TABLE other DISABLE TRIGGER cache;
TRUNCATE other;
ALTER TABLE other ENABLE REPLICA TRIGGER cache;
TRUNCATE other;
ALTER TABLE other ENABLE TRIGGER cache;
SET session_replication_role = replica;
TRUNCATE other;
ALTER TABLE other ENABLE REPLICA TRIGGER cache;
TRUNCATE other;
ALTER TABLE other ENABLE ALWAYS TRIGGER cache;
TRUNCATE other;
RESET session_replication_role;
TRUNCATE other;
SET cache_invalidate.enabled = off;
TRUNCATE other;
RESET cache_invalidate.enabled;
SELECT * FROM noted();
SET ROLE regress_cache_owner;

-- Partitions: a single leaf, all of them; the root's name, once. Columns in another order
CREATE TABLE events (region text, id integer, title text, note text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE events_eu PARTITION OF events FOR VALUES IN ('eu');
CREATE TABLE events_as PARTITION OF events FOR VALUES IN ('as') PARTITION BY RANGE (id);
CREATE TABLE events_as_1 PARTITION OF events_as FOR VALUES FROM (0) TO (100);
CREATE TABLE events_us (title text, gone integer, note text, id integer NOT NULL, region text NOT NULL);
ALTER TABLE events_us DROP COLUMN gone;
SELECT attach('events', 'key=event:{region}:{id}', 'fields=title');
INSERT INTO events VALUES ('eu', 1, 'a'), ('as', 1, 'b');
SELECT count(*) FROM noted();
TRUNCATE events_eu;
TRUNCATE events;
TRUNCATE events_as_1;
TRUNCATE events;
SELECT * FROM noted();

-- ---- Partitions that come and go

-- Without rows they cost nothing
ALTER TABLE events ATTACH PARTITION events_us FOR VALUES IN ('us');
ALTER TABLE events DETACH PARTITION events_us;
INSERT INTO events_us (region, id) VALUES ('us', 1);
DELETE FROM events_us;
ALTER TABLE events ATTACH PARTITION events_us FOR VALUES IN ('us');
ALTER TABLE events DETACH PARTITION events_us;
ALTER TABLE IF EXISTS no_such_table DETACH PARTITION events_us;
SELECT * FROM noted();
INSERT INTO events_us (region, id) VALUES ('us', 1);
ALTER TABLE events ATTACH PARTITION events_us FOR VALUES IN ('us');
INSERT INTO events_us (region, id) VALUES ('us', 2);
UPDATE events SET region = 'eu' WHERE id = 2;
ALTER TABLE events DETACH PARTITION events_us;
SELECT * FROM noted();

-- A partition with partitions, of a partition
CREATE TABLE events_as_2 (id integer NOT NULL, note text, region text NOT NULL, title text) PARTITION BY RANGE (id);
CREATE TABLE events_as_2_1 PARTITION OF events_as_2 FOR VALUES FROM (100) TO (150);
CREATE TABLE events_as_2_2 PARTITION OF events_as_2 FOR VALUES FROM (150) TO (200);
INSERT INTO events_as_2 VALUES (160, NULL, 'as', 'deep');
ALTER TABLE events_as ATTACH PARTITION events_as_2 FOR VALUES FROM (100) TO (200);
UPDATE events SET title = 'deeper' WHERE id = 160;
TRUNCATE events_as_2_2;
INSERT INTO events VALUES ('as', 170, 'again');
ALTER TABLE events DETACH PARTITION events_as;
SELECT * FROM noted();

-- Taken back
BEGIN;
SAVEPOINT a;
ALTER TABLE events ATTACH PARTITION events_us FOR VALUES IN ('us');
ROLLBACK TO a;
COMMIT;
BEGIN;
ALTER TABLE events ATTACH PARTITION events_us FOR VALUES IN ('us');
ALTER TABLE events DETACH PARTITION events_us;
COMMIT;
SELECT * FROM noted();

-- CONCURRENTLY takes two transactions: the rows are out of sight after the first
ALTER TABLE events ATTACH PARTITION events_us FOR VALUES IN ('us');
SELECT count(*) FROM noted();
ALTER TABLE events DETACH PARTITION events_us CONCURRENTLY;
SELECT * FROM noted();
BEGIN;
ALTER TABLE events DETACH PARTITION events_eu CONCURRENTLY;
ROLLBACK;
ALTER TABLE events DETACH PARTITION events_us CONCURRENTLY;
ALTER TABLE events DETACH PARTITION events_us FINALIZE;
SELECT * FROM noted();

-- Firing modes
ALTER TABLE events DISABLE TRIGGER cache;
ALTER TABLE events ATTACH PARTITION events_us FOR VALUES IN ('us');
ALTER TABLE events ENABLE TRIGGER cache;
RESET ROLE;
SET cache_invalidate.enabled = off;
ALTER TABLE events DETACH PARTITION events_us;
RESET cache_invalidate.enabled;
SET ROLE regress_cache_owner;
SELECT * FROM noted();

-- ---- DROP

-- A partition, a table, what a schema and a role hold; by the rule as it is before the command
DROP TABLE events_eu;
CREATE TABLE d (id integer PRIMARY KEY, t_id integer REFERENCES t);
SELECT attach('d', 'key=d:{id}', 'key={t_id.b}');
INSERT INTO t VALUES (1, 10, 'one');
INSERT INTO d VALUES (1, 1);
SELECT * FROM noted();
DROP TABLE d;
SELECT * FROM noted();
RESET ROLE;
CREATE SCHEMA doomed;
CREATE TABLE doomed.d (id integer PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE doomed.d1 PARTITION OF doomed.d FOR VALUES IN (1);
CREATE TABLE doomed.d2 PARTITION OF doomed.d FOR VALUES IN (2);
SELECT attach('doomed.d', 'key=doomed:{id}');
INSERT INTO doomed.d VALUES (1);
CREATE TABLE doomed.e (id integer PRIMARY KEY);
SELECT attach('doomed.e', 'key=doomed:e:{id}');
SELECT count(*) FROM noted();
SET client_min_messages = warning;
DROP SCHEMA doomed CASCADE;
RESET client_min_messages;
SELECT * FROM noted();
CREATE ROLE regress_cache_leaver;
GRANT CREATE, USAGE ON SCHEMA app TO regress_cache_leaver;
GRANT regress_cache_owner TO regress_cache_leaver;
SET ROLE regress_cache_leaver;
CREATE TABLE left_behind (id integer);
SELECT attach('left_behind', 'key=left:{id}');
INSERT INTO left_behind VALUES (1);
RESET ROLE;
SELECT count(*) FROM noted();
DROP OWNED BY regress_cache_leaver;
DROP ROLE regress_cache_leaver;
SELECT * FROM noted();

-- Nothing: empty, made in the same transaction, taken back, trigger disabled, only the trigger
SET ROLE regress_cache_owner;
CREATE TABLE d (id integer PRIMARY KEY);
SELECT attach('d', 'key=d:{id}');
DROP TABLE d;
BEGIN;
CREATE TABLE d (id integer PRIMARY KEY);
INSERT INTO d VALUES (1);
SELECT attach('d', 'key=d:{id}');
DROP TABLE d;
COMMIT;
CREATE TABLE d (id integer PRIMARY KEY);
INSERT INTO d VALUES (1);
SELECT attach('d', 'key=d:{id}');
BEGIN;
SAVEPOINT a;
DROP TABLE d;
ROLLBACK TO a;
DROP TRIGGER cache ON d;
COMMIT;
SELECT attach('d', 'key=d:{id}');
CREATE OR REPLACE TRIGGER cache AFTER DELETE ON d FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=d:{id}');
ALTER TABLE d DROP COLUMN id CASCADE;
DROP TABLE d;
CREATE TABLE d (id integer PRIMARY KEY);
INSERT INTO d VALUES (1);
SELECT attach('d', 'key=d:{id}');
ALTER TABLE d DISABLE TRIGGER cache;
DROP TABLE d;
CREATE TABLE d (id integer PRIMARY KEY);
CREATE TRIGGER gone AFTER TRUNCATE ON d EXECUTE FUNCTION notify_cache_invalidation('key=d:{id}');
INSERT INTO d VALUES (1);
DROP TABLE d;
SELECT * FROM noted();

-- In a session that has done nothing else before
RESET ROLE;
CREATE TABLE d (id integer PRIMARY KEY);
INSERT INTO d VALUES (1);
SELECT attach('d', 'key=d:{id}');
\c -
SET search_path = app, public;
DROP TABLE d;
SELECT * FROM noted();
SET ROLE regress_cache_owner;

-- Trigger and table one after the other: nobody has told the caches between them
CREATE TABLE d (id integer PRIMARY KEY);
INSERT INTO d VALUES (1);
SELECT attach('d', 'key=d:{id}');
BEGIN;
SAVEPOINT a;
DROP TRIGGER cache ON d;
RELEASE a;
DROP TABLE d;
COMMIT;
CREATE TABLE d (id integer PRIMARY KEY);
INSERT INTO d VALUES (1);
SELECT attach('d', 'key=d:{id}');
DROP TRIGGER cache ON d;
DROP TABLE d;
CREATE TABLE d (id integer PRIMARY KEY);
SELECT attach('d', 'key=d:{id}');
INSERT INTO d VALUES (1);
DO $$ BEGIN
  DROP TABLE app.d;
  RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN NULL;
END $$;
SELECT count(*) FROM d;
DROP TABLE d;
SELECT * FROM noted();

-- Temporary tables have nothing to do with it
BEGIN;
CREATE TEMPORARY TABLE temporary (id integer PRIMARY KEY, other_id integer REFERENCES temporary) ON COMMIT DROP;
INSERT INTO temporary VALUES (1);
TRUNCATE temporary;
ALTER TABLE temporary ADD COLUMN r float8 DEFAULT random();
ALTER TABLE temporary RENAME COLUMN r TO s;
COMMIT;
SELECT * FROM noted();

-- ---- Rewritten values

CREATE TABLE r (id integer PRIMARY KEY, a integer, b text);
SELECT attach('r', 'key=r:{id}');
INSERT INTO r VALUES (1, 2, 'x');
SELECT count(*) FROM noted();
ALTER TABLE r ALTER COLUMN b TYPE varchar(10) USING upper(b);
ALTER TABLE r ADD COLUMN c float8 DEFAULT random(), ADD COLUMN d integer GENERATED ALWAYS AS (a + 1) STORED;
SELECT * FROM noted();
-- These move rows, or nothing at all
ALTER TABLE r ADD COLUMN e integer DEFAULT 5;
ALTER TABLE r ALTER COLUMN b TYPE text;
ALTER TABLE r SET (fillfactor = 50);
VACUUM FULL r;
CLUSTER r USING r_pkey;
ALTER TABLE r SET UNLOGGED;
ALTER TABLE r SET LOGGED;
BEGIN;
SAVEPOINT a;
ALTER TABLE r ALTER COLUMN c TYPE numeric USING c + 1;
ROLLBACK TO a;
COMMIT;
BEGIN;
CREATE TABLE r2 (id integer);
SELECT attach('r2', 'key=r2:{id}');
INSERT INTO r2 VALUES (1);
ALTER TABLE r2 ADD COLUMN c float8 DEFAULT random();
COMMIT;
SELECT * FROM noted();
-- nor has an empty table values
ALTER TABLE r2 DISABLE TRIGGER cache;
TRUNCATE r2;
ALTER TABLE r2 ENABLE TRIGGER cache;
ALTER TABLE r2 ADD COLUMN d float8 DEFAULT random();
SELECT * FROM noted();
-- Partitions: in one message; tables of a type
ALTER TABLE events ATTACH PARTITION events_as DEFAULT;
SELECT count(*) FROM noted();
ALTER TABLE events ALTER COLUMN note TYPE varchar(20) USING 'changed';
SELECT * FROM noted();
CREATE TYPE pair AS (id integer, b integer);
CREATE TABLE pairs OF pair;
SELECT attach('pairs', 'key=pair:{id}');
INSERT INTO pairs VALUES (1, 2);
SELECT count(*) FROM noted();
ALTER TYPE pair ALTER ATTRIBUTE b TYPE text CASCADE;
SELECT * FROM noted();
-- SET EXPRESSION came with 17
SELECT current_setting('server_version_num')::integer >= 170000 AS has_set_expression \gset
\if :has_set_expression
ALTER TABLE r ALTER COLUMN d SET EXPRESSION AS (a + 2);
\else
ALTER TABLE r DROP COLUMN d, ADD COLUMN d integer GENERATED ALWAYS AS (a + 2) STORED;
\endif
SELECT * FROM noted();

-- ---- Names

-- A column that a trigger names keeps its name; one that it only uses, or does not know, does not
CREATE TABLE n (id integer PRIMARY KEY, a integer, b integer, c integer, d integer, e integer, t_id integer REFERENCES t);
SELECT attach('n', 'key=n:{a}', 'fields=x=b', 'columns=c');
ALTER TABLE n RENAME COLUMN a TO z;
\set VERBOSITY terse
ALTER TABLE n RENAME b TO z;
ALTER TABLE n RENAME COLUMN c TO z;
\set VERBOSITY default
ALTER TABLE n RENAME COLUMN d TO z;
ALTER TABLE n RENAME COLUMN id TO key;
INSERT INTO n VALUES (1, 2, 3);
SELECT * FROM noted();
-- As the hint says
BEGIN;
DROP TRIGGER cache ON n;
ALTER TABLE n RENAME COLUMN a TO z1;
SELECT attach('n', 'key=n:{z1}');
COMMIT;
-- On the way over a foreign key, and of the table at its end
CREATE TRIGGER paths AFTER INSERT ON n FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key={t_id.a}');
ALTER TABLE n RENAME COLUMN t_id TO z2;
CREATE TABLE far (id integer PRIMARY KEY, a integer, b integer);
CREATE TABLE near (far_id integer REFERENCES far);
CREATE TRIGGER paths AFTER INSERT ON near FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key={far_id.a}');
ALTER TABLE far RENAME COLUMN a TO z2;
ALTER TABLE far RENAME COLUMN b TO z2;
ALTER TABLE far RENAME COLUMN id TO key;
-- Of a TRUNCATE trigger too
CREATE TRIGGER gone AFTER TRUNCATE ON n EXECUTE FUNCTION notify_cache_invalidation('key=n:{e}');
ALTER TABLE n RENAME COLUMN e TO z3;
-- From above: partitions, inheritance, the type of a table
ALTER TABLE events RENAME COLUMN id TO number;
ALTER TABLE events RENAME COLUMN title TO headline;
CREATE TABLE parent (id integer, a integer);
CREATE TABLE offspring () INHERITS (parent);
SELECT attach('offspring', 'key=offspring:{a}');
ALTER TABLE parent RENAME COLUMN a TO z;
ALTER TABLE parent RENAME COLUMN id TO key;
ALTER TYPE pair RENAME ATTRIBUTE id TO z CASCADE;
ALTER TYPE pair RENAME ATTRIBUTE b TO z CASCADE;
ALTER TABLE IF EXISTS no_such_table RENAME COLUMN a TO z;
ALTER TABLE n RENAME TO n2;
ALTER TABLE n2 RENAME TO n;
SELECT * FROM noted();

-- ---- Triggers made inside CREATE SCHEMA are checked like any other
RESET ROLE;
CREATE SCHEMA complete
  CREATE TABLE c (id integer PRIMARY KEY)
  CREATE TRIGGER cache AFTER INSERT ON c FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=c:{nope}');
CREATE SCHEMA complete
  CREATE TABLE c (id integer PRIMARY KEY, a integer)
  CREATE TRIGGER cache AFTER INSERT ON c FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=c:{a}')
  CREATE TRIGGER other AFTER INSERT ON complete.c FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation();
\set VERBOSITY terse
ALTER TABLE complete.c DROP COLUMN a;
\set VERBOSITY default
CREATE SCHEMA AUTHORIZATION regress_cache_stranger
  CREATE TABLE c (id integer PRIMARY KEY)
  CREATE TRIGGER cache AFTER INSERT ON c FOR EACH ROW EXECUTE FUNCTION public.notify_cache_invalidation('key=c:{nope}');
CREATE SCHEMA empty;
DROP SCHEMA complete, empty CASCADE;

-- ---- What a trigger will not see
SET ROLE regress_cache_owner;
CREATE TABLE grandchild () INHERITS (offspring);
ALTER TABLE grandchild NO INHERIT offspring;
INSERT INTO grandchild VALUES (1, 1);
ALTER TABLE grandchild INHERIT offspring;
SELECT * FROM noted();
CREATE TABLE great_grandchild () INHERITS (grandchild);
SELECT attach('grandchild', 'key=offspring:{a}');
ALTER TABLE grandchild NO INHERIT offspring;
ALTER TABLE grandchild INHERIT offspring;
SELECT attach('parent', 'key=parent:{key}');
SELECT * FROM noted();
-- Whoever stands further above shows its rows too
ALTER TABLE grandchild NO INHERIT offspring;
SELECT * FROM noted();
ALTER TABLE grandchild INHERIT offspring;
SELECT * FROM noted();
CREATE UNLOGGED TABLE unlogged (id integer);
SELECT attach('unlogged', 'key=unlogged:{id}');
CREATE TRIGGER gone AFTER TRUNCATE ON unlogged EXECUTE FUNCTION notify_cache_invalidation('key=unlogged:{id}');
RESET ROLE;
CREATE FOREIGN DATA WRAPPER regress_cache_wrapper;
CREATE SERVER regress_cache_elsewhere FOREIGN DATA WRAPPER regress_cache_wrapper;
CREATE FOREIGN TABLE abroad (id integer) SERVER regress_cache_elsewhere;
SELECT attach('abroad', 'key=abroad:{id}');
CREATE TABLE many (id integer, a integer) PARTITION BY LIST (id);
CREATE UNLOGGED TABLE many_1 PARTITION OF many FOR VALUES IN (1);
CREATE FOREIGN TABLE many_2 PARTITION OF many FOR VALUES IN (2) SERVER regress_cache_elsewhere;
SELECT attach('many', 'key=many:{id}');
-- Whose rows cannot be counted
SELECT count(*) FROM noted();
ALTER TABLE many DETACH PARTITION many_2;
ALTER TABLE many ATTACH PARTITION many_2 FOR VALUES IN (2);
DROP FOREIGN TABLE many_2;
ALTER FOREIGN TABLE abroad RENAME COLUMN id TO z;
CREATE FOREIGN TABLE offspring_2 () INHERITS (offspring) SERVER regress_cache_elsewhere;
SELECT * FROM noted();

-- ---- What cannot be noted fails no statement, but it is told, there and in the error log
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE m (id integer PRIMARY KEY, mood mood);
SELECT attach('m', 'key=m:{mood}');
INSERT INTO m VALUES (1, 'sad');
\c -
LOAD 'cache_invalidate';
SET search_path = app, public;
SELECT count(*) FROM noted();
UPDATE pg_type SET typisdefined = false WHERE oid = 'mood'::regtype;
BEGIN;
TRUNCATE m;
SELECT count(*) FROM m;
ROLLBACK;
SELECT * FROM noted();
ALTER TABLE m ADD COLUMN r float8 DEFAULT random();
SELECT * FROM noted();
BEGIN;
DROP TRIGGER cache ON m;
ROLLBACK;
DROP TABLE m;
SELECT * FROM noted();

-- ---- The extension comes and goes
BEGIN;
TRUNCATE other;
SET LOCAL client_min_messages = warning;
DROP EXTENSION cache_invalidate CASCADE;
TRUNCATE t CASCADE;
ALTER TABLE r ADD COLUMN z float8 DEFAULT random();
ALTER TABLE n RENAME COLUMN z1 TO z4;
DROP TABLE r, n;
CREATE TABLE d () INHERITS (offspring);
ROLLBACK;
SELECT * FROM noted();

SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
DROP FOREIGN DATA WRAPPER regress_cache_wrapper CASCADE;
DROP ROLE regress_cache_owner, regress_cache_stranger;
