# States in which something is not delivered, or not known, and which health must not call sound.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $node = new_node('main', 'cache_invalidate.max_change_set_memory' => '64kB');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
create_items($node, 'postgres', $redis, rows => 10_000);
my $worker = wait_for_worker($node, 'postgres');

sub sql { return $node->safe_psql('postgres', @_) }
sub health { return sql("SELECT $_[0] FROM get_cache_invalidation_health()") }

sub becomes {
    my ($status, $problem, $what) = @_;
    my $shown;
    my $sound = wait_until($what, sub { $shown = health(q(status || ': ' || array_to_string(problems, E'\n'))); $shown =~ /^$status: $problem/s });
    ok($sound, "$what: $status") or diag($shown);
    return;
}

becomes('ok', qr/$/, 'at first');

# --- All is paused: only the end of all pauses helps, whatever servers there are

sql('SELECT pause_cache_invalidation()');
becomes('degraded', qr/[^\n]*paused by hand since [^\n]* SELECT public\.resume_cache_invalidation\(\)$/s, 'all is paused');
sql(q(SELECT pause_cache_invalidation('cache')));
becomes('degraded', qr/[^\n]*paused by hand since [^\n]* SELECT public\.resume_cache_invalidation\(\)$/s, 'a server as well');
sql('SELECT resume_cache_invalidation()');
becomes('ok', qr/$/, 'the cure');
sql('DROP SERVER cache');
sql('SELECT pause_cache_invalidation()');
becomes('degraded', qr/.*paused by hand since .* SELECT public\.resume_cache_invalidation\(\)/s, 'all is paused, and there is no server');
sql('SELECT resume_cache_invalidation()');
sql("CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $redis->url }')");
becomes('ok', qr/$/, 'with a server');
sql(q(SELECT pause_cache_invalidation('cache')));
sql(q(ALTER SERVER cache RENAME TO "odd 'Cache"));
becomes('degraded', qr/server "odd 'Cache" is paused by hand since [^\n]* SELECT public\.resume_cache_invalidation\('odd ''Cache'\)/s, 'renamed during a pause');
sql(q(SELECT resume_cache_invalidation('odd ''Cache')));
sql(q(ALTER SERVER "odd 'Cache" RENAME TO cache));

# --- A row of the error log is of the hour in which it was last added to

sql(q(INSERT INTO trigger_error_log (table_name, operation, error_message, occurred_at, occurrences, last_occurred_at)
      VALUES ('item', 'UPDATE', 'long gone', now() - interval '90 minutes', 2, now() - interval '61 minutes')));
becomes('ok', qr/$/, 'an error of the hour before');
sql(q(INSERT INTO trigger_error_log (table_name, operation, error_message, occurred_at, occurrences, last_occurred_at)
      VALUES ('item', 'UPDATE', 'still there', now() - interval '65 minutes', 3, now() - interval '6 minutes')));
becomes('degraded', qr/3 errors of table item in the last hour, such as: still there/, 'an error that goes on');
sql('SELECT cleanup_trigger_error_log(0)');

# --- However somebody spells it

for my $off ('f', 'of', 'FALSE', 'n', '0') {
    sql("ALTER DATABASE postgres SET cache_invalidate.enabled = '$off'");
    becomes('degraded', qr/.*setting cache_invalidate.enabled is off for everybody in this database/s, "enabled = $off");
}
sql('ALTER DATABASE postgres SET cache_invalidate.enabled = on');
becomes('ok', qr/$/, 'enabled = on');
sql('ALTER DATABASE postgres RESET cache_invalidate.enabled');

# --- More servers than there is room for on the board

sql(join ';', map { "CREATE SERVER more_$_ FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $redis->url }', key_prefix 'more_$_:')" } 1 .. 64);
becomes('degraded', qr/server "more_\d+" is one of more than 64/, 'a server without a place');
sql(join ';', map { "DROP SERVER more_$_" } 1 .. 64);
becomes('ok', qr/$/, 'without them');

# --- A worker that hangs while all that it should see is in the journal

becomes('ok', qr/$/, 'before');
stop_worker($node, 'postgres');
sql('UPDATE item SET version = 1');
is(sql('SELECT ring_used_bytes FROM cache_invalidation_stats'), 0, 'nothing is in the ring');
becomes('down', qr/the worker has not looked at what waits for it for \d+ s\. /, 'a worker that hangs');
kill 'CONT', $worker;
becomes('ok', qr/$/, 'it goes on');

# --- Who keeps the journal is told without a worker, too

$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->restart;
sql(q(BEGIN; UPDATE item SET version = 2 WHERE id = 1; PREPARE TRANSACTION 'kept'));
is(sql('SELECT holder, gid FROM cache_invalidation_journal_locks'), 'prepared transaction "kept"|kept', 'a prepared transaction');
sql(q(ROLLBACK PREPARED 'kept'));
is(sql('SELECT count(*) FROM cache_invalidation_journal_locks'), 0, 'and nobody, when it is ended');

done_testing();
