-- As "ours", in a database with 63 more servers and 10 000 more triggers, which nobody uses.
\ir ours.sql
SELECT format('CREATE SERVER bench_%s FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url %L)', number, :'url')
FROM generate_series(1, 63) number \gexec

DO $$
BEGIN
  FOR number IN 1..1000 LOOP
    EXECUTE format('CREATE TABLE idle_%s (id int PRIMARY KEY)', number);
    FOR rule IN 1..10 LOOP
      EXECUTE format('CREATE TRIGGER invalidation_%2$s AFTER INSERT OR UPDATE OR DELETE ON idle_%1$s
        FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation(''key=idle_%1$s:%2$s:{id}'', ''server=bench_%3$s'')', number, rule, 1 + number % 63);
    END LOOP;
    COMMIT;
  END LOOP;
END$$;

-- The one that is used names its server.
SELECT format('DROP TRIGGER invalidation ON %1$I;
  CREATE TRIGGER invalidation AFTER INSERT OR UPDATE OR DELETE ON %1$I
  FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation(%2$L, ''server=bench'')', name, 'key=' || template)
FROM keyed \gexec
