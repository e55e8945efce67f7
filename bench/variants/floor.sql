-- A C row trigger that does nothing: what any trigger costs.
\ir ../tables.sql
CREATE FUNCTION floor_trigger() RETURNS trigger LANGUAGE c AS :'floor', 'floor_trigger';

SELECT format('CREATE TRIGGER invalidation AFTER INSERT OR UPDATE OR DELETE ON %I
  FOR EACH ROW EXECUTE FUNCTION floor_trigger()', name)
FROM keyed \gexec
