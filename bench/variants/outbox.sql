-- A queue table filled by a PL/pgSQL row trigger; "consumer outbox" takes rows out and deletes.
\ir ../tables.sql
CREATE TABLE outbox (id bigserial PRIMARY KEY, key text);

SELECT format('CREATE FUNCTION invalidate_%1$s() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN INSERT INTO outbox (key) VALUES (%2$s); RETURN NULL; END$$', name, expression)
FROM keyed \gexec

SELECT format('CREATE TRIGGER invalidation AFTER INSERT OR UPDATE OR DELETE ON %1$I
  FOR EACH ROW EXECUTE FUNCTION invalidate_%1$s()', name)
FROM keyed \gexec
