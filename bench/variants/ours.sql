-- cache_invalidate, delivering to the Redis.
\ir ../tables.sql
CREATE EXTENSION cache_invalidate;
SELECT 'unix://' || :'redis' AS url \gset
CREATE SERVER bench FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url :'url');

SELECT format('CREATE TRIGGER invalidation AFTER INSERT OR UPDATE OR DELETE ON %I
  FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation(%L)', name, 'key=' || template)
FROM keyed \gexec
