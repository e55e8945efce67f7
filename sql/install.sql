-- CREATE EXTENSION and DROP EXTENSION: where the objects go, what they are, who may use them, and sessions that
-- live on through it all.
-- From 18 on the server says where in the script an error arose
\set SHOW_CONTEXT never
SET client_min_messages = error;

-- The schema that the user names, and nowhere else
CREATE SCHEMA "Cache {Tools}";
CREATE EXTENSION cache_invalidate SCHEMA "Cache {Tools}";
SELECT nspname, extversion = (SELECT default_version FROM pg_available_extensions WHERE name = extname) AS is_default
  FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'cache_invalidate';
SELECT pg_describe_object(classid, objid, 0) FROM pg_depend
 WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'cache_invalidate')
   AND classid <> 'pg_type'::regclass  -- row types are members from 17 on
 ORDER BY pg_describe_object(classid, objid, 0) COLLATE "C";

-- Its functions work from there, with any search_path
CREATE SCHEMA app;
CREATE TABLE app.t (id integer PRIMARY KEY);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON app.t FOR EACH ROW
  EXECUTE FUNCTION "Cache {Tools}".notify_cache_invalidation('key=t:{id}', 'columns=id');
SET search_path = pg_catalog;
INSERT INTO app.t VALUES (1);
SELECT table_name, trigger_name, is_enabled, schema_name, firing, definition FROM "Cache {Tools}".get_cache_trigger_health();
SELECT "Cache {Tools}".cleanup_trigger_error_log(), "Cache {Tools}".cleanup_trigger_error_log(0);
SELECT count(*) FROM "Cache {Tools}".cache_invalidation_stats;
RESET search_path;

-- DROP EXTENSION asks for CASCADE while a trigger needs it; CASCADE drops the trigger and leaves the table
\set VERBOSITY terse
DROP EXTENSION cache_invalidate;
\set VERBOSITY default
DROP EXTENSION cache_invalidate CASCADE;
INSERT INTO app.t VALUES (2);
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'app.t'::regclass;
SELECT count(*) FROM pg_depend d JOIN pg_class c ON c.oid = d.refobjid WHERE c.oid = 'app.t'::regclass AND d.classid = 'pg_trigger'::regclass;

-- Without a schema: the current one. The same session goes on with the new functions
SET search_path = app;
CREATE EXTENSION cache_invalidate;
SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'cache_invalidate';
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=t:{id}');
INSERT INTO t VALUES (3);
UPDATE t SET id = id + 10;

-- Once a database, not relocatable
\set VERBOSITY terse
CREATE EXTENSION cache_invalidate SCHEMA "Cache {Tools}";
ALTER EXTENSION cache_invalidate SET SCHEMA "Cache {Tools}";
\set VERBOSITY default

-- Made, used, dropped and made again within one transaction that is rolled back
BEGIN;
DROP EXTENSION cache_invalidate CASCADE;
INSERT INTO t VALUES (4);
CREATE EXTENSION cache_invalidate SCHEMA "Cache {Tools}";
CREATE TRIGGER cache AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION "Cache {Tools}".notify_cache_invalidation('key=t:{id}');
INSERT INTO t VALUES (5);
SAVEPOINT a;
DROP EXTENSION cache_invalidate CASCADE;
INSERT INTO t VALUES (6);
ROLLBACK TO a;
INSERT INTO t VALUES (7);
DROP EXTENSION cache_invalidate CASCADE;
CREATE EXTENSION cache_invalidate;
CREATE TRIGGER cache AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=t:{id}', 'columns=id');
INSERT INTO t VALUES (8);
ROLLBACK;
INSERT INTO t VALUES (9);
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal;

-- and within one that is committed
BEGIN;
INSERT INTO t VALUES (20);
DROP EXTENSION cache_invalidate CASCADE;
CREATE EXTENSION cache_invalidate SCHEMA "Cache {Tools}";
CREATE TRIGGER cache AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION "Cache {Tools}".notify_cache_invalidation('key=t:{id}');
INSERT INTO t VALUES (21);
COMMIT;
INSERT INTO t VALUES (22);
DROP EXTENSION cache_invalidate CASCADE;
CREATE EXTENSION cache_invalidate;

-- Every object says what it is for
SELECT pg_describe_object(classid, objid, 0) AS uncommented FROM pg_depend
 WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'cache_invalidate')
   AND classid <> 'pg_type'::regclass AND obj_description(objid, classid::regclass::name) IS NULL;

-- PUBLIC has no right on anything but the trigger function and the option validator, which do nothing by themselves,
-- explain_cache_invalidation(), which asks who owns the table, and those that make and drop triggers as the caller
SELECT o.kind, o.name, a.privilege_type
  FROM (SELECT 'relation', relname::text, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, relowner)), 'pg_class'::regclass, oid FROM pg_class
        UNION ALL SELECT 'function', proname, coalesce(proacl, acldefault('f', proowner)), 'pg_proc'::regclass, oid FROM pg_proc
        UNION ALL SELECT 'wrapper', fdwname, coalesce(fdwacl, acldefault('F', fdwowner)), 'pg_foreign_data_wrapper'::regclass, oid FROM pg_foreign_data_wrapper
       ) o (kind, name, acl, class, oid)
  JOIN pg_depend d ON d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
  JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'cache_invalidate'
  CROSS JOIN aclexplode(o.acl) a WHERE a.grantee = 0
 ORDER BY o.kind, o.name COLLATE "C", a.privilege_type;
-- and nobody but the owner may add triggers, or references, to its tables
SELECT count(*) FROM pg_class c JOIN pg_depend d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'
  JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'cache_invalidate'
  CROSS JOIN aclexplode(c.relacl) a
 WHERE a.grantee <> c.relowner AND a.privilege_type <> 'SELECT';

-- An ordinary role may not install it
CREATE ROLE regress_cache_plain;
GRANT USAGE, CREATE ON SCHEMA app TO regress_cache_plain;
DROP EXTENSION cache_invalidate CASCADE;
SET ROLE regress_cache_plain;
\set VERBOSITY terse
CREATE EXTENSION cache_invalidate;
\set VERBOSITY default
-- and what a plain role has put in the way is not adopted
CREATE TABLE app.trigger_error_log (id integer);
RESET ROLE;
CREATE EXTENSION cache_invalidate;
DROP TABLE app.trigger_error_log;
SET ROLE regress_cache_plain;
CREATE FUNCTION app.notify_cache_invalidation() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
RESET ROLE;
CREATE EXTENSION cache_invalidate;
DROP FUNCTION app.notify_cache_invalidation();
REVOKE ALL ON SCHEMA app FROM regress_cache_plain;
DROP ROLE regress_cache_plain;

-- A function of the same name elsewhere is not ours
CREATE EXTENSION cache_invalidate SCHEMA "Cache {Tools}";
CREATE FUNCTION app.notify_cache_invalidation() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER other AFTER INSERT ON t EXECUTE FUNCTION app.notify_cache_invalidation('no argument of ours');
SELECT count(*) FROM "Cache {Tools}".get_cache_trigger_health();

DROP SCHEMA app, "Cache {Tools}" CASCADE;
SELECT count(*) FROM pg_extension WHERE extname = 'cache_invalidate';
