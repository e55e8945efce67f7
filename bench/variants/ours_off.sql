-- As "ours", but a batch goes to the worker only and not to the journal.
\ir ours.sql
ALTER DATABASE :DBNAME SET cache_invalidate.durability = off;
