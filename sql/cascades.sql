-- Changes that the server makes on behalf of others: the actions of foreign keys, whoever owns the table, what is
-- deferred to the end of the transaction, and rows that move between partitions of partitions.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all

CREATE SCHEMA app;
SET search_path = app, public;
-- in an order that does not depend on where the rows lie
CREATE FUNCTION noted() RETURNS TABLE (tx bigint, item text) LANGUAGE sql AS $$
  SELECT tx, item FROM journal.waiting() ORDER BY tx, item COLLATE "C"
$$;

-- SET DEFAULT and SET NULL, the key of the row that was left and of the one that it came to; over two tables
CREATE TABLE owners (id integer PRIMARY KEY);
CREATE TABLE lists (id integer PRIMARY KEY, owner integer DEFAULT 0 REFERENCES owners ON DELETE SET DEFAULT ON UPDATE CASCADE);
CREATE TABLE items (id integer PRIMARY KEY, list integer REFERENCES lists ON DELETE CASCADE, owner integer REFERENCES owners ON DELETE SET NULL ON UPDATE SET DEFAULT);
CREATE TRIGGER cache AFTER UPDATE OR DELETE ON owners FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=owner:{id}');
CREATE TRIGGER cache AFTER UPDATE OR DELETE ON lists FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=list:{id}', 'key=lists:{owner}');
CREATE TRIGGER cache AFTER UPDATE OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=item:{id}', 'key=items:{owner}');
INSERT INTO owners SELECT generate_series(0, 3);
INSERT INTO lists VALUES (10, 1), (20, 2);
INSERT INTO items VALUES (100, 10, 1), (101, 10, 2), (200, 20, 3);
UPDATE owners SET id = 30 WHERE id = 3;
DELETE FROM owners WHERE id = 1;
DELETE FROM lists WHERE id = 10;
SELECT * FROM noted();

-- A table that refers to itself: the whole branch goes; a row that refers to itself is changed twice
CREATE TABLE tree (id integer PRIMARY KEY, parent integer REFERENCES tree ON DELETE CASCADE);
CREATE TRIGGER cache AFTER DELETE ON tree FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=tree:{id}', 'key=under:{parent}', 'channel=');
INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2), (4, 3), (5, 1), (6, NULL);
DELETE FROM tree WHERE id = 1;
CREATE TABLE self (id integer PRIMARY KEY, parent integer REFERENCES self ON UPDATE CASCADE);
CREATE TRIGGER cache AFTER UPDATE ON self FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=self:{parent}', 'fields=parent');
INSERT INTO self VALUES (1, 1);
UPDATE self SET id = 2;
SELECT * FROM noted();

-- The referring table is somebody else's, under whose name the action runs: his servers, whoever deletes
CREATE ROLE regress_cache_child;
CREATE ROLE regress_cache_deleter;
GRANT USAGE ON SCHEMA app TO regress_cache_child, regress_cache_deleter;
GRANT ALL ON owners TO regress_cache_deleter;
GRANT REFERENCES ON owners TO regress_cache_child;
CREATE TABLE theirs (id integer PRIMARY KEY, owner integer REFERENCES owners ON DELETE CASCADE);
ALTER TABLE theirs OWNER TO regress_cache_child;
CREATE TRIGGER cache AFTER DELETE ON theirs FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=theirs:{id}');
INSERT INTO owners VALUES (40), (41);
INSERT INTO theirs VALUES (400, 40), (410, 41);
SET ROLE regress_cache_deleter;
DELETE FROM owners WHERE id = 40;
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER cache TO regress_cache_child;
SET ROLE regress_cache_deleter;
DELETE FROM owners WHERE id = 41;
RESET ROLE;
SELECT * FROM noted();

-- A foreign key that is looked at when the transaction ends: the child comes first; nothing if it does not hold
CREATE TABLE children (id integer PRIMARY KEY, owner integer REFERENCES owners ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON children FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=child:{id}:{owner}', 'channel=');
BEGIN;
INSERT INTO children VALUES (1, 50), (2, 51);
UPDATE children SET owner = 50 WHERE id = 2;
INSERT INTO owners VALUES (50);
COMMIT;
BEGIN;
DELETE FROM owners WHERE id = 50;
INSERT INTO owners VALUES (50);
COMMIT;
SELECT * FROM noted();
\set VERBOSITY sqlstate
BEGIN;
INSERT INTO children VALUES (3, 60);
COMMIT;
BEGIN;
INSERT INTO children VALUES (4, 50);
SAVEPOINT a;
INSERT INTO children VALUES (5, 61);
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK TO a;
COMMIT;
\set VERBOSITY default
SELECT * FROM noted();

-- A row that is changed again, or deleted, by a trigger that comes before ours, so that we see the last change first: the
-- message tells what is committed
CREATE TABLE twice (id integer PRIMARY KEY, title text);
CREATE TRIGGER m_cache AFTER INSERT OR UPDATE OR DELETE ON twice FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=twice:{title}', 'fields=title');
CREATE FUNCTION finish() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE app.twice SET title = 'final' WHERE id = NEW.id AND NEW.id = 1;
  DELETE FROM app.twice WHERE id = NEW.id AND NEW.id = 2;
  RETURN NULL;
END $$;
CREATE TRIGGER a_first AFTER INSERT ON twice FOR EACH ROW EXECUTE FUNCTION finish();
INSERT INTO twice VALUES (1, 'draft'), (2, 'fleeting');
SELECT * FROM noted();

-- Our own trigger, deferred: every version of a row, unless a savepoint took it back; at once if so asked
CREATE TABLE late (id integer PRIMARY KEY, value text);
CREATE CONSTRAINT TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=late:{value}', 'fields=value');
BEGIN;
INSERT INTO late VALUES (1, 'first');
UPDATE late SET value = 'second';
SAVEPOINT a;
UPDATE late SET value = 'never';
ROLLBACK TO a;
SAVEPOINT b;
INSERT INTO late VALUES (2, 'short');
DELETE FROM late WHERE id = 2;
RELEASE b;
UPDATE late SET value = 'last';
COMMIT;
SELECT * FROM noted();
BEGIN;
INSERT INTO late VALUES (3, 'at once');
SET CONSTRAINTS cache IMMEDIATE;
SAVEPOINT a;
INSERT INTO late VALUES (4, 'gone at once');
ROLLBACK TO a;
COMMIT;
SELECT * FROM noted();

-- Somebody else's deferred trigger, which writes and takes back a part of it, or fails at the end
CREATE FUNCTION at_the_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO app.children VALUES (NEW.id, 50);
  BEGIN
    INSERT INTO app.children VALUES (-NEW.id, 50);
    RAISE EXCEPTION 'taken back';
  EXCEPTION WHEN raise_exception THEN
    UPDATE app.children SET id = id + 1 WHERE id = NEW.id;
  END;
  IF NEW.id > 1000 THEN
    RAISE EXCEPTION 'too much';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER other AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_the_end();
\set VERBOSITY terse
INSERT INTO late VALUES (100, 'well');
INSERT INTO late VALUES (1001, 'badly');
SELECT * FROM noted();

-- The same behind more changes than fit the transaction's memory, which are in the journal by then
SET cache_invalidate.max_change_set_memory = '64kB';
BEGIN;
INSERT INTO children SELECT i, 50 FROM generate_series(10001, 14000) i;
INSERT INTO late VALUES (200, 'well');
COMMIT;
SELECT count(DISTINCT item) FROM noted();
BEGIN;
INSERT INTO children SELECT i, 50 FROM generate_series(20001, 24000) i;
INSERT INTO late VALUES (1002, 'badly');
COMMIT;
RESET cache_invalidate.max_change_set_memory;
\set VERBOSITY default
SELECT * FROM noted();

-- Partitions of partitions, with their columns in another order: the root's name, one message for a row that moves
CREATE TABLE events (id integer, region text, day date, title text) PARTITION BY LIST (region);
CREATE TABLE events_eu PARTITION OF events FOR VALUES IN ('eu') PARTITION BY RANGE (day);
CREATE TABLE events_rest (day date, gone integer, title text, id integer, region text);
ALTER TABLE events_rest DROP COLUMN gone;
CREATE TABLE events_eu_1 (title text, region text, id integer, day date);
ALTER TABLE events_eu ATTACH PARTITION events_eu_1 FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE events_eu_2 PARTITION OF events_eu FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
ALTER TABLE events ATTACH PARTITION events_rest DEFAULT;
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON events FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('id={id}', 'key=event:{id}', 'key=events:{region}:{day}', 'fields=title');
INSERT INTO events VALUES (1, 'eu', '2020-02-02', 'one');
UPDATE events SET day = '2021-02-02', title = 'two';
UPDATE events_eu SET title = 'three', day = '2020-03-03';
UPDATE events SET region = 'us';
UPDATE events SET region = 'eu', id = 2;
SELECT * FROM noted();
BEGIN;
INSERT INTO events VALUES (3, 'us', '2020-02-02', 'short');
UPDATE events SET region = 'eu' WHERE id = 3;
DELETE FROM events WHERE id = 3;
COMMIT;
BEGIN;
DELETE FROM events WHERE id = 2;
INSERT INTO events VALUES (2, 'mars', '2020-02-02', 'again');
SAVEPOINT a;
UPDATE events SET region = 'eu';
ROLLBACK TO a;
COMMIT;
SELECT * FROM noted();
COPY events FROM stdin;
4	eu	2020-04-04	copied
5	asia	2020-05-05	copied
\.
INSERT INTO events_eu_1 VALUES ('direct', 'eu', 6, '2020-06-06');
SELECT * FROM noted();
CREATE UNIQUE INDEX ON events (id, region, day);
INSERT INTO events VALUES (4, 'eu', '2020-04-04', 'again'), (7, 'eu', '2021-07-07', 'new')
  ON CONFLICT (id, region, day) DO UPDATE SET title = excluded.title;
DO $$ BEGIN
  IF current_setting('server_version_num')::integer >= 150000 THEN
    EXECUTE $merge$ MERGE INTO events e USING (VALUES (4), (5), (8)) AS s (id) ON e.id = s.id
      WHEN MATCHED AND s.id = 5 THEN DELETE
      WHEN MATCHED THEN UPDATE SET region = 'asia', title = 'merged'
      WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'eu', '2020-08-08', 'merged') $merge$;
  ELSE
    DELETE FROM events WHERE id = 5;
    UPDATE events SET region = 'asia', title = 'merged' WHERE id = 4;
    INSERT INTO events VALUES (8, 'eu', '2020-08-08', 'merged');
  END IF;
END $$;
SELECT * FROM noted();

-- A row that moves and is referred to; before version 15, which cannot do that, by hand
CREATE TABLE places (region text, id integer, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE places_eu PARTITION OF places FOR VALUES IN ('eu');
CREATE TABLE places_us PARTITION OF places FOR VALUES IN ('us');
CREATE TABLE visits (id integer PRIMARY KEY, region text, place integer, FOREIGN KEY (region, place) REFERENCES places ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON places FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=place:{region}:{id}', 'channel=');
CREATE TRIGGER cache AFTER UPDATE OR DELETE ON visits FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=visit:{id}:{region}');
INSERT INTO places VALUES ('eu', 1), ('eu', 2);
INSERT INTO visits VALUES (1, 'eu', 1), (2, 'eu', 2);
SELECT count(*) FROM noted();
DO $$ BEGIN
  IF current_setting('server_version_num')::integer >= 150000 THEN
    UPDATE app.places SET region = 'us' WHERE id = 1;
  ELSE
    INSERT INTO app.places VALUES ('us', 1);
    UPDATE app.visits SET region = 'us' WHERE place = 1;
    DELETE FROM app.places WHERE region = 'eu' AND id = 1;
  END IF;
END $$;
DELETE FROM places;
SELECT * FROM noted();

SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
DROP ROLE regress_cache_child, regress_cache_deleter;
