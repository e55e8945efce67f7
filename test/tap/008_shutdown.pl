# The worker ends when it shall, whatever Redis does, and comes back when it shall not end; settings are taken up
# while it runs.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $node  = new_node('main');
my $redis = CacheInvalidate::Redis->new('cache');
$node->start;
create_items($node, 'postgres', $redis, rows => 100);
my $worker = wait_for_worker($node, 'postgres');
my $next = 1;

sub sql { return $node->safe_psql('postgres', @_) }

# Changes the next item; returns its key.
sub change {
    my $id = $next++;
    sql("UPDATE item SET version = version + 1 WHERE id = $id");
    return "item:$id";
}

# Redis has not answered, and the worker waits for it.
sub hang {
    ok($redis->wait_gone(change()), 'the worker is connected');
    $redis->pause;
    my $key = change();
    ok(wait_until('it waits', sub { target($node, 'postgres', 'keys_pending') > 0 }), 'the worker waits for an answer');
    return $key;
}

# --- The server is stopped

for my $mode (qw(fast immediate)) {
    my $key   = hang();
    my $start = time;
    $node->stop($mode);
    cmp_ok(time - $start, '<', 3, "$mode stop while Redis hangs: less than 3 s");
    ok(!is_running($worker), 'the worker has ended');
    $redis->resume;
    $node->start;
    ok($redis->wait_gone($key), 'what was owed is delivered after the start');
    $worker = wait_for_worker($node, 'postgres');
}

# A hanging connect: nobody takes connections from the queue.
my $key = hang();
sql(sprintf "ALTER SERVER cache OPTIONS (SET url '%s')", $redis->url(1));
my $start = time;
$node->stop('fast');
cmp_ok(time - $start, '<', 3, 'fast stop while a login hangs: less than 3 s');
$redis->resume;
$node->start;
sql(sprintf "ALTER SERVER cache OPTIONS (SET url '%s')", $redis->url);
$worker = wait_for_worker($node, 'postgres');

hang();
ok(kill_postmaster($node), 'kill -9 of the postmaster while Redis hangs: all processes end by themselves');
$redis->resume;
$node->start;
$worker = wait_for_worker($node, 'postgres');
ok($redis->wait_gone(change()), 'after the start it delivers');

$redis->stop;
change();
ok(wait_until('the target is down', sub { target($node, 'postgres', 'state') eq 'down' }), 'Redis is down');
$start = time;
$node->stop('fast');
cmp_ok(time - $start, '<', 3, 'fast stop while the worker waits to connect again');
$redis->start;
$redis->fill(map { "item:$_" } 1 .. 100);
$node->start;
$worker = wait_for_worker($node, 'postgres');

# --- The worker is ended, or disturbed

is(sql("SELECT pg_terminate_backend($worker)"), 't', 'pg_terminate_backend()');
$key = change();
my $other = wait_for_worker($node, 'postgres', $worker);
ok($other, 'the worker comes back');
ok($redis->wait_gone($key), 'and delivers');
ok(!is_running($worker), 'the old one is gone');
$worker = $other;

for my $signal (qw(INT HUP USR1 CONT)) {
    kill $signal, $worker for 1 .. 200;
    ok($redis->wait_gone(change()), "SIG$signal, many times, does no harm");
    is(worker_pid($node, 'postgres'), $worker, 'it is still the same worker');
    $worker = wait_for_worker($node, 'postgres');
}

# --- Settings

# The seconds until the key of the next change is gone.
sub seconds {
    my $start = time;
    $redis->wait_gone(change());
    return time - $start;
}
configure($node, 'cache_invalidate.batch_window' => '1s');
$node->reload;
ok(wait_until('slow', sub { seconds() >= 0.5 }), 'a reload changes batch_window');
configure($node, 'cache_invalidate.batch_window' => '0');
$node->reload;
ok(wait_until('fast', sub { seconds() < 0.5 }), 'and back');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'no process panicked');
$node->stop;
done_testing();
