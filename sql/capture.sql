-- Which statements are captured, and what is noted of each: keys and messages as they wait in the journal.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all

CREATE SCHEMA app;
SET search_path = app, public;
CREATE TABLE tasks (id integer PRIMARY KEY, project_id integer, title text);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('resource=task', 'key=task:{id}', 'key=list:{project_id}', 'fields=title');

-- Both sides of a change; a statement of many rows is one row of the journal, with each key once
INSERT INTO tasks VALUES (1, 10, 'one');
INSERT INTO tasks VALUES (2, 10, 'two'), (3, 10, 'three');
UPDATE tasks SET project_id = 11 WHERE id = 1;
UPDATE tasks SET id = 4 WHERE id = 1;
UPDATE tasks SET title = upper(title);
DELETE FROM tasks WHERE id < 4;
SELECT * FROM journal.waiting();

-- Statements that change nothing note nothing, except an UPDATE that writes the same again
UPDATE tasks SET title = 'nobody' WHERE id = 99;
DELETE FROM tasks WHERE id = 99;
UPDATE tasks SET title = title;
SELECT * FROM journal.waiting();

-- ON CONFLICT: inserted, updated, left alone
INSERT INTO tasks VALUES (4, 11, 'x'), (5, 12, 'y') ON CONFLICT (id) DO UPDATE SET title = 'again';
INSERT INTO tasks VALUES (4, 99, 'x') ON CONFLICT DO NOTHING;
SELECT * FROM journal.waiting();

-- COPY
COPY tasks FROM stdin;
6	13	six
7	13	seven
\.
SELECT * FROM journal.waiting();

-- MERGE; before version 15, which brought it, the same by hand
DO $$ BEGIN
  IF current_setting('server_version_num')::integer >= 150000 THEN
    EXECUTE $merge$ MERGE INTO tasks t USING (VALUES (5), (6), (8)) AS s (id) ON t.id = s.id
      WHEN MATCHED AND s.id = 5 THEN DELETE
      WHEN MATCHED THEN UPDATE SET title = 'merged'
      WHEN NOT MATCHED THEN INSERT VALUES (s.id, 14, 'new') $merge$;
  ELSE
    DELETE FROM tasks WHERE id = 5;
    UPDATE tasks SET title = 'merged' WHERE id = 6;
    INSERT INTO tasks VALUES (8, 14, 'new');
  END IF;
END $$;
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";

-- Writing CTEs
WITH gone AS (DELETE FROM tasks WHERE id = 6 RETURNING *), moved AS (UPDATE tasks SET project_id = 15 WHERE id = 7 RETURNING *)
INSERT INTO tasks SELECT id + 10, project_id, title FROM gone UNION ALL SELECT id + 10, project_id, title FROM moved;
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";

-- What is deleted in its own transaction keeps its keys (somebody may have cached "not found"), without a message
BEGIN;
INSERT INTO tasks VALUES (30, 30, 'short');
DELETE FROM tasks WHERE id = 30;
COMMIT;
BEGIN;
INSERT INTO tasks VALUES (31, 30, 'a');
UPDATE tasks SET title = 'b' WHERE id = 31;
COMMIT;
BEGIN;
UPDATE tasks SET title = 'c' WHERE id = 31;
DELETE FROM tasks WHERE id = 31;
COMMIT;
BEGIN;
DELETE FROM tasks WHERE id = 4;
INSERT INTO tasks VALUES (4, 11, 'returned');
COMMIT;
SELECT * FROM journal.waiting();

-- Row triggers before ours have their say; a row that they suppress is no change
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.title = 'hush' THEN
    RETURN NULL;
  END IF;
  NEW.title := upper(NEW.title);
  RETURN NEW;
END $$;
CREATE TRIGGER shout BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION shout();
INSERT INTO tasks VALUES (40, 40, 'hush');
INSERT INTO tasks VALUES (41, 40, 'loud');
DROP TRIGGER shout ON tasks;
SELECT * FROM journal.waiting();

-- WHEN and UPDATE OF of the trigger itself
CREATE TABLE narrow (id integer PRIMARY KEY, a integer, b integer);
CREATE TRIGGER cache AFTER UPDATE OF a ON narrow FOR EACH ROW WHEN (NEW.b > 0)
  EXECUTE FUNCTION notify_cache_invalidation('key=narrow:{id}', 'channel=');
INSERT INTO narrow VALUES (1, 1, 1), (2, 1, 0);
UPDATE narrow SET b = b;
UPDATE narrow SET a = 2;
SELECT * FROM journal.waiting();

-- "columns" and "ignore": compared as they are stored, so 1.0 and 1.00 differ
CREATE TABLE counted (id integer PRIMARY KEY, price numeric, views integer, note text);
CREATE TRIGGER few AFTER INSERT OR UPDATE OR DELETE ON counted FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=few:{id}', 'columns=price, note', 'channel=');
CREATE TRIGGER most AFTER INSERT OR UPDATE OR DELETE ON counted FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=most:{id}', 'ignore=views', 'channel=');
INSERT INTO counted VALUES (1, 1.0, 0, NULL);
UPDATE counted SET views = views + 1;
UPDATE counted SET price = 1.0;
UPDATE counted SET price = 1.00;
UPDATE counted SET note = '';
UPDATE counted SET note = NULL;
UPDATE counted SET id = 2;
DELETE FROM counted;
SELECT * FROM journal.waiting();

-- Cascades of foreign keys: the rows of the other table, under its own trigger
CREATE TABLE projects (id integer PRIMARY KEY);
CREATE TABLE members (project_id integer REFERENCES projects ON DELETE CASCADE ON UPDATE CASCADE, user_id integer,
  PRIMARY KEY (project_id, user_id));
CREATE TABLE notes (id integer PRIMARY KEY, project_id integer REFERENCES projects ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TRIGGER cache AFTER UPDATE OR DELETE ON members FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=member:{project_id}:{user_id}');
CREATE TRIGGER cache AFTER UPDATE OR DELETE ON notes FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=notes:{project_id}');
INSERT INTO projects VALUES (1);
INSERT INTO members VALUES (1, 7), (1, 8);
INSERT INTO notes VALUES (100, 1);
UPDATE projects SET id = 2;
DELETE FROM projects;
SELECT * FROM journal.waiting();

-- A deferred trigger runs at COMMIT, and what others write there is captured as well
CREATE TABLE late (id integer PRIMARY KEY);
CREATE FUNCTION write_late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO late VALUES (NEW.id); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER writer AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_late();
CREATE CONSTRAINT TRIGGER cache AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=late:{id}');
BEGIN;
INSERT INTO notes VALUES (101, NULL);
SELECT count(*) FROM late;
COMMIT;
SELECT * FROM journal.waiting();

-- Partitions: the root's name in messages, both leaves of a row that moves, columns found by name in each leaf
CREATE TABLE events (region text, id integer, title text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE events_eu PARTITION OF events FOR VALUES IN ('eu');
CREATE TABLE events_us (title text, gone integer, id integer NOT NULL, region text NOT NULL);
ALTER TABLE events_us DROP COLUMN gone;
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON events FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=event:{region}:{id}', 'fields=title');
ALTER TABLE events ATTACH PARTITION events_us FOR VALUES IN ('us');
INSERT INTO events VALUES ('eu', 1, 'here');
UPDATE events SET region = 'us', title = 'there';
INSERT INTO events_us (title, region, id) VALUES ('direct', 'us', 2);
ALTER TABLE events DETACH PARTITION events_us;
DELETE FROM events_us;
SELECT * FROM journal.waiting();

-- TRUNCATE: everything that the templates could name, whatever the table holds; see also ddl_capture.sql
CREATE TRIGGER gone AFTER TRUNCATE ON tasks EXECUTE FUNCTION
  notify_cache_invalidation('resource=task', 'key=task:{id}', 'key=[{project_id}]:{id}{title}', 'key=fixed', 'pattern=task:{id}:*', 'fields=title');
CREATE TRIGGER gone AFTER TRUNCATE ON projects EXECUTE FUNCTION notify_cache_invalidation('key=project:{id}');
CREATE TRIGGER gone AFTER TRUNCATE ON members EXECUTE FUNCTION notify_cache_invalidation('key=member:{project_id}:{user_id}', 'channel=');
CREATE TRIGGER gone AFTER TRUNCATE ON events EXECUTE FUNCTION notify_cache_invalidation('key=event:{region}:{id}');
TRUNCATE tasks;
TRUNCATE projects CASCADE;
TRUNCATE events;
TRUNCATE events_eu;
CREATE TRIGGER gone AFTER TRUNCATE ON events_eu EXECUTE FUNCTION notify_cache_invalidation('key=event:{region}:{id}');
TRUNCATE events_eu;
BEGIN;
INSERT INTO tasks VALUES (1, 10, 'one');
SAVEPOINT a;
TRUNCATE tasks;
ROLLBACK TO a;
COMMIT;
SELECT * FROM journal.waiting();

-- Changed while somebody else acts: SET ROLE, SECURITY DEFINER, a role without any privilege on the extension
CREATE ROLE regress_cache_writer;
GRANT USAGE ON SCHEMA app TO regress_cache_writer;
GRANT INSERT ON tasks TO regress_cache_writer;
CREATE FUNCTION remove_task(which integer) RETURNS void LANGUAGE sql SECURITY DEFINER
  AS $$ DELETE FROM app.tasks WHERE id = which $$;
SET ROLE regress_cache_writer;
INSERT INTO tasks VALUES (50, 50, 'role');
SELECT remove_task(50);
RESET ROLE;
SELECT * FROM journal.waiting();
REVOKE ALL ON SCHEMA app FROM regress_cache_writer;
REVOKE ALL ON tasks FROM regress_cache_writer;
DROP ROLE regress_cache_writer;

-- Nothing fires for a disabled trigger, nor under session_replication_role = replica, unless ALWAYS
ALTER TABLE tasks DISABLE TRIGGER cache;
INSERT INTO tasks VALUES (60, 60, 'disabled');
ALTER TABLE tasks ENABLE TRIGGER cache;
SET session_replication_role = replica;
INSERT INTO tasks VALUES (61, 60, 'replica');
ALTER TABLE tasks ENABLE ALWAYS TRIGGER cache;
INSERT INTO tasks VALUES (62, 60, 'always');
RESET session_replication_role;
SELECT * FROM journal.waiting();

-- cache_invalidate.enabled turns the capture of a session off and on, within a transaction too
BEGIN;
SET LOCAL cache_invalidate.enabled = off;
INSERT INTO tasks VALUES (70, 70, 'off');
COMMIT;
BEGIN;
INSERT INTO tasks VALUES (71, 70, 'on');
SET LOCAL cache_invalidate.enabled = off;
INSERT INTO tasks VALUES (72, 70, 'off');
SET LOCAL cache_invalidate.enabled = on;
INSERT INTO tasks VALUES (73, 70, 'on');
COMMIT;
SELECT * FROM journal.waiting();
CREATE ROLE regress_cache_user;
SET ROLE regress_cache_user;
SET cache_invalidate.enabled = off;
RESET ROLE;
DROP ROLE regress_cache_user;

-- The rule follows the table: an added column, another primary key, another name
ALTER TABLE tasks ADD COLUMN owner integer DEFAULT 5;
CREATE OR REPLACE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=owner:{owner}');
INSERT INTO tasks VALUES (80, 80, 'owned');
ALTER TABLE tasks DROP CONSTRAINT tasks_pkey;
INSERT INTO tasks VALUES (81, 80, 'no primary key');
ALTER TABLE tasks ADD PRIMARY KEY (project_id, id);
ALTER TABLE tasks RENAME TO jobs;
INSERT INTO jobs VALUES (82, 80, 'renamed');
SELECT * FROM journal.waiting();

-- A column that is renamed behind the trigger's back: the statement succeeds, and the log will say what is wrong
SET session_replication_role = replica;
ALTER TABLE jobs RENAME COLUMN owner TO keeper;
RESET session_replication_role;
INSERT INTO jobs VALUES (83, 80, 'goes through');
SELECT * FROM journal.waiting();
ALTER TABLE jobs RENAME COLUMN keeper TO owner;
INSERT INTO jobs VALUES (84, 80, 'well again');
SELECT * FROM journal.waiting();

SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
