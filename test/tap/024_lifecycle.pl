# However the server is stopped, and whatever the worker waits for just then, it takes no longer than without the extension,
# and nothing that was committed is forgotten: with a cache that answers, with one that hangs, and with synchronous
# replication to a standby that never confirms.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant LONGER => 3;    # seconds: a busy machine is allowed for

my $plain = new_node('plain', preload => 0);
my $node  = new_node('main', allows_streaming => 1);
my $redis = CacheInvalidate::Redis->new('cache');
$_->start for $plain, $node;
create_items($node, 'postgres', $redis, rows => 200);
my $worker = wait_for_worker($node, 'postgres');
my $next   = 1;

# What the test does itself waits for no standby. One session below does.
$ENV{PGOPTIONS} = '-c synchronous_commit=local';

sub sql { return $node->safe_psql('postgres', @_) }

# Changes the next item; returns its key.
sub change {
    my $id = $next++;
    sql("UPDATE item SET version = version + 1 WHERE id = $id");
    return "item:$id";
}

# The worker waits for an answer; returns the key that it owes.
sub hang {
    $redis->pause;
    my $key = change();
    ok(wait_until('it waits', sub { target($node, 'postgres', 'keys_pending') > 0 }), 'the worker waits for an answer');
    return $key;
}

sub confirm_nothing {
    sql(q(ALTER SYSTEM SET synchronous_standby_names = 'nobody'));
    sql('SELECT pg_reload_conf()');
    ok(wait_until('the setting', sub { sql('SHOW synchronous_standby_names') eq 'nobody' }), 'the standby confirms nothing');
    sql('CHECKPOINT');    # it is the checkpointer that puts it into effect
}
sub confirm_again {
    sql('ALTER SYSTEM RESET synchronous_standby_names');
    sql('SELECT pg_reload_conf()');
}

# A session whose commit waits for the standby, and the key of its change.
sub waiting_commit {
    my $id      = $next++;
    my $session = $node->background_psql('postgres', on_error_stop => 0);
    $session->query_until(qr/begun/,
        "SET synchronous_commit = on;\n\\echo begun\nUPDATE item SET version = version + 1 WHERE id = $id;\n");
    ok(wait_until('SyncRep', sub { sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == 1 }),
        'a commit waits for the standby');
    return ($session, "item:$id");
}

# Its server is gone, so the end is none of its making.
sub forget { my ($session) = @_; eval { $session->quit }; return }

sub seconds_to_stop {
    my ($node, $mode) = @_;
    my $start = time;
    $node->stop($mode);
    return time - $start;
}

# --- Every way to stop, in every state

my %states = (
    'a cache that answers' => sub { return change() },
    'a cache that hangs'   => sub { return hang() },
    'a standby that never confirms' => sub { confirm_nothing(); return change() },
    'both' => sub { confirm_nothing(); return hang() });

for my $mode (qw(smart fast immediate)) {
    my $bound = seconds_to_stop($plain, $mode) + LONGER;
    $plain->start;
    for my $state (sort keys %states) {
        ok($redis->wait_gone(change()), "$mode stop, $state: before it, the worker delivers");
        my @keys = $states{$state}->();
        # A smart stop waits for every session, and so for a standby that never confirms.
        my ($session, $key) = $mode ne 'smart' && $state =~ /standby|both/ ? waiting_commit() : ();
        push @keys, $key if $session;
        my $seconds = seconds_to_stop($node, $mode);
        cmp_ok($seconds, '<', $bound, "$mode stop, $state: no longer than without the extension");
        ok(!is_running($worker), "$mode stop, $state: the worker has ended");
        forget($session) if $session;
        $redis->resume;
        $node->start;
        $worker = wait_for_worker($node, 'postgres');
        ok($redis->wait_gone(@keys), "$mode stop, $state: what was owed is delivered after the start");
        confirm_again();
    }
}
$plain->stop;

# --- Until the last session has left, a smart stop lets the worker work

my $session = $node->background_psql('postgres');
my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
kill 'TERM', $postmaster;
my $said;
ok(wait_until('no more sessions', sub { try_psql($node, 'postgres', 'SELECT 1', stderr => \$said) != 0 && ($said // '') =~ /shutting down/ }),
    'smart stop: no new session gets in');
$session->query_safe('UPDATE item SET version = version + 1 WHERE id = 150');
ok($redis->wait_gone('item:150'), 'smart stop: a session that is still there has its changes delivered');
$redis->pause;
$session->query_safe('UPDATE item SET version = version + 1 WHERE id = 151');
my $start = time;
$session->quit;
ok(wait_until('all has ended', sub { !is_running($worker) && !is_running($postmaster) }), 'smart stop: when it leaves, the server ends');
cmp_ok(time - $start, '<', LONGER, 'smart stop: at once, though the cache hangs');
$redis->resume;
$node->stop('fast', fail_ok => 1);    # it has stopped: for the books only
$node->start;
ok($redis->wait_gone('item:151'), 'smart stop: what was owed is delivered after the start');
$worker = wait_for_worker($node, 'postgres');

# --- A commit that waits for a standby is not visible, so nothing of it leaves

# The worker's own rows that remember what is delivered.
sub watermark {
    return sql(q(SELECT string_agg(batch::text, ' ' ORDER BY batch) FROM (SELECT * FROM cache_invalidation_journal_0 UNION ALL SELECT * FROM cache_invalidation_journal_1) j
                  WHERE get_byte(batch, 0) = 2));
}
confirm_nothing();
($session, my $key) = waiting_commit();
my $known = watermark();
ok($redis->wait_gone(change()), 'a standby that never confirms: what is visible is delivered');
ok(wait_until('the watermark', sub { watermark() ne $known }), 'the worker writes to its journal without waiting');
ok($redis->wait_gone(change()), 'and goes on');
ok($redis->has($key), 'and the key of a commit that waits is kept');
confirm_again();
$session->query_safe('SELECT 1');
ok($redis->wait_gone($key), 'until the commit is over');
$session->quit;

# --- The postmaster is killed while the worker waits for everything at once

confirm_nothing();
($session, $key) = waiting_commit();
my $owed = hang();
$start = time;
ok(kill_postmaster($node), 'kill -9 of the postmaster: the worker and all else end by themselves');
cmp_ok(time - $start, '<', LONGER, 'at once');
forget($session);
$start = time;
$node->start;
cmp_ok(time - $start, '<', 30, 'nothing of it keeps the next start from going on');
$redis->resume;
ok($redis->wait_gone($key, $owed), 'which delivers what was owed');
$worker = wait_for_worker($node, 'postgres');

# --- A crash, and the restart after it, while the cache hangs

$owed = hang();
$session = $node->background_psql('postgres', on_error_stop => 0);
my $backend = $session->query_safe('SELECT pg_backend_pid()');
kill 'KILL', $backend;
ok(wait_until('the worker of before is gone', sub { !is_running($worker) }), 'a backend is killed: the worker ends with the others');
ok(wait_for_server($node, $backend), 'the server is there again');
ok(wait_for_worker($node, 'postgres', $worker), 'with a worker');
forget($session);
$redis->resume;
ok($redis->wait_gone($owed), 'which delivers what was owed');
confirm_again();
ok($redis->wait_gone(change()), 'and what comes now');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal (?!9\b)/, 'no process died by itself');
$node->stop;
done_testing();
