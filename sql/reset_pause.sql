-- reset_cache(): what is sent when nobody can tell what is stale; pause_ and resume_cache_invalidation(): who is sent nothing.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all

-- Without a trigger but the anchor, which sends no message
SELECT reset_cache();
SELECT item FROM journal.waiting();
ALTER TABLE journal.anchor DISABLE TRIGGER anchor;
-- and without any
SELECT reset_cache('nobody there');
SELECT item FROM journal.waiting();

CREATE SERVER other FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'unix:///nonexistent/other.sock');
CREATE ROLE regress_cache_owner;
GRANT USAGE ON FOREIGN SERVER other TO regress_cache_owner;
CREATE SCHEMA app;
SET search_path = app, public;
CREATE TABLE tasks (id integer PRIMARY KEY, project_id integer);
CREATE TRIGGER a AFTER INSERT OR UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION
  notify_cache_invalidation('key=task:{id}', 'key=all*', 'pattern=page:[0-9]:{id}:*', 'key=list:{project_id}:{id}');
-- The same items once, and messages by shape, channel and servers
CREATE TRIGGER b AFTER DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}', 'resource=x');
CREATE TRIGGER c AFTER DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}', 'payload={"id":"{$id}"}');
CREATE TRIGGER d AFTER DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}', 'server=other');
CREATE TRIGGER e AFTER DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('format=resource', 'channel=chan');
CREATE TRIGGER f AFTER DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('channel=chan');
-- In whatever firing mode, but not disabled
CREATE TRIGGER g AFTER DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=replica:{id}', 'channel=');
ALTER TABLE tasks ENABLE REPLICA TRIGGER g;
CREATE TRIGGER h AFTER DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=disabled:{id}', 'channel=off');
ALTER TABLE tasks DISABLE TRIGGER h;
-- Of a table whose owner may use one server; an ordinary trigger says nothing
CREATE TABLE owned (id integer);
CREATE TRIGGER i AFTER TRUNCATE ON owned EXECUTE FUNCTION notify_cache_invalidation('key=owned:{id}', 'channel=');
ALTER TABLE owned OWNER TO regress_cache_owner;
CREATE TRIGGER j AFTER INSERT ON owned FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
-- The clones of a partition once, unless they alone fire, or go elsewhere
CREATE TABLE parts (id integer) PARTITION BY LIST (id);
CREATE TRIGGER k AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=part:{id}', 'channel=');
CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF parts FOR VALUES IN (2);
ALTER TABLE part_2 OWNER TO regress_cache_owner;
SELECT reset_cache('everything');
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";

DROP TRIGGER a ON tasks;
DROP TRIGGER b ON tasks;
DROP TRIGGER c ON tasks;
DROP TRIGGER d ON tasks;
DROP TRIGGER e ON tasks;
DROP TRIGGER f ON tasks;
DROP TABLE owned;
ALTER TABLE ONLY parts DISABLE TRIGGER k;
SELECT reset_cache('a "quoted" reason');
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";
DROP TABLE parts;

-- Part of its transaction; also where capture is off
CREATE TRIGGER a AFTER INSERT OR UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}', 'server=cache');
BEGIN;
SELECT reset_cache();
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT reset_cache('taken back');
ROLLBACK TO s;
INSERT INTO tasks VALUES (1);
COMMIT;
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";
SET cache_invalidate.enabled = off;
BEGIN;
SELECT reset_cache(NULL);
SELECT reset_cache('twice');
SELECT reset_cache('twice');
COMMIT;
RESET cache_invalidate.enabled;
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";
SELECT reset_cache(repeat('é', 2000));
SELECT length(substring(item FROM 'RESET "(.*)" ')) FROM journal.waiting() WHERE item LIKE '%RESET%';
BEGIN READ ONLY;
SELECT reset_cache();
ROLLBACK;

-- Pauses: of one server, of all, or of both
SELECT pause_cache_invalidation('cache'), pause_cache_invalidation('cache'), pause_cache_invalidation();
SELECT server::text = (SELECT oid::text FROM pg_foreign_server WHERE srvname = server_name), server_name, paused_at <= now(), paused_by = session_user
  FROM cache_invalidation_pauses ORDER BY server_name COLLATE "C";
SELECT resume_cache_invalidation('other');
SELECT resume_cache_invalidation('cache'), resume_cache_invalidation('cache');
SELECT server, server_name FROM cache_invalidation_pauses;
SELECT pause_cache_invalidation('other');
SELECT resume_cache_invalidation(), resume_cache_invalidation();
SELECT count(*) FROM cache_invalidation_pauses;
BEGIN;
SELECT pause_cache_invalidation('cache');
ROLLBACK;
SELECT count(*) FROM cache_invalidation_pauses;
-- A server that is renamed stays paused
SELECT pause_cache_invalidation('other');
ALTER SERVER other RENAME TO another;
SELECT pause_cache_invalidation('another');
SELECT resume_cache_invalidation('another');
-- Ours only
CREATE FOREIGN DATA WRAPPER regress_cache_foreign;
CREATE SERVER stranger FOREIGN DATA WRAPPER regress_cache_foreign;
SELECT pause_cache_invalidation('stranger');
\echo :LAST_ERROR_SQLSTATE
SELECT resume_cache_invalidation('nowhere');
\echo :LAST_ERROR_SQLSTATE
BEGIN READ ONLY;
SELECT pause_cache_invalidation();
ROLLBACK;
-- Nobody else writes there, whatever his session_replication_role
INSERT INTO cache_invalidation_pauses VALUES (0, '', now(), 'me');
SET session_replication_role = replica;
INSERT INTO cache_invalidation_pauses VALUES (0, '', now(), 'me');
SELECT pause_cache_invalidation();
DELETE FROM cache_invalidation_pauses;
UPDATE cache_invalidation_pauses SET server_name = 'x';
SELECT server, server_name FROM cache_invalidation_pauses;
RESET session_replication_role;

-- Whoever may call them needs no right on the table
SET ROLE regress_cache_owner;
SELECT public.reset_cache();
SELECT public.pause_cache_invalidation();
SELECT public.resume_cache_invalidation();
SELECT * FROM public.cache_invalidation_pauses;
RESET ROLE;
GRANT EXECUTE ON FUNCTION resume_cache_invalidation(name), reset_cache(text) TO regress_cache_owner;
SET ROLE regress_cache_owner;
SELECT public.resume_cache_invalidation();
SELECT public.reset_cache('by a plain role');
RESET ROLE;
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";
SELECT count(*) FROM cache_invalidation_pauses;

SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
DROP FOREIGN DATA WRAPPER regress_cache_foreign CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
DROP ROLE regress_cache_owner;
