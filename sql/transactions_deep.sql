-- Transactions that go deep, go on for long, or are cut off: a thousand savepoints, loops of exception blocks in flat
-- memory, statements that fail or are cancelled half-way, also inside our trigger.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all

CREATE SCHEMA app;
SET search_path = app, public;
CREATE TABLE t (id integer PRIMARY KEY, value integer);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=t:{id}', 'fields=value');
-- the keys that came, as ranges
CREATE FUNCTION ranges() RETURNS TABLE (tx bigint, keys int4multirange) LANGUAGE sql AS $$
  SELECT tx, range_agg(int4range(id, id, '[]')) FROM journal.waiting(), LATERAL (SELECT substring(item FROM '^key t:(-?\d+)')::integer AS id) k
   WHERE id IS NOT NULL GROUP BY 1 ORDER BY 1
$$;

-- A thousand savepoints, each with a change; one half is rolled back and written again, otherwise; all are released
\set ECHO none
BEGIN;
SELECT format('SAVEPOINT s%s', i), format('INSERT INTO t VALUES (%s, 0)', i) FROM generate_series(1, 1000) i \gexec
\set ECHO all
ROLLBACK TO s501;
INSERT INTO t SELECT i, 1 FROM generate_series(501, 1500, 2) i;
RELEASE s251;
SAVEPOINT late;
UPDATE t SET value = 2 WHERE id > 1000;
ROLLBACK TO late;
RELEASE s1;
COMMIT;
SELECT count(*), count(*) FILTER (WHERE value = 1) AS again FROM t;
CREATE VIEW told AS SELECT format('key t:%s -> cache', id) AS item FROM t UNION ALL SELECT format('record t INSERT "%s" {"value":%s}', id, value) FROM t;
SELECT count(told.item) AS told, count(w.item) AS noted, count(*) AS different FROM told FULL JOIN journal.waiting() w USING (item);

-- The same, and everything is rolled back to the first: only what comes then
\set ECHO none
BEGIN;
SELECT format('SAVEPOINT s%s', i), format('UPDATE t SET value = 3 WHERE id BETWEEN %s AND %s', i, i + 10) FROM generate_series(1, 1000) i \gexec
\set ECHO all
ROLLBACK TO s1;
UPDATE t SET value = 4 WHERE id = 7;
COMMIT;
SELECT * FROM journal.waiting();

-- Rolled back, and the same key again: by itself, over an outer one, and where the first is in the journal already
DELETE FROM t;
SELECT count(*) > 0 FROM journal.waiting();
BEGIN;
SAVEPOINT a;
INSERT INTO t VALUES (1, 0), (2, 0);
ROLLBACK TO a;
INSERT INTO t VALUES (1, 1);
SAVEPOINT b;
UPDATE t SET value = 2 WHERE id = 1;
INSERT INTO t VALUES (3, 0);
ROLLBACK TO b;
UPDATE t SET value = 3 WHERE id = 1;
COMMIT;
SELECT * FROM journal.waiting();
SET cache_invalidate.max_change_set_memory = '64kB';
BEGIN;
SAVEPOINT a;
INSERT INTO t SELECT i, 0 FROM generate_series(1001, 4000) i;
ROLLBACK TO a;
INSERT INTO t SELECT i, 1 FROM generate_series(2001, 3000) i;
COMMIT;
SELECT * FROM ranges();
BEGIN;
UPDATE t SET value = 2 WHERE id > 1000;
INSERT INTO t SELECT i, 0 FROM generate_series(3001, 6000) i;
SAVEPOINT a;
DELETE FROM t WHERE id > 1000;
INSERT INTO t SELECT i, 0 FROM generate_series(6001, 9000) i;
ROLLBACK TO a;
UPDATE t SET value = 4 WHERE id = 1;
COMMIT;
SELECT * FROM ranges();
RESET cache_invalidate.max_change_set_memory;

-- A cursor that goes on over a savepoint that is rolled back
CREATE FUNCTION touch(which integer) RETURNS integer LANGUAGE sql AS $$ INSERT INTO app.t VALUES (which, 0) RETURNING id $$;
BEGIN;
DECLARE c CURSOR FOR SELECT touch(id) FROM generate_series(101, 110) id;
FETCH c;
SAVEPOINT a;
FETCH c;
ROLLBACK TO a;
FETCH c;
COMMIT;
SELECT * FROM ranges();

-- A hundred thousand exception blocks, every second one rolled back, on few keys: memory stays what it was. Of ours,
-- which no memory context counts, the system tells; where it does not, or tells what valgrind keeps, nothing is compared.
-- In use: a context that was full takes a block of a megabyte for a little more.
CREATE FUNCTION megabytes(OUT contexts numeric, OUT process numeric) LANGUAGE plpgsql AS $$
DECLARE
  pages bigint[] := '{0,0,0}';
BEGIN
  IF (pg_stat_file('/proc/self/statm', true)).modification IS NOT NULL AND pg_read_file('/proc/self/maps') !~ 'vgpreload' THEN
    pages := string_to_array(pg_read_file('/proc/self/statm'), ' ');
  END IF;
  process := (pages[2] - pages[3]) * 4 / 1024.0;
  SELECT sum(used_bytes) / 1048576.0 INTO contexts FROM pg_backend_memory_contexts;
END $$;
CREATE FUNCTION is_flat(before record, "after" record) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  contexts numeric := "after".contexts - before.contexts;
  process numeric := "after".process - before.process;
BEGIN
  RETURN CASE WHEN contexts < 1 AND process < 1 THEN 'flat' ELSE format('grown: contexts by %s MB, process by %s MB', contexts, process) END;
END $$;
CREATE TABLE log (id integer, topic integer GENERATED ALWAYS AS (id % 50) STORED);
CREATE TRIGGER cache AFTER INSERT ON log FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=log:{topic}', 'id={topic}', 'fields=id');
CREATE PROCEDURE try(times integer) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. times LOOP
    BEGIN
      INSERT INTO app.log VALUES (i);
      IF i % 2 = 1 THEN
        RAISE EXCEPTION 'no';
      END IF;
    EXCEPTION WHEN raise_exception THEN
      NULL;
    END;
  END LOOP;
END $$;
DO $$
DECLARE
  before record;
BEGIN
  CALL app.try(1000);
  before := app.megabytes();
  CALL app.try(100000);
  RAISE NOTICE '%', app.is_flat(before, app.megabytes());
END $$;
SELECT count(*) FILTER (WHERE item ~ '^key log:(\d|\d\d) ') AS keys, count(*) FILTER (WHERE item LIKE '%INSERT%{"id":_____%}') AS messages, count(*) FROM journal.waiting();

-- Ten thousand small transactions in one session
SET synchronous_commit = off;
DO $$
DECLARE
  before record;
BEGIN
  FOR i IN 1 .. 11000 LOOP
    INSERT INTO app.log VALUES (i);
    COMMIT;
    IF i = 1000 THEN
      before := app.megabytes();
    END IF;
  END LOOP;
  RAISE NOTICE '%', app.is_flat(before, app.megabytes());
END $$;
RESET synchronous_commit;
SELECT count(DISTINCT tx), count(*) FROM journal.waiting();

-- A statement that fails half-way, behind rows that our trigger has seen: by a constraint, by somebody else's trigger
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.id = 2500 THEN
    IF NEW.value = 1 THEN
      RAISE EXCEPTION 'no';
    ELSIF NEW.value = 2 THEN
      PERFORM pg_cancel_backend(pg_backend_pid());
    ELSIF NEW.value = 3 THEN
      PERFORM pg_sleep(60);
    END IF;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER z_after_ours AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION fail();
DELETE FROM t;
SELECT count(*) > 0 FROM journal.waiting();
\set VERBOSITY terse
INSERT INTO t SELECT i % 900, 0 FROM generate_series(1, 1000) i;
INSERT INTO t SELECT i, 1 FROM generate_series(1, 3000) i;
BEGIN;
INSERT INTO t VALUES (1, 0);
SAVEPOINT a;
INSERT INTO t SELECT i, 1 FROM generate_series(2, 3000) i;
ROLLBACK TO a;
INSERT INTO t VALUES (2, 0);
COMMIT;
SELECT * FROM ranges();
SET cache_invalidate.max_change_set_memory = '64kB';
INSERT INTO t SELECT i, 1 FROM generate_series(3, 3000) i;
BEGIN;
INSERT INTO t SELECT i, 0 FROM generate_series(3, 1000) i;
SAVEPOINT a;
INSERT INTO t SELECT i, 1 FROM generate_series(1001, 3000) i;
ROLLBACK TO a;
INSERT INTO t VALUES (1500, 0);
COMMIT;
SELECT * FROM ranges();

-- Cancelled half-way: by a request, by a timeout; the transaction is over, unless a block waits for just that
DELETE FROM t WHERE id > 2;
SELECT count(*) > 0 FROM journal.waiting();
INSERT INTO t SELECT i, 2 FROM generate_series(3, 3000) i;
BEGIN;
UPDATE t SET value = 4 WHERE id = 1;
SET LOCAL statement_timeout = '100ms';
INSERT INTO t SELECT i, 3 FROM generate_series(3, 3000) i;
COMMIT;
BEGIN;
UPDATE t SET value = 4 WHERE id = 1;
SAVEPOINT a;
SET LOCAL statement_timeout = '100ms';
INSERT INTO t SELECT i, 3 FROM generate_series(3, 3000) i;
ROLLBACK TO a;
COMMIT;
DO $$ BEGIN
  UPDATE app.t SET value = 5 WHERE id = 1;
  BEGIN
    INSERT INTO app.t SELECT i, 2 FROM generate_series(3, 3000) i;
  EXCEPTION WHEN query_canceled THEN
    UPDATE app.t SET value = 6 WHERE id = 2;
  END;
END $$;
SELECT * FROM ranges();
RESET cache_invalidate.max_change_set_memory;

-- Cancelled inside our trigger, in the output function of a type: it is the user's wish, and not a value that
-- cannot be read
SET client_min_messages = warning;
CREATE TYPE slow;
CREATE FUNCTION slow_in(cstring) RETURNS slow LANGUAGE internal IMMUTABLE STRICT AS 'float8in';
CREATE FUNCTION slow_out(slow) RETURNS cstring LANGUAGE internal STABLE STRICT AS 'pg_sleep';
CREATE TYPE slow (INPUT = slow_in, OUTPUT = slow_out, LIKE = double precision);
RESET client_min_messages;
CREATE TABLE waits (id integer PRIMARY KEY, seconds slow);
CREATE TRIGGER cache AFTER INSERT OR DELETE ON waits FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=waits:{id}:{seconds}', 'key=wait:{id}');
BEGIN;
INSERT INTO waits VALUES (1, NULL);
SET LOCAL statement_timeout = '100ms';
INSERT INTO waits VALUES (2, '600');
COMMIT;
BEGIN;
INSERT INTO waits VALUES (3, NULL);
SAVEPOINT a;
SET LOCAL statement_timeout = '100ms';
INSERT INTO waits VALUES (4, '600');
ROLLBACK TO a;
COMMIT;
SELECT id FROM waits;
SELECT * FROM journal.waiting();
\set VERBOSITY default

SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
