-- cache_invalidate.durability = off: what is journalled all the same.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all

CREATE SCHEMA app;
SET search_path = app, public;
CREATE TABLE t (id integer PRIMARY KEY);
CREATE TRIGGER cache AFTER INSERT OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=t:{id}');
SHOW cache_invalidate.durability;
SET cache_invalidate.durability = off;
SET cache_invalidate.durability = 'sometimes';

-- A transaction where no worker answers for what is lost
CREATE FUNCTION app.change_unless_preloaded() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF NOT journal.is_preloaded() THEN
    INSERT INTO app.t VALUES (1);
  END IF;
END $$;
SELECT change_unless_preloaded();
SELECT count(*) = CASE WHEN journal.is_preloaded() THEN 0 ELSE 2 END AS journalled FROM journal.waiting();

-- One that has outgrown its memory
SET cache_invalidate.max_change_set_memory = '64kB';
BEGIN;
INSERT INTO t SELECT n FROM generate_series(10001, 13000) n;
COMMIT;
SELECT count(*) FROM journal.waiting();
RESET cache_invalidate.max_change_set_memory;

-- A reset, with all that its transaction did
BEGIN;
INSERT INTO t VALUES (2);
SELECT reset_cache();
COMMIT;
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";

-- One that rolls back leaves nothing
BEGIN;
INSERT INTO t VALUES (3);
ROLLBACK;
SELECT item FROM journal.waiting();

-- On again, for the rest of a transaction too
BEGIN;
INSERT INTO t VALUES (4);
SET LOCAL cache_invalidate.durability = on;
COMMIT;
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";

-- It is not for everybody
CREATE ROLE regress_cache_plain;
SET ROLE regress_cache_plain;
SET cache_invalidate.durability = on;
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
DROP ROLE regress_cache_plain;
