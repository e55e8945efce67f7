-- cache_invalidation_coverage: what no trigger sees.
\pset footer off
\pset format unaligned
SET client_min_messages = error;
CREATE EXTENSION cache_invalidate;
CREATE SCHEMA app;
CREATE SCHEMA "Other";
SET search_path = app, public;
CREATE FUNCTION cover(rel regclass, name text DEFAULT 'cover') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION public.notify_cache_invalidation()', name, rel);
END $$;
CREATE FUNCTION cover_all(rel regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM app.cover(rel);
  EXECUTE format('CREATE TRIGGER wipe AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION public.notify_cache_invalidation()', rel);
END $$;
CREATE VIEW coverage AS SELECT * FROM cache_invalidation_coverage
  ORDER BY schema_name COLLATE "C", table_name COLLATE "C", kind COLLATE "C", finding COLLATE "C";
SELECT * FROM coverage;

-- truncate: until there is a trigger for it, even of another name
CREATE TABLE tasks (id integer PRIMARY KEY, parent integer REFERENCES tasks);
SELECT cover('tasks');
SELECT * FROM coverage;
CREATE TRIGGER wipe AFTER TRUNCATE ON tasks FOR EACH STATEMENT EXECUTE FUNCTION notify_cache_invalidation();
SELECT * FROM coverage;
-- one for TRUNCATE only covers nothing
CREATE TABLE nothing (id integer PRIMARY KEY, task integer REFERENCES tasks);
CREATE TRIGGER wipe AFTER TRUNCATE ON nothing FOR EACH STATEMENT EXECUTE FUNCTION notify_cache_invalidation();
SELECT kind, table_name FROM coverage;
DROP TABLE nothing;

-- referenced and referencing, across schemas; partitions under their root
CREATE TABLE "Other"."Users" (id integer PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE "Other".users_1 PARTITION OF "Other"."Users" FOR VALUES IN (1);
CREATE TABLE "Other".users_2 PARTITION OF "Other"."Users" FOR VALUES IN (2);
ALTER TABLE tasks ADD COLUMN user_id integer CONSTRAINT "Whose" REFERENCES "Other"."Users";
CREATE TABLE notes (id integer, task_id integer REFERENCES tasks) PARTITION BY LIST (id);
CREATE TABLE notes_1 PARTITION OF notes FOR VALUES IN (1);
CREATE TABLE far (id integer PRIMARY KEY);
SELECT * FROM coverage;
SELECT cover_all('notes');
SELECT cover_all('"Other"."Users"');
SELECT * FROM coverage;

-- views, also over views; what is over two tables is told of each
CREATE VIEW v1 AS SELECT t.id FROM tasks t JOIN notes n ON n.task_id = t.id;
CREATE VIEW "Other".v2 AS SELECT id FROM v1;
CREATE MATERIALIZED VIEW m3 AS SELECT id FROM "Other".v2 WITH NO DATA;
CREATE VIEW v4 AS SELECT id FROM far;
CREATE VIEW v5 AS SELECT id FROM notes_1;
CREATE RECURSIVE VIEW v6 (id) AS SELECT id FROM tasks UNION SELECT id + 1 FROM v6 WHERE id < 3;
SELECT * FROM coverage;
DROP VIEW v1, v4, v5, v6 CASCADE;

-- inheritance, at any depth, until the child has its own
CREATE TABLE base (id integer PRIMARY KEY);
SELECT cover_all('base');
CREATE TABLE child () INHERITS (base);
CREATE TABLE grandchild () INHERITS (child);
SELECT * FROM coverage;
SELECT cover_all('child');
SELECT cover_all('grandchild');
SELECT * FROM coverage;
DROP TABLE base CASCADE;

-- unlogged, and foreign
CREATE UNLOGGED TABLE quick (id integer PRIMARY KEY);
SELECT cover_all('quick');
CREATE UNLOGGED TABLE notes_2 PARTITION OF notes FOR VALUES IN (2);
CREATE FOREIGN DATA WRAPPER elsewhere;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER elsewhere;
CREATE TABLE days (id integer) PARTITION BY LIST (id);
SELECT cover_all('days');
CREATE FOREIGN TABLE days_1 PARTITION OF days FOR VALUES IN (1) SERVER elsewhere;
CREATE FOREIGN TABLE remote (id integer) SERVER elsewhere;
SELECT cover('remote');
SELECT * FROM coverage;
DROP TABLE quick, notes_2, days;
DROP FOREIGN TABLE remote;

-- replication: where others fire for what is applied, and in a database that subscribes
ALTER TABLE tasks ENABLE ALWAYS TRIGGER cover;
SELECT * FROM coverage WHERE table_name = 'tasks';
ALTER TABLE tasks ENABLE ALWAYS TRIGGER wipe;
SELECT table_name, finding FROM coverage;
ALTER TABLE tasks ENABLE TRIGGER cover;
ALTER TABLE tasks ENABLE TRIGGER wipe;
SELECT * FROM coverage;
CREATE SUBSCRIPTION regress_cache_subscription CONNECTION 'dbname=nowhere' PUBLICATION none WITH (connect = false, slot_name = NONE);
SELECT * FROM coverage WHERE table_name = 'tasks';
ALTER TABLE tasks DISABLE TRIGGER wipe;
ALTER TABLE tasks ENABLE REPLICA TRIGGER cover;
SELECT table_name, finding FROM coverage;
DROP SUBSCRIPTION regress_cache_subscription;

DROP SCHEMA app, "Other" CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
DROP FOREIGN DATA WRAPPER elsewhere CASCADE;
