-- contrib's triggered_change_notification(); "consumer tcn" listens and deletes. It refuses a table without
-- a primary key: there a PL/pgSQL trigger sends what it would send, which is cheaper than another index.
\ir ../tables.sql
CREATE EXTENSION tcn;

SELECT format('CREATE TRIGGER invalidation AFTER INSERT OR UPDATE OR DELETE ON %I
  FOR EACH ROW EXECUTE FUNCTION triggered_change_notification()', name)
FROM keyed
WHERE EXISTS (SELECT FROM pg_index WHERE indrelid = name::regclass AND indisprimary) \gexec

SELECT format('CREATE FUNCTION invalidate_%1$s() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN PERFORM pg_notify(''tcn'', ''"%1$s",'' || left(TG_OP, 1) || %2$s); RETURN NULL; END$$', name,
  (SELECT string_agg(format(''',"%1$s"='''''' || coalesce(NEW.%1$I, OLD.%1$I) || ''''''''', part), ' || ')
   FROM unnest(columns) AS part)),
  format('CREATE TRIGGER invalidation AFTER INSERT OR UPDATE OR DELETE ON %1$I
  FOR EACH ROW EXECUTE FUNCTION invalidate_%1$s()', name)
FROM keyed
WHERE NOT EXISTS (SELECT FROM pg_index WHERE indrelid = name::regclass AND indisprimary) \gexec
