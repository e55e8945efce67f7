-- Servers and user mappings: their options are checked as they are written, secrets are not repeated, and whose
-- tables reach which server. What is owed to whom is read from the journal.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all
CREATE SCHEMA app;
SET search_path = app, public;

-- As it looks to who makes the mistake
CREATE SERVER wrong FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'redis://:secret@localhost');
CREATE SERVER wrong FOREIGN DATA WRAPPER cache_invalidate OPTIONS (uri 'redis://localhost');

-- The same for many, in few lines
CREATE FUNCTION attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  code text;
  message text;
  detail text;
  hint text;
BEGIN
  BEGIN
    EXECUTE command;
    RAISE SQLSTATE 'ACCEP';
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  END;
  RETURN CASE WHEN code = 'ACCEP' THEN 'accepted'
         ELSE format('%s: %s', code, message) || coalesce(E'\nDETAIL: ' || nullif(detail, ''), '') || coalesce(E'\nHINT: ' || nullif(hint, ''), '') END;
END $$;
CREATE FUNCTION try_server(options text) RETURNS text LANGUAGE sql AS
  $$ SELECT app.attempt('CREATE SERVER wrong FOREIGN DATA WRAPPER cache_invalidate ' || options) $$;
CREATE FUNCTION try_url(url text) RETURNS text LANGUAGE sql AS
  $$ SELECT app.try_server(format('OPTIONS (url %L)', url)) $$;
\t on

-- The address
SELECT try_server('');
SELECT try_url('');
SELECT try_url('localhost:6379');
SELECT try_url('http://localhost');
SELECT try_url('redis://');
SELECT try_url('redis://localhost:0');
SELECT try_url('redis://localhost:65536');
SELECT try_url('redis://localhost:secret');
SELECT try_url('redis://localhost/secret');
SELECT try_url('redis://localhost/-1');
SELECT try_url('redis://localhost?password=secret');
SELECT try_url('redis://user:secret@localhost:6379/0');
SELECT try_url('redis://user name');
SELECT try_url('redis://ho$t');
SELECT try_url('redis://::1:6379');
SELECT try_url('redis://[::1');
SELECT try_url('rediss://localhost');
SELECT try_url('unix://relative/path');
SELECT try_url('unix:///' || repeat('p', 200));
SELECT try_url('unix:///socket?db=x');
SELECT try_url('unix:///socket?password=secret');
SELECT url, try_url(url) FROM unnest(ARRAY['redis://localhost', 'REDIS://Cache-1.example.org:6380/15', 'redis://127.0.0.1/', 'redis://[::1]:6379/2',
                                           'unix:///run/redis/redis.sock', 'unix:///run/a%20b%40c?db=3']) url;

-- The other options of a server
SELECT try_server($$OPTIONS (url 'redis://localhost', password 'secret')$$);
SELECT try_server($$OPTIONS (url 'redis://localhost', username 'joe')$$);
SELECT try_server($$OPTIONS (url 'redis://localhost', "URL" 'redis://localhost')$$);
SELECT try_server($$OPTIONS (url 'redis://localhost', connect_timeout '0')$$);
SELECT try_server($$OPTIONS (url 'redis://localhost', connect_timeout '601s')$$);
SELECT try_server($$OPTIONS (url 'redis://localhost', command_timeout '5 parsecs')$$);
SELECT try_server($$OPTIONS (url 'redis://localhost', command_timeout '')$$);
SELECT try_server($$OPTIONS (url 'redis://localhost', command_timeout '99999999999999999999')$$);
SELECT try_server($$OPTIONS (url 'redis://localhost', enabled 'perhaps')$$);
SELECT try_server($$OPTIONS (url 'redis://localhost', key_prefix 'app: ', connect_timeout '250', command_timeout '2s', enabled 'off')$$);
SELECT try_server($$OPTIONS (url 'redis://localhost', connect_timeout '10min', command_timeout '600000ms', enabled 'yes')$$);
SELECT try_server($$OPTIONS (url 'redis://localhost', lease_prefix 'lease:', second_delete_after '100ms', publish_channel 'changes:{$resource}:{$id}')$$);
SELECT try_server($$OPTIONS (url 'redis://localhost', second_delete_after '2min')$$);
SELECT try_server($$OPTIONS (url 'redis://localhost', publish_channel 'task:{id}')$$);
SELECT try_server($$OPTIONS (url 'redis://localhost', publish_channel '{$resource')$$);

-- Changing them
SELECT attempt('ALTER SERVER cache OPTIONS (DROP url)');
SELECT attempt('ALTER SERVER cache OPTIONS (SET url ''redis://:secret@localhost'')');
SELECT attempt('ALTER SERVER cache OPTIONS (ADD enabled ''false'', ADD key_prefix ''x'')');

-- User mappings, the wrapper itself, and what it has no use for
CREATE FUNCTION try_mapping(options text) RETURNS text LANGUAGE sql AS
  $$ SELECT app.attempt('CREATE USER MAPPING FOR PUBLIC SERVER cache ' || options) $$;
SELECT try_mapping($$OPTIONS (user 'joe', password 'secret')$$);
SELECT try_mapping($$OPTIONS (username 'joe')$$);
SELECT try_mapping($$OPTIONS (username 'joe', password '')$$);
SELECT try_mapping($$OPTIONS (password 'secret')$$);
SELECT try_mapping($$OPTIONS (username 'joe', password 'secret')$$);
SELECT try_mapping('');
SELECT attempt($$ALTER FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'redis://localhost')$$);
\t off

-- The catalogs: others see the mapping's options no more than those of any wrapper
CREATE ROLE regress_cache_owner;
CREATE ROLE regress_cache_plain;
CREATE SERVER second FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'unix:///nonexistent/second.sock', key_prefix 'two:', enabled 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER second OPTIONS (username 'joe', password 'secret');
SELECT srvname, srvoptions FROM pg_foreign_server JOIN pg_foreign_data_wrapper w ON w.oid = srvfdw WHERE fdwname = 'cache_invalidate' ORDER BY 1;
SET ROLE regress_cache_plain;
SELECT srvname, umoptions FROM pg_user_mappings WHERE srvname = 'second';
\set VERBOSITY terse
CREATE SERVER mine FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'redis://localhost');
CREATE USER MAPPING FOR CURRENT_USER SERVER second OPTIONS (password 'other');
\set VERBOSITY default
RESET ROLE;

-- A table's changes go to the servers that its owner may use: a superuser's to all
CREATE TABLE t (id integer PRIMARY KEY);
CREATE TRIGGER cache AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=t:{id}', 'channel=');
CREATE TRIGGER chosen AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=chosen:{id}', 'channel=', 'server=second');
INSERT INTO t VALUES (1);
GRANT USAGE, CREATE ON SCHEMA app TO regress_cache_owner;
ALTER TABLE t OWNER TO regress_cache_owner;
INSERT INTO t VALUES (2);
GRANT USAGE ON FOREIGN SERVER cache TO regress_cache_owner;
INSERT INTO t VALUES (3);
GRANT USAGE ON FOREIGN SERVER second TO PUBLIC;
INSERT INTO t VALUES (4);
REVOKE USAGE ON FOREIGN SERVER cache FROM regress_cache_owner;
INSERT INTO t VALUES (5);
REVOKE USAGE ON FOREIGN SERVER second FROM PUBLIC;
INSERT INTO t VALUES (6);
SELECT * FROM journal.waiting();

-- Who writes does not matter, nor by which role the owner has the right
GRANT USAGE ON FOREIGN SERVER cache TO regress_cache_plain;
GRANT INSERT ON t TO regress_cache_plain;
GRANT USAGE ON SCHEMA app TO regress_cache_plain;
SET ROLE regress_cache_plain;
INSERT INTO t VALUES (10);
RESET ROLE;
GRANT regress_cache_plain TO regress_cache_owner;
INSERT INTO t VALUES (11);
REVOKE regress_cache_plain FROM regress_cache_owner;
INSERT INTO t VALUES (12);
SELECT * FROM journal.waiting();

-- Within one transaction: what holds when it commits
BEGIN;
INSERT INTO t VALUES (20);
GRANT USAGE ON FOREIGN SERVER cache, second TO regress_cache_owner;
COMMIT;
BEGIN;
INSERT INTO t VALUES (21);
CREATE SERVER third FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'unix:///nonexistent/third.sock');
GRANT USAGE ON FOREIGN SERVER third TO regress_cache_owner;
SAVEPOINT a;
REVOKE USAGE ON FOREIGN SERVER second FROM regress_cache_owner;
ROLLBACK TO a;
COMMIT;
ALTER SERVER third RENAME TO "Third";
INSERT INTO t VALUES (22);
SELECT * FROM journal.waiting();
DROP SERVER "Third";
INSERT INTO t VALUES (23);
SELECT * FROM journal.waiting();

-- A table owner can make his trigger himself, and with it reach nothing but what he may
CREATE TABLE own (id integer);
ALTER TABLE own OWNER TO regress_cache_owner;
REVOKE USAGE ON FOREIGN SERVER cache FROM regress_cache_owner;
SET ROLE regress_cache_owner;
CREATE TRIGGER cache AFTER INSERT ON own FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=of somebody else', 'server=cache,second', 'channel=');
INSERT INTO own VALUES (1);
RESET ROLE;
SELECT * FROM journal.waiting();

SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
DROP ROLE regress_cache_owner, regress_cache_plain;
