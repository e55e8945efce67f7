# What comes in between: an error while the worker says farewell, a server that is enabled just before that, or while changes go
# without the journal, and a writer of another database that stands still.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::CrashPoints;
use CacheInvalidate::Installation;
use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $library = variant('crash_points') // plan skip_all => 'scripts/variant crash_points has not built the module';
my $node = new_node('main', install_path => make_installation(library => $library), 'cache_invalidate.replay_window' => 0);
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
create_items($node, 'postgres', $redis, rows => 100);
my $late = CacheInvalidate::Redis->new('late');
sql("CREATE SERVER late FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $late->url }', enabled 'false')");
my $points = CacheInvalidate::CrashPoints->new($node);
my $worker = wait_for_worker($node, 'postgres');
ok(wait_until('disabled', sub { target($node, 'postgres', 'state', 'late') eq 'disabled' }), 'one of two servers is disabled');
my $next = 1;

sub sql { return $node->safe_psql('postgres', @_) }
sub change { my ($id) = @_; sql("UPDATE item SET version = version + 1 WHERE id = $id"); return }
sub enable_late { my ($whether) = @_; sql("ALTER SERVER late OPTIONS (SET enabled '$whether')"); return }

sub halts_at {
    my ($mark, $id) = @_;
    $points->arm($mark, 'wait');
    change($id) if $id;
    return ok($points->wait_for($mark), "the worker stands still at $mark");
}

# --- A server is enabled and named just before the worker is told to end

{
    my $id = $next++;
    $late->fill("item:$id");
    # So that it has a message to put in order, for which it looks into the ring once more.
    my $listener = CacheInvalidate::Listener->new($node, 'postgres');
    note_all($node, 'postgres');
    halts_at('target.send', 100);
    enable_late('true');
    change($id);
    my $before = wait_for_worker($node, 'postgres');
    sql("SELECT pg_terminate_backend($before)");
    $points->release('target.send');
    ok(wait_until('it ends', sub { !is_running($before) }), 'the worker is told to end when a server was just enabled');
    wait_for_worker($node, 'postgres');
    ok($late->wait_gone("item:$id"), 'which gets what named it');
    $listener->quit;
    enable_late('false');
    ok(wait_until('disabled', sub { target($node, 'postgres', 'state', 'late') eq 'disabled' }), 'it is disabled again');
}

# --- A server is enabled while changes go without the journal

{
    my $id = $next++;
    my $off = 'SET cache_invalidate.durability = off';
    ok(wait_until('allowed', sub { sql("$off; UPDATE item SET version = version + 1 WHERE id = 100"); $points->visits('ring_only.allowed') > 0 }),
        'changes go without the journal');
    note_all($node, 'postgres');
    halts_at('feed.ring', 100);
    $late->fill("item:$id");
    enable_late('true');
    sql("$off; UPDATE item SET version = version + 1 WHERE id = $id");
    $points->release('feed.ring');
    ok($late->wait_gone("item:$id"), 'what was changed since a server is enabled is deleted there');
}

# --- The messages that it sends in the end fail

{
    my $listener = CacheInvalidate::Listener->new($node, 'postgres');
    my $id = $next++;
    $redis->fill("item:$id");
    sql('SET cache_invalidate.durability = off; UPDATE item SET version = version + 1 WHERE id = 100');
    $points->arm('ring_only.forbidden', 'wait');
    my $before = wait_for_worker($node, 'postgres');
    sql("SELECT pg_terminate_backend($before)");
    ok($points->wait_for('ring_only.forbidden'), 'the worker stands still when it says farewell');
    $points->arm('outbox.notify', 'error');
    change($id);
    $points->release('ring_only.forbidden');
    ok(wait_until('it ends', sub { !is_running($before) }, 20), 'it ends though the messages could not be sent at once');
    ok($points->pid('outbox.notify'), 'which it tried');
    wait_for_worker($node, 'postgres');
    ok(scalar $listener->take_until('told', sub { ($_[0]{record_id} // '') eq $id }), 'they are sent');
    ok($redis->wait_gone("item:$id"), 'and the keys are deleted');
    $listener->quit;
    unlike(slurp_file($node->logfile), qr/may have been lost/, 'nothing is thought to be lost');
}

# --- A writer of another database

{
    my $id = $next++;
    $node->safe_psql('postgres', 'CREATE DATABASE other');
    create_items($node, 'other', $redis, rows => 10);
    wait_for_worker($node, 'other');
    $points->arm('handover.push', 'wait');
    my $writer = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('other'), '-c', 'UPDATE item SET version = version + 1 WHERE id = 1' ],
        '<', \undef, '>', \my $output, '2>&1');
    ok($points->wait_for('handover.push'), 'a writer of another database stands still before it hands over');
    my $listener = CacheInvalidate::Listener->new($node, 'postgres');
    my $watermarks = $points->visits('watermark.committed');
    change($id);
    ok(scalar $listener->take_until('told', sub { ($_[0]{record_id} // '') eq $id }), 'messages of this one do not wait for it');
    ok(wait_until('remembered', sub { $points->visits('watermark.committed') > $watermarks }, 20), 'nor does what is remembered of deliveries');
    $points->release('handover.push');
    ok($writer->finish, 'it goes on');
    $listener->quit;
}

unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nothing broke');
done_testing();
