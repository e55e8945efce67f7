-- DDL on covered tables between the changes: names, schemas, the firing of triggers, types of columns, copies of
-- tables, and definitions that nobody has checked. (sql/capture.sql, arguments.sql and servers.sql have primary keys,
-- dropped columns and owners.)
\set ECHO none
\i sql/include/journal.sql
\set ECHO all

CREATE SCHEMA app;
CREATE SCHEMA other;
SET search_path = app, public;

-- Names: messages follow the table's, unless "resource" gives one; keys have nothing to do with it
CREATE TABLE tasks (id integer PRIMARY KEY, title text);
CREATE TRIGGER named AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}', 'resource=task');
CREATE TRIGGER plain AFTER INSERT OR DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=plain:{id}');
INSERT INTO tasks VALUES (1, 'one');
ALTER TABLE tasks RENAME TO jobs;
INSERT INTO jobs VALUES (2, 'two');
ALTER TABLE jobs SET SCHEMA other;
INSERT INTO other.jobs VALUES (3, 'three');
ALTER TRIGGER plain ON other.jobs RENAME TO "Another {name}";
CREATE TABLE jobs (id integer PRIMARY KEY, title text);
INSERT INTO jobs VALUES (4, 'not covered');
INSERT INTO other.jobs VALUES (4, 'four');
ALTER SCHEMA other RENAME TO another;
INSERT INTO another.jobs VALUES (5, 'five');
BEGIN;
INSERT INTO another.jobs VALUES (6, 'before');
ALTER TABLE another.jobs RENAME TO work;
INSERT INTO another.work VALUES (7, 'after');
DELETE FROM another.work WHERE id = 6;
COMMIT;
SELECT * FROM journal.waiting();

-- The same of a partition and its root
CREATE TABLE events (id integer, region text) PARTITION BY LIST (region);
CREATE TABLE events_eu PARTITION OF events FOR VALUES IN ('eu');
CREATE TRIGGER cache AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('id={id}');
INSERT INTO events VALUES (1, 'eu');
ALTER TABLE events_eu RENAME TO leaf;
INSERT INTO events VALUES (2, 'eu');
ALTER TABLE events RENAME TO root;
INSERT INTO leaf VALUES (3, 'eu');
ALTER TABLE leaf SET SCHEMA another;
ALTER TRIGGER cache ON root RENAME TO renamed;
INSERT INTO another.leaf VALUES (4, 'eu');
INSERT INTO root VALUES (5, 'eu');
SELECT * FROM journal.waiting();

-- Firing: as the trigger says, and the role of the session. Of partitions, what is said of the root
CREATE TABLE fires (what text);
CREATE TRIGGER cache AFTER INSERT ON fires FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=fires:{what}', 'channel=');
CREATE TRIGGER gone AFTER TRUNCATE ON fires EXECUTE FUNCTION notify_cache_invalidation('key=fires:{what}', 'channel=');
CREATE TABLE parts (what text) PARTITION BY LIST (what);
CREATE TABLE part PARTITION OF parts DEFAULT;
CREATE TRIGGER cache AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=parts:{what}', 'channel=');
CREATE PROCEDURE fire(firing text, what text DEFAULT 'USER') LANGUAGE plpgsql AS $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY '{origin,local,replica}'::text[] LOOP
    EXECUTE format('ALTER TABLE app.parts %s TRIGGER %s', firing, what);
    EXECUTE format('ALTER TABLE app.fires %s TRIGGER %s', firing, what);
    IF what = 'cache' THEN
      EXECUTE format('ALTER TABLE app.fires %s TRIGGER gone', firing);
    END IF;
    PERFORM set_config('session_replication_role', role, true);
    INSERT INTO app.fires VALUES (firing || ' in ' || role);
    INSERT INTO app.parts VALUES (firing || ' in ' || role);
    TRUNCATE app.fires;
    COMMIT;
  END LOOP;
END $$;
CALL fire('DISABLE');
CALL fire('ENABLE');
CALL fire('DISABLE', 'cache');
CALL fire('ENABLE REPLICA', 'cache');
CALL fire('ENABLE ALWAYS', 'cache');
CALL fire('ENABLE', 'cache');
SELECT * FROM journal.waiting();

-- The type of a column that is used does not change under the trigger; of another one it does; without the trigger too
CREATE TABLE typed (id integer PRIMARY KEY, code varchar(4), list integer, note varchar(4));
CREATE TRIGGER cache AFTER INSERT OR UPDATE ON typed FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=typed:{code}', 'columns=list');
INSERT INTO typed VALUES (1, 'a', 1, 'n');
ALTER TABLE typed ALTER code TYPE text;
ALTER TABLE typed ALTER list TYPE bigint;
ALTER TABLE typed ALTER id TYPE bigint;
ALTER TABLE typed ALTER note TYPE text;
INSERT INTO typed VALUES (2, 'b', 2, 'longer than before');
BEGIN;
DROP TRIGGER cache ON typed;
ALTER TABLE typed ALTER code TYPE bytea USING code::bytea, ALTER id TYPE uuid USING format('00000000-0000-0000-0000-%s', lpad(id::text, 12, '0'))::uuid;
CREATE TRIGGER cache AFTER INSERT OR UPDATE ON typed FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=typed:{code}', 'columns=list');
UPDATE typed SET list = list + 1;
COMMIT;
SELECT tx, item FROM journal.waiting() ORDER BY tx, item COLLATE "C";

-- Another function under the same name, and ours again
CREATE FUNCTION elsewhere() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE OR REPLACE TRIGGER cache AFTER INSERT OR UPDATE ON typed FOR EACH ROW EXECUTE FUNCTION elsewhere();
INSERT INTO typed VALUES ('00000000-0000-0000-0000-000000000003', 'c', 3);
CREATE OR REPLACE TRIGGER cache AFTER INSERT OR UPDATE OF note ON typed FOR EACH ROW WHEN (NEW.list > 3) EXECUTE FUNCTION notify_cache_invalidation('key=typed:{list}', 'channel=');
INSERT INTO typed VALUES ('00000000-0000-0000-0000-000000000004', 'd', 4), ('00000000-0000-0000-0000-000000000005', 'e', 3);
UPDATE typed SET note = 'x', list = 5 WHERE list = 4;
UPDATE typed SET list = 6 WHERE list = 5;
SELECT * FROM journal.waiting();

-- Copies of a table: LIKE and INHERITS bring no trigger, PARTITION OF does
CREATE TABLE alike (LIKE typed INCLUDING ALL);
CREATE TABLE heir () INHERITS (typed);
CREATE TABLE part_2 PARTITION OF parts FOR VALUES IN ('two');
INSERT INTO alike TABLE typed;
INSERT INTO heir TABLE typed;
INSERT INTO part_2 VALUES ('two');
SELECT * FROM journal.waiting();

-- A definition that the event trigger has not seen, in a session of the role "replica". No statement fails for it,
-- everything that the templates could name is stale, and the log says why; the same when a column goes of which nobody
-- has recorded that it is used.
SET session_replication_role = replica;
CREATE TABLE unchecked (id integer PRIMARY KEY, code text);
CREATE TRIGGER wrong AFTER INSERT ON unchecked FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=wrong:{nope}', 'channel=');
CREATE TRIGGER fine AFTER INSERT ON unchecked FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=fine:{code}', 'channel=');
RESET session_replication_role;
INSERT INTO unchecked VALUES (1, 'a');
ALTER TABLE unchecked DROP COLUMN code;
INSERT INTO unchecked VALUES (2);
ALTER TABLE unchecked ADD COLUMN code text DEFAULT 'b';
INSERT INTO unchecked VALUES (3);
SELECT tx, item FROM journal.waiting() ORDER BY tx, item COLLATE "C";

-- An argument that can't be read leaves the others
SET session_replication_role = replica;
CREATE TABLE half (id integer PRIMARY KEY);
CREATE TRIGGER cache AFTER INSERT ON half FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=worse:{id', 'key=fine:{id}', 'nonsense', 'channel=');
RESET session_replication_role;
INSERT INTO half VALUES (1);
ALTER SCHEMA app RENAME TO app2;
INSERT INTO app2.half VALUES (2);
ALTER SCHEMA app2 RENAME TO app;
SELECT tx, item FROM journal.waiting() ORDER BY tx, item COLLATE "C";
-- A primary key that is checked late may name two records for a while
CREATE TABLE late (id integer PRIMARY KEY DEFERRABLE, value text);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON late FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation();
INSERT INTO late VALUES (1, 'one'), (2, 'two');
UPDATE late SET id = 3 - id;
SELECT tx, item FROM journal.waiting() ORDER BY tx, item COLLATE "C";

-- A row that moves between partitions is a DELETE and an INSERT to triggers
CREATE TABLE moving (id integer, region text) PARTITION BY LIST (region);
CREATE TRIGGER cache AFTER UPDATE ON moving FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=moving:{id}');
CREATE OR REPLACE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON moving FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=moving:{id}');

SET client_min_messages = warning;
DROP SCHEMA app, another, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
