-- Exactly the committed changes: rollbacks, savepoints, exception blocks, commits inside procedures, and the same
-- when a transaction's changes do not fit its memory. One row of the journal for an ordinary transaction.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all

CREATE SCHEMA app;
SET search_path = app, public;
CREATE TABLE t (id integer PRIMARY KEY, value integer);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=t:{id}', 'fields=value');

-- Nothing of what is rolled back, or fails
BEGIN;
INSERT INTO t VALUES (1, 1);
ROLLBACK;
BEGIN;
INSERT INTO t VALUES (1, 1);
SELECT 1 / 0;
COMMIT;
INSERT INTO t VALUES (1, 1), (2, 1 / (SELECT 0));
SELECT * FROM journal.waiting();

-- Many statements, one row; each key and each record once, in its last state
BEGIN;
INSERT INTO t VALUES (1, 1), (2, 1);
UPDATE t SET value = 2;
UPDATE t SET value = 3 WHERE id = 2;
INSERT INTO t SELECT i, 0 FROM generate_series(3, 12) i;
DELETE FROM t WHERE id > 2;
COMMIT;
SELECT * FROM journal.waiting();

-- Savepoints: what was done under one goes with it, what was done outside stays as it was
BEGIN;
UPDATE t SET value = 10 WHERE id = 1;
SAVEPOINT a;
UPDATE t SET value = 11 WHERE id = 1;
UPDATE t SET value = 11 WHERE id = 2;
INSERT INTO t VALUES (20, 11);
ROLLBACK TO a;
INSERT INTO t VALUES (21, 12);
COMMIT;
SELECT * FROM journal.waiting();

-- Released, released and rolled back with the outer one, rolled back twice
BEGIN;
SAVEPOINT a;
INSERT INTO t VALUES (30, 1);
SAVEPOINT b;
INSERT INTO t VALUES (31, 1);
RELEASE b;
ROLLBACK TO a;
INSERT INTO t VALUES (32, 1);
ROLLBACK TO a;
SAVEPOINT b;
INSERT INTO t VALUES (33, 1);
SAVEPOINT c;
INSERT INTO t VALUES (34, 1);
ROLLBACK TO c;
INSERT INTO t VALUES (35, 1);
RELEASE a;
COMMIT;
SELECT * FROM journal.waiting();

-- A delete that a savepoint takes back, over an insert of the same transaction and over an older row
BEGIN;
INSERT INTO t VALUES (40, 1);
SAVEPOINT a;
DELETE FROM t WHERE id IN (1, 40);
ROLLBACK TO a;
COMMIT;
SELECT * FROM journal.waiting();

-- Forty deep, and the inner half is rolled back
DO $$
DECLARE
  code text := 'INSERT INTO app.t VALUES (200, 0);';
BEGIN
  FOR level IN 1 .. 40 LOOP
    code := format('BEGIN INSERT INTO app.t VALUES (%s, 0); %s %s EXCEPTION WHEN division_by_zero THEN NULL; END;',
                   100 + level, code, CASE WHEN level = 20 THEN 'PERFORM 1 / 0;' END);
  END LOOP;
  EXECUTE format('DO %L', 'BEGIN ' || code || ' END');
END $$;
SELECT count(*) FILTER (WHERE item LIKE 'key%') AS keys, count(*) FILTER (WHERE item NOT LIKE 'key%') AS messages, count(DISTINCT "row") AS rows,
       min(substring(item FROM 't:(\d+)')), max(substring(item FROM 't:(\d+)'))
  FROM journal.waiting();
SELECT count(*), min(id), max(id) FROM t WHERE id > 100;

-- Exception blocks in a loop
DO $$ BEGIN
  FOR i IN 1 .. 10000 LOOP
    BEGIN
      INSERT INTO app.t VALUES (i + 1000, i);
      IF i % 2000 <> 0 THEN
        RAISE EXCEPTION 'no';
      END IF;
    EXCEPTION WHEN raise_exception THEN
      NULL;
    END;
  END LOOP;
END $$;
SELECT * FROM journal.waiting();

-- A row that was inserted before and fails on a duplicate under an exception block
DO $$ BEGIN
  INSERT INTO app.t VALUES (50, 1);
  BEGIN
    UPDATE app.t SET value = 2 WHERE id = 50;
    INSERT INTO app.t VALUES (51, 1), (50, 1);
  EXCEPTION WHEN unique_violation THEN
    UPDATE app.t SET value = 3 WHERE id = 50;
  END;
END $$;
SELECT * FROM journal.waiting();

-- Commits and rollbacks inside a procedure: each transaction for itself
CREATE PROCEDURE steps() LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 60 .. 63 LOOP
    INSERT INTO app.t VALUES (i, 0);
    IF i % 2 = 0 THEN
      COMMIT;
    ELSE
      ROLLBACK;
    END IF;
  END LOOP;
END $$;
CALL steps();
SELECT * FROM journal.waiting();

-- A statement list in one message of the protocol is one transaction
INSERT INTO t VALUES (70, 0) \; UPDATE t SET value = 1 WHERE id = 70;
SELECT * FROM journal.waiting();

-- Truncated and dropped tables, and the trigger itself, within the transaction that was captured
BEGIN;
CREATE TABLE fleeting (id integer PRIMARY KEY);
CREATE TRIGGER cache AFTER INSERT ON fleeting FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=fleeting:{id}', 'channel=');
INSERT INTO fleeting VALUES (1);
DROP TRIGGER cache ON fleeting;
INSERT INTO fleeting VALUES (2);
CREATE TRIGGER cache AFTER INSERT ON fleeting FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=again:{id}', 'channel=');
INSERT INTO fleeting VALUES (3);
SAVEPOINT a;
ALTER TABLE fleeting ADD COLUMN other integer DEFAULT 7;
CREATE OR REPLACE TRIGGER cache AFTER INSERT ON fleeting FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=other:{other}', 'channel=');
INSERT INTO fleeting VALUES (4);
RELEASE a;
SAVEPOINT a;
CREATE OR REPLACE TRIGGER cache AFTER INSERT ON fleeting FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=never:{other}', 'channel=');
INSERT INTO fleeting VALUES (5);
ROLLBACK TO a;
INSERT INTO fleeting VALUES (6, 8);
DROP TABLE fleeting;
COMMIT;
SELECT * FROM journal.waiting();

-- Serializable and repeatable read
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO t VALUES (80, 0);
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO t VALUES (81, 0);
COMMIT;
BEGIN READ ONLY;
SELECT count(*) FROM t WHERE id = 80;
COMMIT;
SELECT * FROM journal.waiting();

TRUNCATE t;
SELECT * FROM journal.waiting();

-- Beyond its memory a transaction writes early, which itself can see: what is rolled back is not there afterwards
SET cache_invalidate.max_change_set_memory = '64kB';
CREATE VIEW early AS
  SELECT count(*) > 10 AS has_written_early
    FROM (TABLE cache_invalidation_journal_0 UNION ALL TABLE cache_invalidation_journal_1) j (batch),
         journal.read_number(batch, 1) n
   WHERE n.number = pg_current_xact_id()::text::bigint;
CREATE FUNCTION summary() RETURNS TABLE (tx bigint, thousand integer, keys bigint, "different" bigint, messages bigint, with_0 bigint) LANGUAGE sql AS $$
  SELECT tx, id / 1000 * 1000, count(id) FILTER (WHERE is_key), count(DISTINCT id) FILTER (WHERE is_key),
         count(id) FILTER (WHERE NOT is_key), count(id) FILTER (WHERE item LIKE '%{"value":0}')
    FROM journal.waiting(),
         LATERAL (SELECT substring(item FROM '(?:t:|INSERT ")(\d+)')::integer AS id, item LIKE 'key%' AS is_key) parsed
   GROUP BY 1, 2 ORDER BY 1, 2
$$;
BEGIN;
INSERT INTO t SELECT i, 0 FROM generate_series(10000, 19999) i;
TABLE early;
ROLLBACK;
SELECT * FROM summary();
BEGIN;
INSERT INTO t SELECT i, 0 FROM generate_series(10000, 14999) i;
TABLE early;
COMMIT;
SELECT * FROM summary();

-- The same with savepoints: kept; released; rolled back after it was written, with a change of an outer row; kept
BEGIN;
INSERT INTO t SELECT i, 0 FROM generate_series(20000, 20009) i;
SAVEPOINT a;
INSERT INTO t SELECT i, 0 FROM generate_series(30000, 32999) i;
TABLE early;
RELEASE a;
SAVEPOINT b;
UPDATE t SET value = 1 WHERE id = 20009;
INSERT INTO t SELECT i, 0 FROM generate_series(40000, 42999) i;
SAVEPOINT c;
INSERT INTO t SELECT i, 0 FROM generate_series(50000, 52999) i;
RELEASE c;
ROLLBACK TO b;
INSERT INTO t SELECT i, 0 FROM generate_series(60000, 62999) i;
COMMIT;
SELECT * FROM summary();
DO $$ BEGIN
  FOR i IN 1 .. 3 LOOP
    BEGIN
      INSERT INTO app.t SELECT 10000 * (6 + i) + n, 0 FROM generate_series(0, 1999) n;
      IF i = 2 THEN
        RAISE EXCEPTION 'no';
      END IF;
    EXCEPTION WHEN raise_exception THEN
      NULL;
    END;
  END LOOP;
END $$;
SELECT * FROM summary();
DROP VIEW early;

-- Written early at the right level: by a row that adds nothing itself, under a savepoint that is rolled back
CREATE TABLE quiet (id integer PRIMARY KEY, views integer);
CREATE TRIGGER cache AFTER INSERT OR UPDATE ON quiet FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=t:{id}', 'ignore=views', 'channel=');
SET cache_invalidate.max_change_set_memory = '16MB';
BEGIN;
INSERT INTO quiet SELECT i, 0 FROM generate_series(1000, 2999) i;
SET LOCAL cache_invalidate.max_change_set_memory = '64kB';
SAVEPOINT a;
UPDATE quiet SET views = 1 WHERE id < 1010;
ROLLBACK TO a;
COMMIT;
SELECT * FROM summary();
SET cache_invalidate.max_change_set_memory = '64kB';

-- A random walk through exception blocks, with little and with much memory: what is told is what is in the table
CREATE SEQUENCE number;
CREATE PROCEDURE walk(depth integer) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. 4 LOOP
    BEGIN
      INSERT INTO app.t SELECT n + nextval('app.number') * 2000, 0 FROM generate_series(1, (random() * random() * 2000)::integer) n;
      UPDATE app.t SET value = nextval('app.number') WHERE id = -(1 + random() * 9)::integer;
      IF depth > 0 THEN
        CALL app.walk(depth - 1);
      END IF;
      UPDATE app.t SET value = nextval('app.number') WHERE id = -(1 + random() * 9)::integer;
      IF random() < 0.4 THEN
        RAISE EXCEPTION 'no';
      END IF;
    EXCEPTION WHEN raise_exception THEN
      NULL;
    END;
  END LOOP;
END $$;
CREATE FUNCTION compare() RETURNS TABLE (some_rows boolean, some_changed boolean, missing bigint, too_many bigint, wrong_value bigint) LANGUAGE sql AS $$
  WITH items AS MATERIALIZED (SELECT item FROM journal.waiting()),
  keys AS (SELECT DISTINCT substring(item FROM '^key t:(-?\d+)')::integer AS id FROM items WHERE item LIKE 'key%'),
  messages AS (SELECT substring(item FROM '"(-?\d+)"')::integer AS id, max(substring(item FROM '"value":(\d+)')::integer) AS value
                 FROM items WHERE item LIKE 'record%' GROUP BY 1),
  truth AS (SELECT id, value FROM app.t WHERE id > 0 OR value > 0)
  SELECT (SELECT count(*) FROM truth WHERE id > 0) > 1000, (SELECT count(*) FROM truth WHERE id < 0) > 1,
         (SELECT count(*) FROM truth WHERE id NOT IN (SELECT id FROM keys)),
         (SELECT count(*) FROM keys WHERE id NOT IN (SELECT id FROM truth)),
         (SELECT count(*) FROM truth FULL JOIN messages USING (id, value) WHERE truth IS NULL OR messages IS NULL)
$$;
DO $$ BEGIN
  PERFORM setseed(0.25);
END $$;
TRUNCATE t;
INSERT INTO t SELECT -i, 0 FROM generate_series(1, 10) i;
SELECT count(*) FROM journal.waiting();
CALL walk(2);
SELECT * FROM compare();
RESET cache_invalidate.max_change_set_memory;
TRUNCATE t;
INSERT INTO t SELECT -i, 0 FROM generate_series(1, 10) i;
SELECT count(*) FROM journal.waiting();
CALL walk(2);
SELECT * FROM compare();
SET cache_invalidate.max_change_set_memory = '64kB';

-- An ordinary transaction after it is one row again
INSERT INTO t VALUES (0, 0);
SELECT * FROM journal.waiting();
RESET cache_invalidate.max_change_set_memory;

-- DROP EXTENSION in a transaction that has captured: nobody is left to tell
BEGIN;
INSERT INTO t VALUES (-100, 0);
SET LOCAL client_min_messages = warning;
DROP EXTENSION cache_invalidate CASCADE;
COMMIT;
INSERT INTO t VALUES (-101, 0);
SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass;

SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
