-- As "ours", but a transaction is never widened, however many keys it has.
\ir ours.sql
ALTER DATABASE :DBNAME SET cache_invalidate.max_items_per_transaction = 2147483647;
