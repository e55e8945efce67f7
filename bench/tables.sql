-- The tables of the benchmarks that are there, and what makes up the key of a row in the cache:
-- `template` as notify_cache_invalidation() takes it, `expression` as a PL/pgSQL row trigger computes it.
CREATE TEMPORARY TABLE keyed AS
SELECT list.name, list.columns,
       list.name || ':' || string_agg('{' || part.name || '}', ':' ORDER BY part.place) AS template,
       format('%L || ', list.name || ':')
         || string_agg(format('coalesce(NEW.%1$I, OLD.%1$I)', part.name), ' || '':'' || ' ORDER BY part.place) AS expression
FROM (VALUES ('item', '{id}'::text[]),
             ('bulk', '{id}'),
             ('loaded', '{id}'),
             ('pgbench_accounts', '{aid}'),
             ('pgbench_branches', '{bid}'),
             ('pgbench_tellers', '{tid}'),
             ('pgbench_history', '{tid,bid,aid}')) AS list (name, columns),
     unnest(list.columns) WITH ORDINALITY AS part (name, place)
WHERE to_regclass(list.name) IS NOT NULL
GROUP BY list.name, list.columns;
