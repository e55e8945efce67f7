What scripts/check_extension_sql has to find, and what it must not. "-- RULE LINE...": the part after it breaks the rule in
those of its lines.
-- PS001 1
CREATE VIEW @extschema@.v AS SELECT t.a + t.b AS c FROM @extschema@.t;
-- PS001 2 3 4 5
CREATE VIEW @extschema@.v AS SELECT 1 FROM @extschema@.t
 WHERE t.a = 1
    OR t.a IN (1, 2)
    OR t.b LIKE 'x'
    OR t.a IS DISTINCT FROM 3;
-- PS001 2
UPDATE @extschema@.t SET a = 1, b = 2
 WHERE c = 3;
-- PS001 3
CREATE FUNCTION @extschema@.f(a text) RETURNS boolean LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT a = 'x';
END;
-- PS001 1
CREATE TABLE @extschema@.t (a integer CHECK (a > 0)) WITH (fillfactor = 50);
-- PS001 1
DO $$ BEGIN PERFORM 1 WHERE 1 = 1; END $$;
-- PS001 1
SELECT 1 FROM @extschema@.t JOIN @extschema@.u USING (id);
-- right
CREATE VIEW @extschema@.v WITH (security_barrier = true) AS
  SELECT t.*, pg_catalog.count(*) FROM @extschema@.t AS t WHERE t.a OPERATOR(pg_catalog.=) 1 AND CASE WHEN t.b THEN true END;
UPDATE @extschema@.t SET a = 1, b = 2;
CREATE TABLE @extschema@.u (a integer DEFAULT 1, b text NOT NULL) USING heap WITH (fillfactor = 50, toast.autovacuum_enabled = false);
-- PS002 1 2
CREATE OR REPLACE FUNCTION @extschema@.f() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'f';
create or replace procedure @extschema@.p() LANGUAGE c AS 'MODULE_PATHNAME', 'p';
-- PS003 1
CREATE FUNCTION @extschema@.f() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
-- PS004 1 2
CREATE FUNCTION @extschema@.f() RETURNS integer LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS 'SELECT 1';
CREATE FUNCTION @extschema@.g() RETURNS integer LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS 'SELECT 1';
-- PS005 1 2
CREATE FUNCTION @extschema@.f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION @extschema@.g() RETURNS integer LANGUAGE plpgsql SET search_path TO "$user", public AS $$ BEGIN RETURN 1; END $$;
-- PS005 1
CREATE FUNCTION @extschema@.f() RETURNS integer LANGUAGE plpython3u AS 'return 1';
-- right
CREATE FUNCTION @extschema@.f() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
BEGIN
  IF 1 = 2 THEN RETURN exists(SELECT FROM pg_class); END IF;
END $f$;
CREATE FUNCTION @extschema@.g() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'g';
-- right
-- allow PS005: it has to be inlined
CREATE FUNCTION @extschema@.f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
-- PS005 1
-- allow PS005: but it sets one
CREATE FUNCTION @extschema@.f() RETURNS integer LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT 1';
-- PS005 2
-- allow PS005:
CREATE FUNCTION @extschema@.f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
-- PS006 1
CREATE OR REPLACE TRANSFORM FOR bytea LANGUAGE plpython3u (FROM SQL WITH FUNCTION @extschema@.f(internal));
-- PS007 1 2 3
CREATE OR REPLACE AGGREGATE @extschema@.a(integer) (SFUNC = f, STYPE = integer);
CREATE OR REPLACE TRIGGER t AFTER INSERT ON @extschema@.t EXECUTE FUNCTION @extschema@.f();
CREATE COLLATION IF NOT EXISTS @extschema@.c (locale = 'C');
-- PS009 1
CREATE VIEW @extschema@.v AS SELECT CASE t.a WHEN 1 THEN 2 END AS b FROM @extschema@.t;
-- PS009 3
CREATE FUNCTION @extschema@.f(a integer) RETURNS integer LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT CASE a WHEN 1 THEN 2 END;
END;
-- PS010 1
CREATE SCHEMA IF NOT EXISTS tools;
-- PS011 1
CREATE SEQUENCE IF NOT EXISTS @extschema@.s;
-- PS012 1 2
CREATE TABLE IF NOT EXISTS @extschema@.t (a integer);
CREATE UNLOGGED TABLE IF NOT EXISTS @extschema@.u (a integer);
-- PS013 1
CREATE SERVER IF NOT EXISTS s FOREIGN DATA WRAPPER cache_invalidate;
-- PS014 1 2
CREATE INDEX IF NOT EXISTS i ON @extschema@.t (a);
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS j ON @extschema@.t (a);
-- PS015 1
CREATE OR REPLACE VIEW @extschema@.v AS SELECT 1 AS a;
-- PS016 1 2
SELECT now();
CREATE VIEW @extschema@.v AS SELECT count(*) FROM @extschema@.t;
-- PS016 3
CREATE FUNCTION @extschema@.f() RETURNS timestamptz LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT now();
END;
-- PS016 1
CREATE TABLE @extschema@.t (a timestamptz DEFAULT now());
-- PS017 1 2 3 4 5 6 7 8 9 10
CREATE TABLE t (a integer);
CREATE VIEW @extschema@.v AS SELECT 1 FROM pg_class;
SELECT 'x'::text;
INSERT INTO t VALUES (1);
COMMENT ON TABLE t IS 'x';
GRANT SELECT ON t TO pg_monitor;
REVOKE ALL ON FUNCTION f() FROM PUBLIC;
CREATE TRIGGER t AFTER INSERT ON @extschema@.t EXECUTE FUNCTION f();
ALTER TABLE t ADD COLUMN b integer;
CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();
-- PS017 2
SET LOCAL search_path = pg_catalog, pg_temp;
CREATE FUNCTION f() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'f';
-- right
WITH c AS (SELECT 1 AS a) SELECT pg_catalog.substring('a' FROM 1)::pg_catalog.text, 1::integer FROM c;
-- PS017 2
SET LOCAL search_path = public;
SELECT 1 FROM pg_class;
-- right
SET LOCAL search_path = pg_catalog, pg_temp;
SELECT count(*), now() - interval '1 hour', 'x'::text FROM pg_class WHERE oid = 1 AND CASE relname WHEN 'x' THEN true END;
CREATE FUNCTION @extschema@.f(a integer) RETURNS boolean LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT a = 1 OR CASE a WHEN 1 THEN CASE WHEN true THEN true END END;
  SELECT now() IS NULL;
END;
-- EX001 1 2
CREATE FUNCTION @extschema@.f() RETURNS integer LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT @extschema@.g() $$;
COMMENT ON TABLE @extschema@.t IS 'in @extschema@';
-- EX002 1 2
SET search_path = pg_catalog, pg_temp;
RESET search_path;
-- EX003 1
SELECT 1;
-- EX004 1
CREATE FUNCTION @extschema@.f() RETURNS void LANGUAGE c SECURITY DEFINER AS 'MODULE_PATHNAME', 'f';
