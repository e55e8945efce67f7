-- NOTIFY from a PL/pgSQL row trigger; "consumer notify" listens and deletes.
\ir ../tables.sql
SELECT format('CREATE FUNCTION invalidate_%1$s() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN PERFORM pg_notify(''invalidation'', %2$s); RETURN NULL; END$$', name, expression)
FROM keyed \gexec

SELECT format('CREATE TRIGGER invalidation AFTER INSERT OR UPDATE OR DELETE ON %1$I
  FOR EACH ROW EXECUTE FUNCTION invalidate_%1$s()', name)
FROM keyed \gexec
