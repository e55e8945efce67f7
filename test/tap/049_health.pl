# get_cache_invalidation_health(): the worker, how far behind it is, the journal and who keeps it, the state of each server, and
# every problem with its cure, until the cause is gone. Read as a member of pg_monitor, who is nothing else.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $node = new_node('main', 'cache_invalidate.max_journal_size' => '16MB', 'cache_invalidate.ring_size' => '64kB',
    'cache_invalidate.replay_window' => '1h');
$node->start;
my ($redis, $other) = map { CacheInvalidate::Redis->new($_) } qw(cache other);
create_items($node, 'postgres', $redis, rows => 20_000);
sql("CREATE SERVER other FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $other->url }')");
sql('CREATE ROLE watcher LOGIN IN ROLE pg_monitor');
my $worker = wait_for_worker($node, 'postgres');

sub sql { return $node->safe_psql('postgres', @_) }
sub as_watcher { return $node->safe_psql('postgres', $_[0], extra_params => [ '-U', 'watcher' ]) }
sub health { return as_watcher("SELECT $_[0] FROM get_cache_invalidation_health()") }
sub problems { return health(q(array_to_string(problems, E'\n'))) }

# The status and the problems, as soon as they are so.
sub becomes {
    my ($status, $problem, $what) = @_;
    my $shown;
    my $sound = wait_until($what, sub { $shown = health(q(status || ': ' || array_to_string(problems, E'\n'))); $shown =~ /^$status: $problem/s });
    ok($sound, "$what: $status") or diag($shown);
    return;
}

sub heals { becomes('ok', qr/$/s, "$_[0], put right") }

# --- All is well

heals('at first');
sql('UPDATE item SET version = 1 WHERE id = 1');
ok($redis->wait_gone('item:1'), 'a key is deleted');
ok(wait_until('all is delivered', sub { health('lag_seconds') == 0 }), 'nothing is behind');
is(health('worker_pid'), $worker, 'the worker');
is(health('worker_starts'), 1, 'started once');
is(health("last_delivery BETWEEN worker_started AND clock_timestamp() AND worker_started < clock_timestamp()"), 't', 'since when, and when it delivered last');
is(health('lag_batches'), 0, 'no transaction is behind');
is(health("targets::text || targets_up || targets_total"), '{"cache": "up", "other": "up"}22', 'both servers');
is(as_watcher('SELECT check_cache_invalidation()'), 'ok', 'a probe is content');
is(as_watcher('SELECT count(*) FROM cache_invalidation_problems'), 0, 'no problem');
is(health("triggers_total || ' ' || triggers_with_problems"), '1 0', 'a trigger, with which nothing is wrong');

# --- A server is down: how far behind it is

# The other segment holds what was delivered, for a server that forgets it.
sub replay_window { sql($_) for "ALTER SYSTEM SET cache_invalidate.replay_window = '$_[0]'", 'SELECT pg_reload_conf()' }
sub is_held_by { my ($holder, $what) = @_; ok(wait_until("held by $holder", sub { health('journal_held_by') eq $holder }), $what) }

is_held_by('replay window', 'the journal is kept for the replay window');
my $began = sql('SELECT clock_timestamp()');
$redis->kill9;
becomes('degraded', qr/server "cache" is down: .* Start the server, or correct/s, 'a server is down');
sql("UPDATE item SET version = 2 WHERE id = $_") for 2 .. 4;
ok(wait_until('batches', sub { health('lag_batches') == 3 }), 'three transactions are behind');
is(health("lag_seconds > 0 AND lag_seconds <= extract(epoch FROM clock_timestamp() - '$began'::timestamptz)"), 't', 'since the first of them');
is(target($node, 'postgres', "batches_owed || ' ' || (oldest_owed > '$began') || ' ' || (lag_seconds > 0)"), '3 true true', 'the view of servers says the same');
is(target($node, 'postgres', "batches_owed || ' ' || (oldest_owed IS NULL) || ' ' || lag_seconds", 'other'), '0 true 0', 'and that the other one has all');
is(health("targets::text || targets_up || targets_total"), '{"cache": "down", "other": "up"}12', 'one of the two');
replay_window('5s');
is_held_by('server "cache"', 'the journal is kept for it, as long as nobody knows whether it was restarted');
replay_window('1s');
my ($code, $out, $err) = $node->psql('postgres', 'SELECT check_cache_invalidation()', extra_params => [ '-U', 'watcher' ]);
is($out, 'degraded', 'a probe tolerates that');
($code, $out, $err) = $node->psql('postgres', q(SELECT check_cache_invalidation('ok')), on_error_stop => 0, extra_params => [ '-U', 'watcher' ]);
like($err, qr/ERROR:  cache invalidation is degraded\nDETAIL:  server "cache" is down/, 'if it shall');
($code, $out, $err) = $node->psql('postgres', q(SELECT check_cache_invalidation('fine')));
like($err, qr/invalid status "fine"\nHINT:  .*"ok" or "degraded"/, 'another word is an error');

# --- All of them are down; a liveness probe of one psql call

$other->kill9;
becomes('down', qr/.*server "cache" is down.*server "other" is down/s, 'all servers are down');
$node->command_fails_like([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-U', 'watcher', '-c', 'SELECT check_cache_invalidation()' ],
    qr/cache invalidation is down/, 'a probe of one call fails');
$_->start for $redis, $other;
heals('servers');
$node->command_ok([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-U', 'watcher', '-c', 'SELECT check_cache_invalidation()' ],
    'and succeeds again');

# --- By hand

sql(q(SELECT pause_cache_invalidation('cache')));
becomes('degraded', qr/server "cache" is paused by hand since .* SELECT public\.resume_cache_invalidation\('cache'\)$/s, 'a pause');
sql(q(SELECT resume_cache_invalidation('cache')));
heals('a pause');
sql('ALTER EVENT TRIGGER cache_invalidate_note_rewrite DISABLE');
becomes('degraded', qr/event trigger "cache_invalidate_note_rewrite" is disabled.*ALTER EVENT TRIGGER cache_invalidate_note_rewrite ENABLE/s, 'an event trigger');
sql('ALTER EVENT TRIGGER cache_invalidate_note_rewrite ENABLE');
heals('an event trigger');
sql('ALTER DATABASE postgres SET cache_invalidate.enabled = off');
becomes('degraded', qr/.*setting cache_invalidate.enabled is off for everybody in this database/s, 'a setting');
sql('ALTER DATABASE postgres RESET cache_invalidate.enabled');
sql('ALTER ROLE watcher SET cache_invalidate.enabled = off');
becomes('degraded', qr/.*is off for role "watcher".*RESET cache_invalidate.enabled/s, 'a setting of a role');
sql('ALTER ROLE watcher RESET cache_invalidate.enabled');
heals('a setting');

# --- What triggers could not compute

sql(q(INSERT INTO trigger_error_log (table_name, operation, error_message, occurrences, last_occurred_at) VALUES ('item', 'UPDATE', 'first', 1, now()), ('item', 'UPDATE', 'second', 4, now())));
becomes('degraded', qr/5 errors of table item in the last hour, such as: second\. Read trigger_error_log/s, 'errors');
sql('SELECT cleanup_trigger_error_log(0)');
heals('errors');

# --- The ring was full

stop_worker($node, 'postgres');
sql('UPDATE item SET version = version + 1 WHERE id <= 5000') for 1 .. 3;
is(health('lag_seconds IS NOT NULL'), 't', 'a worker that hangs delays nobody who asks');
kill 'CONT', $worker;
becomes('degraded', qr/the ring was full, last \d+ s ago.*raise cache_invalidate.ring_size/s, 'a full ring');

# --- A prepared transaction keeps the journal

sql(q(BEGIN; UPDATE item SET version = 5 WHERE id = 5; PREPARE TRANSACTION 'an old one'));
ok( wait_until(
        'the prepared transaction is named',
        sub {
            sql('UPDATE item SET version = version + 1 WHERE id = 6');
            health('journal_held_by') eq 'prepared transaction "an old one"';
        }),
    'health names the prepared transaction that keeps the journal');
ok( wait_until(
        'the journal is full',
        sub {
            sql('UPDATE item SET version = version + 1 WHERE id > 1000');
            problems() =~ /the journal has .* of max_journal_size, 16 MB.*COMMIT PREPARED 'an old one'/s;
        }),
    'it is a problem when the journal is half full');
sql(q(ROLLBACK PREPARED 'an old one'));
ok(wait_until('the journal is small', sub { problems() !~ /max_journal_size/ }), 'and none when it is ended');

# --- No worker

stop_worker($node, 'postgres');
sql('UPDATE item SET version = version + 1 WHERE id = 7');
becomes('down', qr/.*the worker has not looked at what waits for it for \d+ s\. .*pg_terminate_backend\($worker\)/s, 'a worker that hangs');
kill 'CONT', $worker;
ok(wait_until('it goes on', sub { health('status') ne 'down' }), 'it goes on');
$node->safe_psql('template1', 'ALTER DATABASE postgres IS_TEMPLATE true');
becomes('down', qr/the database is a template.*ALTER DATABASE postgres IS_TEMPLATE false/s, 'a template');
is(health('worker_pid IS NULL AND lag_seconds IS NULL'), 't', 'no worker, no lag known');
$node->safe_psql('template1', 'ALTER DATABASE postgres IS_TEMPLATE false');
ok(wait_for_worker($node, 'postgres'), 'a worker');
ok(wait_until('it goes on', sub { health('status') ne 'down' }), 'it goes on');

# --- Not preloaded

$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->restart;
becomes('down', qr/the library is not preloaded.*Add cache_invalidate to shared_preload_libraries and restart the server/s, 'no preloading');
$redis->fill('item:8');
sql('UPDATE item SET version = 8 WHERE id = 8');
is($redis->has('item:8'), 1, 'nothing is delivered');
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', 'cache_invalidate');
$node->restart;
ok($redis->wait_gone('item:8'), 'the cure helps');
heals('preloading');

# --- Who may not

sql('CREATE ROLE nobody LOGIN');
for my $what ('get_cache_invalidation_health()', 'cache_invalidation_problems', 'cache_invalidation_journal_locks', 'check_cache_invalidation()') {
    ($code, $out, $err) = $node->psql('postgres', "SELECT * FROM $what", extra_params => [ '-U', 'nobody' ]);
    like($err, qr/permission denied/, "$what is not for everybody");
}

done_testing();
