-- Paths over foreign keys, {call_id.user_id}: what they give, when, and with whose rights.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all

CREATE SCHEMA app;
SET search_path = app, public;
CREATE TABLE orgs (id integer PRIMARY KEY, name text);
CREATE TABLE users (id integer PRIMARY KEY, org_id integer REFERENCES orgs ON DELETE SET NULL, email text, admin boolean);
CREATE TABLE calls (id bigint PRIMARY KEY, user_id integer REFERENCES users ON DELETE CASCADE);
CREATE TABLE scores (id integer PRIMARY KEY, call_id bigint REFERENCES calls ON DELETE CASCADE DEFERRABLE, score integer);
INSERT INTO orgs VALUES (1, 'one'), (2, 'two');
INSERT INTO users VALUES (10, 1, 'a@example.org', true), (20, 2, 'b@example.org', false), (30, NULL, NULL, NULL);
INSERT INTO calls VALUES (100, 10), (200, 20), (300, 30), (400, NULL);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON scores FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=user:{call_id.user_id}', 'key=org:{call_id.user_id.org_id}:{id}',
    'fields=call_id,user=call_id.user_id,call_id.user_id.email,admin=call_id.user_id.admin');

INSERT INTO scores VALUES (1, 100, 0);
SELECT * FROM journal.waiting();
-- The row points elsewhere: both sides
UPDATE scores SET call_id = 200;
SELECT * FROM journal.waiting();
-- NULL on the way, and at its beginning: the key does not apply, the fields are null
UPDATE scores SET call_id = 300;
UPDATE scores SET call_id = 400;
UPDATE scores SET call_id = NULL;
SELECT * FROM journal.waiting();
DELETE FROM scores;
SELECT * FROM journal.waiting();

-- What it points to goes in the same command or before: caches know it as it was
INSERT INTO scores VALUES (2, 100, 0), (3, 200, 0);
SELECT count(*) FROM journal.waiting();
DELETE FROM calls WHERE id = 100;
SELECT * FROM journal.waiting();
DELETE FROM users WHERE id = 20;
SELECT * FROM journal.waiting();
INSERT INTO users VALUES (20, 2, 'b@example.org', false);
INSERT INTO calls VALUES (100, 10), (200, 20);

-- What it points to changes in the same transaction: as it was, and as it is
INSERT INTO scores VALUES (4, 100, 0);
SELECT count(*) FROM journal.waiting();
BEGIN;
UPDATE calls SET user_id = 20 WHERE id = 100;
UPDATE scores SET score = 1;
COMMIT;
SELECT * FROM journal.waiting();
-- also further down the path, and rolled back
BEGIN;
SAVEPOINT a;
UPDATE users SET org_id = 1 WHERE id = 20;
UPDATE scores SET score = 2;
ROLLBACK TO a;
UPDATE scores SET score = 3;
COMMIT;
SELECT * FROM journal.waiting();
-- made in the same command
WITH call AS (INSERT INTO calls VALUES (101, 10) RETURNING id) INSERT INTO scores SELECT 5, id, 0 FROM call;
SELECT * FROM journal.waiting();
-- made and taken back: what was found then is not used again
BEGIN;
SAVEPOINT a;
INSERT INTO calls VALUES (102, 10);
INSERT INTO scores VALUES (6, 102, 0);
ROLLBACK TO a;
INSERT INTO calls VALUES (102, 20);
INSERT INTO scores VALUES (6, 102, 0);
COMMIT;
SELECT * FROM journal.waiting();

-- also after it was looked up: what this transaction changes is looked up again
BEGIN;
UPDATE scores SET score = 7 WHERE id = 4;
UPDATE calls SET user_id = 10 WHERE id = 100;
UPDATE scores SET score = 8 WHERE id = 4;
UPDATE calls SET user_id = 30 WHERE id = 100;
UPDATE scores SET score = 9 WHERE id = 4;
UPDATE calls SET user_id = 20 WHERE id = 100;
COMMIT;
SELECT * FROM journal.waiting();

-- No row: widened as far as it has to be
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO scores VALUES (7, 700, 0);
INSERT INTO calls VALUES (700, 10);
COMMIT;
SELECT * FROM journal.waiting();

-- Looked up once per distinct value and transaction
DELETE FROM scores;
INSERT INTO scores SELECT n, CASE n % 3 WHEN 0 THEN 100 WHEN 1 THEN 200 ELSE 300 END, 0 FROM generate_series(1, 1000) n;
SELECT count(*) FROM journal.waiting() WHERE item LIKE 'key user%';
BEGIN;
SELECT pg_stat_get_xact_numscans('calls_pkey'::regclass) calls, pg_stat_get_xact_numscans('users_pkey'::regclass) users \gset
UPDATE scores SET score = score + 1;
DELETE FROM scores WHERE id > 500;
SELECT pg_stat_get_xact_numscans('calls_pkey'::regclass) - :calls calls, pg_stat_get_xact_numscans('users_pkey'::regclass) - :users users;
COMMIT;
SELECT item FROM journal.waiting() WHERE item LIKE 'key user%';

-- Keys of several columns, of text, of enums, and to a partitioned table
CREATE TYPE kind AS ENUM ('big', 'small');
CREATE DOMAIN slug AS varchar(20);
CREATE TABLE places (country text, city slug, size kind, mayor text, PRIMARY KEY (country, city)) PARTITION BY LIST (country);
CREATE TABLE places_fr PARTITION OF places FOR VALUES IN ('fr');
CREATE TABLE places_de (mayor text, city slug NOT NULL, dropped integer, country text NOT NULL, size kind);
ALTER TABLE places_de DROP COLUMN dropped;
ALTER TABLE places ATTACH PARTITION places_de FOR VALUES IN ('de');
CREATE TABLE sizes (size kind PRIMARY KEY, label text);
CREATE TABLE visits (id integer PRIMARY KEY, city varchar(20), country text, size kind REFERENCES sizes,
  FOREIGN KEY (country, city) REFERENCES places ON UPDATE CASCADE);
INSERT INTO places VALUES ('fr', 'lyon', 'big', 'X'), ('de', 'ulm', 'small', 'Y');
INSERT INTO sizes VALUES ('big', 'Big'), ('small', 'Small');
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON visits FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=mayor:{city.mayor}', 'key=label:{size.label}', 'channel=');
INSERT INTO visits VALUES (1, 'lyon', 'fr', 'big'), (2, 'ulm', 'de', 'small'), (3, NULL, 'de', NULL);
SELECT * FROM journal.waiting();
CREATE TABLE places_it PARTITION OF places FOR VALUES IN ('it');
INSERT INTO places VALUES ('it', 'bari', 'big', 'Z');
UPDATE visits SET city = 'bari', country = 'it' WHERE id = 2;
UPDATE places SET country = 'fr', mayor = 'V' WHERE city = 'bari';
SELECT * FROM journal.waiting();
-- Partitions of partitions
CREATE TABLE places_es PARTITION OF places FOR VALUES IN ('es') PARTITION BY LIST (city);
CREATE TABLE places_es_jaca PARTITION OF places_es FOR VALUES IN ('jaca');
INSERT INTO places VALUES ('es', 'jaca', 'small', 'J');
BEGIN;
UPDATE visits SET city = 'jaca', country = 'es' WHERE id = 1;
-- Only where a row was found a lock stays
SELECT DISTINCT relation::regclass FROM pg_locks
 WHERE pid = pg_backend_pid() AND mode = 'AccessShareLock' AND relation::regclass::text LIKE 'places%' ORDER BY 1;
COMMIT;
SELECT * FROM journal.waiting();

-- A table that points to itself: all rows of a statement are looked up as the statement leaves them
CREATE TABLE nodes (id integer PRIMARY KEY, parent integer REFERENCES nodes, owner integer);
INSERT INTO nodes SELECT n, nullif(n / 2, 0), n % 3 FROM generate_series(1, 7) n;
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON nodes FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=children-of:{parent.owner}', 'key=grandchildren-of:{parent.parent.owner}', 'channel=');
BEGIN;
SELECT pg_stat_get_xact_numscans('nodes_pkey'::regclass) nodes \gset
UPDATE nodes SET owner = owner + 10 WHERE id > 3;
UPDATE nodes SET owner = 20 WHERE id = 2;
SELECT pg_stat_get_xact_numscans('nodes_pkey'::regclass) - :nodes < 10 AS once_a_value;
COMMIT;
SELECT * FROM journal.waiting();

-- No rights on what is read are needed by the writer, and no policy hides it; who attaches must be allowed to read it
CREATE ROLE regress_cache_writer;
GRANT USAGE ON SCHEMA app TO regress_cache_writer;
GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON scores TO regress_cache_writer;
ALTER TABLE calls ENABLE ROW LEVEL SECURITY;
ALTER TABLE calls FORCE ROW LEVEL SECURITY;
SET ROLE regress_cache_writer;
UPDATE scores SET score = -1 WHERE id = 1;
CREATE TRIGGER mine AFTER INSERT ON scores FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key={call_id.user_id}');
RESET ROLE;
SELECT item FROM journal.waiting() WHERE item LIKE 'key%';
GRANT SELECT (id, user_id) ON calls TO regress_cache_writer;
SET ROLE regress_cache_writer;
CREATE TRIGGER mine AFTER INSERT ON scores FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key={call_id.user_id}');
RESET ROLE;
DROP TRIGGER mine ON scores;
DROP OWNED BY regress_cache_writer;
DROP ROLE regress_cache_writer;

-- What a rule depends on is not dropped or changed unasked
\set VERBOSITY terse
ALTER TABLE calls DROP COLUMN user_id;
ALTER TABLE users DROP COLUMN email;
ALTER TABLE scores DROP CONSTRAINT scores_call_id_fkey;
ALTER TABLE scores DROP COLUMN call_id;
\set VERBOSITY default
BEGIN;
SET LOCAL client_min_messages = warning;
ALTER TABLE users DROP COLUMN email CASCADE;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'scores'::regclass AND tgname = 'cache';
ROLLBACK;
-- New columns and a new foreign key are seen
ALTER TABLE calls ADD COLUMN note text;
UPDATE scores SET score = -2 WHERE id = 1;
SELECT item FROM journal.waiting() WHERE item LIKE 'key%';

-- Mistakes
CREATE TABLE wrong (id integer PRIMARY KEY, a integer, b integer REFERENCES orgs, c numeric, d integer REFERENCES orgs);
ALTER TABLE wrong ADD FOREIGN KEY (d) REFERENCES users;
CREATE TABLE amounts (id numeric PRIMARY KEY);
ALTER TABLE wrong ADD FOREIGN KEY (a) REFERENCES amounts;
CREATE FUNCTION attempt(argument text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
  hint text;
BEGIN
  EXECUTE format('CREATE TRIGGER wrong AFTER INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation(%L)', argument);
  DROP TRIGGER wrong ON wrong;
  RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(E'\n', sqlstate || ': ' || sqlerrm, detail, hint);
END $$;
SELECT attempt('key={c.x}');
SELECT attempt('key={x.y}');
SELECT attempt('key={b.none}');
SELECT attempt('key={b.name.x}');
SELECT attempt('key={d.name}');
SELECT attempt('key={a.id}');
SELECT attempt('fields=b.');
SELECT attempt('columns=b.name');
SELECT attempt('pattern=o:{b.name}:*');
SELECT attempt('id={b.name}');

SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
