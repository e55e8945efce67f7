-- As "ours"; the sessions that write set cache_invalidate.durability = off.
\ir ours.sql
