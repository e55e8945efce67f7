-- CREATE EXTENSION warns when the library is not preloaded, and says which setting is missing. Each of the two
-- expected files begins with what it is for.
SELECT current_setting('shared_preload_libraries') ~ 'cache_invalidate' AS is_preloaded;
CREATE EXTENSION cache_invalidate;
\echo :LAST_ERROR_SQLSTATE
DROP EXTENSION cache_invalidate;
