-- A transaction with too many distinct items: the templates that give very many become globs, the rest stays exact.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all

CREATE SCHEMA app;
SET search_path = app, public;
CREATE TABLE tasks (id integer PRIMARY KEY, project_id integer, title text);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION
  notify_cache_invalidation('key=task:{id}', 'key=list:{project_id}', 'key=all', 'pattern=page:{id}:*');
SET cache_invalidate.max_items_per_transaction = 100;

-- Within the limit: 30 tasks, 30 pages, 3 lists, one key without a placeholder and 30 messages
INSERT INTO tasks SELECT n, n % 3, 'x' FROM generate_series(1, 30) n;
SELECT count(*), count(*) FILTER (WHERE item LIKE 'pattern task%') AS globs FROM journal.waiting();
-- Beyond it
INSERT INTO tasks SELECT n, n % 3, 'x' FROM generate_series(101, 300) n;
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";
UPDATE tasks SET project_id = project_id + 1;
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";
-- Over several statements, and with what was exact before
BEGIN;
UPDATE tasks SET title = 'y' WHERE id <= 20;
SELECT count(*) FROM journal.waiting();
DELETE FROM tasks WHERE id > 20;
COMMIT;
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";
-- A savepoint that is rolled back takes its widening along
BEGIN;
UPDATE tasks SET title = 'z' WHERE id = 1;
SAVEPOINT a;
INSERT INTO tasks SELECT n, n % 3, 'x' FROM generate_series(101, 300) n;
ROLLBACK TO a;
UPDATE tasks SET title = 'z' WHERE id = 2;
COMMIT;
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";
-- One that is released keeps it, also when it is written early
SET cache_invalidate.max_change_set_memory = '64kB';
BEGIN;
SAVEPOINT a;
INSERT INTO tasks SELECT n, n % 3, repeat('x', 100) FROM generate_series(101, 3000) n;
RELEASE a;
UPDATE tasks SET title = 'w' WHERE id IN (3, 2000);
COMMIT;
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";
RESET cache_invalidate.max_change_set_memory;
-- A trigger that is replaced by one that says something else begins anew
SET cache_invalidate.max_items_per_transaction = 100;
BEGIN;
INSERT INTO tasks SELECT n, n % 3, 'x' FROM generate_series(4001, 4200) n;
CREATE OR REPLACE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION
  notify_cache_invalidation('key=new:{id}', 'key=list:{project_id}', 'key=all', 'pattern=page:{id}:*');
UPDATE tasks SET title = 'u' WHERE id = 5;
COMMIT;
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";
-- Only the smallest limit widens what gives next to nothing; the last template too is not lost
SET cache_invalidate.max_items_per_transaction = 1;
UPDATE tasks SET title = 'v' WHERE id = 4;
SELECT item FROM journal.waiting() ORDER BY item COLLATE "C";
SET cache_invalidate.max_items_per_transaction = 0;

SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
