-- The ways of changing rows that sql/capture.sql leaves out: bulk loads, joins, cursors, views, rules, inheritance,
-- other people's triggers, columns that the server fills in, and parallel plans beside them.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all

CREATE SCHEMA app;
SET search_path = app, public;
-- in an order that does not depend on where the rows lie
CREATE FUNCTION noted() RETURNS TABLE (tx bigint, item text) LANGUAGE sql AS $$
  SELECT tx, item FROM journal.waiting() ORDER BY tx, item COLLATE "C"
$$;
CREATE TABLE items (id integer PRIMARY KEY DEFERRABLE, list integer, title text);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON items FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('resource=item', 'key=item:{id}', 'key=list:{list}', 'id={id}');
CREATE TRIGGER gone AFTER TRUNCATE ON items EXECUTE FUNCTION
  notify_cache_invalidation('resource=item', 'key=item:{id}', 'key=list:{list}', 'id={id}');

-- COPY FREEZE into a table of the same transaction, which is truncated between; rows that were there before the trigger
BEGIN;
CREATE TABLE loaded AS SELECT 1 AS id;
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON loaded FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=loaded:{id}', 'id={id}');
CREATE TRIGGER gone AFTER TRUNCATE ON loaded EXECUTE FUNCTION notify_cache_invalidation('key=loaded:{id}', 'id={id}');
INSERT INTO loaded VALUES (2);
TRUNCATE loaded;
COPY loaded FROM stdin WITH (FREEZE);
3
4
\.
COMMIT;
SELECT * FROM noted();

-- Several tables in one TRUNCATE, one of them right after it was made, one filled in the same transaction
BEGIN;
CREATE TABLE fresh (id integer);
CREATE TRIGGER gone AFTER TRUNCATE ON fresh EXECUTE FUNCTION notify_cache_invalidation('key=fresh:{id}');
INSERT INTO items VALUES (1, 1, 'in vain');
TRUNCATE fresh, items, loaded RESTART IDENTITY;
INSERT INTO items VALUES (2, 1, 'kept');
COMMIT;
SELECT * FROM noted();

-- Joins: a row that matches twice is changed once. Keys that move along, and that change places
INSERT INTO items SELECT i, 1, 'row ' || i FROM generate_series(1, 4) i WHERE i <> 2;
SELECT count(*) FROM journal.waiting();
UPDATE items SET title = s.title FROM (VALUES (1, 'joined'), (1, 'joined'), (5, 'nobody')) s (id, title) WHERE s.id = items.id;
DELETE FROM items USING generate_series(3, 4) a, generate_series(1, 2) b WHERE id = a AND a > b + 1;
SELECT * FROM noted();
UPDATE items SET id = id + 1;
SELECT * FROM noted();
UPDATE items SET id = CASE id WHEN 2 THEN 3 ELSE 2 END WHERE id IN (2, 3);
SELECT * FROM noted();

-- ON CONFLICT whose condition leaves the row alone, and one that changes the key
CREATE UNIQUE INDEX ON items (title);
INSERT INTO items VALUES (8, 1, 'joined') ON CONFLICT (title) DO UPDATE SET list = 2 WHERE items.list > 1;
INSERT INTO items VALUES (8, 1, 'joined') ON CONFLICT (title) DO UPDATE SET id = excluded.id;
SELECT * FROM noted();

-- MERGE that leaves rows alone, or has nothing to do; before version 15, which brought it, the same by hand
DO $$ BEGIN
  IF current_setting('server_version_num')::integer >= 150000 THEN
    EXECUTE $merge$ MERGE INTO items t USING (VALUES (2, NULL), (8, 'merged')) AS s (id, title) ON t.id = s.id
      WHEN MATCHED AND s.title IS NULL THEN DO NOTHING
      WHEN MATCHED THEN UPDATE SET id = 9, title = s.title
      WHEN NOT MATCHED THEN DO NOTHING $merge$;
  ELSE
    UPDATE items SET id = 9, title = 'merged' WHERE id = 8;
  END IF;
END $$;
SELECT * FROM noted();

-- Prepared statements, from the first execution to a generic plan, and after the trigger is another
PREPARE change (integer, text) AS UPDATE items SET title = $2 WHERE id = $1;
EXECUTE change (9, 'a');
EXECUTE change (9, 'b');
EXECUTE change (9, 'c');
EXECUTE change (9, 'd');
EXECUTE change (9, 'e');
EXECUTE change (9, 'f');
EXECUTE change (9, 'g');
SELECT count(DISTINCT tx), count(*) FROM journal.waiting();
CREATE OR REPLACE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON items FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=item:{id}', 'channel=');
EXECUTE change (9, 'h');
SELECT * FROM noted();

-- Cursors: the row under it; one that is held, and whose function writes when the transaction commits
TRUNCATE items;
INSERT INTO items SELECT i, 1, i FROM generate_series(1, 6) i;
SELECT count(*) FROM journal.waiting();
BEGIN;
DECLARE here CURSOR FOR SELECT * FROM items ORDER BY id FOR UPDATE;
FETCH here;
UPDATE items SET title = 'under the cursor' WHERE CURRENT OF here;
MOVE here;
FETCH here;
DELETE FROM items WHERE CURRENT OF here;
COMMIT;
CREATE FUNCTION touch(which integer) RETURNS integer LANGUAGE sql AS $$ UPDATE app.items SET title = 'touched ' || id WHERE id = which RETURNING id $$;
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT touch(id) FROM generate_series(4, 5) id;
FETCH held;
SELECT count(*) FROM items WHERE title LIKE 'touched%';
COMMIT;
SELECT count(*) FROM items WHERE title LIKE 'touched%';
CLOSE held;
SELECT * FROM noted();

-- Commits and rollbacks inside a DO block, over a loop's cursor
DO $$
DECLARE
  which integer;
BEGIN
  FOR which IN SELECT id FROM app.items ORDER BY id LOOP
    UPDATE app.items SET title = 'looped ' || which WHERE id = which;
    IF which = 4 THEN
      ROLLBACK;
    ELSIF which <> 2 THEN
      COMMIT;
    END IF;
  END LOOP;
END $$;
SELECT * FROM noted();

-- Views: updatable by themselves, by INSTEAD OF triggers, by rules
CREATE VIEW renamed AS SELECT id AS number, title FROM items WHERE id < 100 WITH CHECK OPTION;
INSERT INTO renamed VALUES (7, 'by a view');
UPDATE renamed SET number = 8 WHERE number = 7;
DELETE FROM renamed WHERE number = 8;
\set VERBOSITY sqlstate
INSERT INTO renamed VALUES (100, 'outside');
\set VERBOSITY default
CREATE VIEW joined AS SELECT a.id, a.title, count(*) AS others FROM items a, items b WHERE a.list = b.list GROUP BY a.id, a.title;
CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    DELETE FROM app.items WHERE id = OLD.id;
    RETURN OLD;
  END IF;
  INSERT INTO app.items VALUES (NEW.id, 1, NEW.title) ON CONFLICT (title) DO NOTHING;
  RETURN NEW;
END $$;
CREATE TRIGGER instead INSTEAD OF INSERT OR DELETE ON joined FOR EACH ROW EXECUTE FUNCTION instead();
INSERT INTO joined VALUES (20, 'instead');
DELETE FROM joined WHERE id = 20;
CREATE RULE moved AS ON UPDATE TO joined DO INSTEAD UPDATE items SET id = NEW.id WHERE id = OLD.id;
UPDATE joined SET id = id + 10 WHERE id = 6;
CREATE TABLE log (id integer PRIMARY KEY, what text);
CREATE TRIGGER cache AFTER INSERT ON log FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=log:{what}', 'channel=');
CREATE RULE also AS ON DELETE TO items DO ALSO INSERT INTO log VALUES (OLD.id, 'deleted ' || OLD.id);
CREATE RULE never AS ON DELETE TO items WHERE OLD.id = 1 DO INSTEAD NOTHING;
DELETE FROM items WHERE id IN (1, 16);
DROP RULE also ON items;
DROP RULE never ON items;
SELECT * FROM noted();

-- Inheritance: each table under its own trigger, through the parent as well; a child without one is not watched
CREATE TABLE parent (id integer, title text);
CREATE TABLE child (more text) INHERITS (parent);
CREATE TABLE unwatched () INHERITS (parent);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON parent FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=parent:{id}', 'id={id}');
CREATE TRIGGER gone AFTER TRUNCATE ON parent EXECUTE FUNCTION notify_cache_invalidation('key=parent:{id}', 'id={id}');
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON child FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=child:{id}:{more}', 'id={id}');
CREATE TRIGGER gone AFTER TRUNCATE ON child EXECUTE FUNCTION notify_cache_invalidation('key=child:{id}:{more}', 'id={id}');
INSERT INTO parent VALUES (1, 'p');
INSERT INTO child VALUES (2, 'c', 'm');
INSERT INTO unwatched VALUES (3, 'u');
UPDATE parent SET title = upper(title);
UPDATE ONLY parent SET title = 'only';
DELETE FROM parent WHERE id > 1;
TRUNCATE ONLY parent;
TRUNCATE parent;
SELECT * FROM noted();

-- Triggers before ours: they change the key of an UPDATE, suppress an UPDATE and a DELETE, write other rows
TRUNCATE items;
INSERT INTO items SELECT i, 1, i FROM generate_series(1, 6) i;
SELECT count(*) FROM journal.waiting();
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.id = 2 THEN
    RETURN NULL;
  ELSIF OLD.id = 3 THEN
    UPDATE app.items SET title = 'by the way of ' || TG_OP WHERE id = 6;
  END IF;
  IF TG_OP = 'DELETE' THEN
    RETURN OLD;
  END IF;
  IF OLD.id = 1 THEN
    NEW.id := 11;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER meddle BEFORE UPDATE OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION meddle();
UPDATE items SET title = 'changed ' || id WHERE id < 4;
DELETE FROM items WHERE id IN (2, 3, 4);
DROP TRIGGER meddle ON items;
SELECT * FROM noted();

-- Several triggers of ours on one table: what they have in common is told once
CREATE TRIGGER second AFTER UPDATE ON items FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=item:{id}', 'key=second:{id}', 'channel=');
CREATE TRIGGER third AFTER UPDATE ON items FOR EACH ROW WHEN (OLD.title IS DISTINCT FROM NEW.title)
  EXECUTE FUNCTION notify_cache_invalidation('key=third:{id}', 'channel=');
CREATE TRIGGER fourth AFTER UPDATE OF list ON items FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=fourth:{list}', 'channel=');
UPDATE items SET title = 'new' WHERE id = 5;
UPDATE items SET list = 2 WHERE id = 5;
SELECT * FROM noted();
DROP TRIGGER second ON items;
DROP TRIGGER third ON items;
DROP TRIGGER fourth ON items;

-- Columns that the server fills in: stored generated ones, identities, defaults
CREATE TABLE filled (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text, slug text GENERATED ALWAYS AS (lower(title)) STORED, at date DEFAULT 'epoch');
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON filled FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=filled:{id}', 'key=slug:{slug}', 'key=day:{at}', 'fields=slug');
INSERT INTO filled (title) VALUES ('One'), ('TWO');
INSERT INTO filled (id, title) OVERRIDING SYSTEM VALUE VALUES (10, 'TEN');
UPDATE filled SET title = 'Three', at = DEFAULT WHERE id = 1;
UPDATE filled SET id = DEFAULT WHERE id = 10;
SELECT * FROM noted();

-- What moves no row of the table, or moves them all without changing one, notes nothing
VACUUM (FULL, ANALYZE) filled;
CLUSTER filled USING filled_pkey;
REINDEX TABLE filled;
CREATE MATERIALIZED VIEW snapshot AS SELECT * FROM filled;
REFRESH MATERIALIZED VIEW snapshot;
SELECT count(*) FROM (SELECT FROM filled FOR UPDATE) f;
SELECT * FROM noted();

-- Parallel plans between the changes of a transaction
CREATE TABLE many AS SELECT i, i % 10 AS digit FROM generate_series(1, 20000) i;
ANALYZE many;
DO $$ BEGIN
  PERFORM set_config(name, 'on', false) FROM pg_settings WHERE name IN ('debug_parallel_query', 'force_parallel_mode');
  PERFORM set_config(name, '0', false) FROM pg_settings WHERE name IN ('parallel_setup_cost', 'parallel_tuple_cost', 'min_parallel_table_scan_size');
  PERFORM set_config('max_parallel_workers_per_gather', '2', false);
END $$;
CREATE FUNCTION gathers(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  line text;
  found boolean := false;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
    found := found OR line LIKE '%Gather%';
  END LOOP;
  RETURN found;
END $$;
SELECT gathers('SELECT digit, count(*) FROM app.many GROUP BY 1');
BEGIN;
INSERT INTO filled (title) VALUES ('before');
SAVEPOINT a;
SELECT count(*) FROM (SELECT digit, count(*) FROM many GROUP BY 1) m;
INSERT INTO filled (title) SELECT 'from ' || min(digit) FROM many;
RELEASE a;
SELECT sum(digit) FROM many;
COMMIT;
SELECT * FROM noted();

SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
