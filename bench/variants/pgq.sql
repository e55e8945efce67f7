-- A queue of PgQ; "consumer pgq" ticks, takes batches and deletes. insert_event_raw() is what insert_event()
-- calls in the end: called at once it costs less than that, and less than PgQ's own triggers in C.
\ir ../tables.sql
CREATE EXTENSION pgq;
DO $$
BEGIN
  PERFORM pgq.create_queue('bench');
  PERFORM pgq.set_queue_config('bench', 'ticker_max_lag', '0.1 s');
  PERFORM pgq.register_consumer('bench', 'deleter');
END$$;

SELECT format('CREATE FUNCTION invalidate_%1$s() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN
      PERFORM pgq.insert_event_raw(''bench'', NULL, now(), NULL, NULL, ''key'', %2$s, NULL, NULL, NULL, NULL);
      RETURN NULL;
    END$$', name, expression)
FROM keyed \gexec

SELECT format('CREATE TRIGGER invalidation AFTER INSERT OR UPDATE OR DELETE ON %1$I
  FOR EACH ROW EXECUTE FUNCTION invalidate_%1$s()', name)
FROM keyed \gexec
