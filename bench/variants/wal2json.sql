-- No trigger: "consumer wal2json" reads the changes from the WAL. Needs wal_level = logical and, where there
-- is such a setting, wal2json in output_plugin_libraries. The slot has to be dropped before the database.
DO $$BEGIN PERFORM pg_create_logical_replication_slot('bench', 'wal2json'); END$$;
