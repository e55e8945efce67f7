# One process stands still at a mark of the code while the others go on: the moments in which a change is visible and not handed over
# yet, handed over and not taken yet, or in the journal only. Each has one change at stake, which must be delivered.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::CrashPoints;
use CacheInvalidate::Installation;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;
use CacheInvalidate::Wire;

use constant ROWS => 100_000;

my $library = variant('crash_points') // plan skip_all => 'scripts/variant crash_points has not built the module';
my $node = new_node('main', install_path => make_installation(library => $library), max_wal_size => '2GB',
    'cache_invalidate.replay_window' => 0, 'cache_invalidate.max_items_per_transaction' => 1_000_000);
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
# No messages: what is still to be said would make the worker read the journal in any case. A long key, so that the journal has many pages.
create_items($node, 'postgres', $redis, rows => ROWS, arguments => qq('key=item:{id}', 'key=item:{id}:${\ ('x' x 60) }', 'channel='));
ok(wait_for_worker($node, 'postgres'), 'the worker is there');
ok(wait_until('up', sub { target($node, 'postgres', 'state') eq 'up' }), 'the server is up');
my $points = CacheInvalidate::CrashPoints->new($node);
my $next = 1;

sub sql { return $node->safe_psql('postgres', @_) }
sub change { my ($id) = @_; return "UPDATE item SET version = version + 1 WHERE id = $id" }
# So that the transaction is written to the journal in parts, and nothing of it goes by the ring.
sub large_change {
    my ($first, $many) = @_;
    return "BEGIN; SET LOCAL cache_invalidate.max_change_set_memory = '64kB';"
      . " UPDATE item SET version = version + 1 WHERE id >= $first AND id < $first + $many; COMMIT";
}

# Statements of a session that is not waited for.
sub begin {
    my ($script) = @_;
    return IPC::Run::start([ 'psql', '-X', '-h', $node->host, '-p', $node->port, '-d', 'postgres', '-v', 'ON_ERROR_STOP=1', '-c', $script ],
        '<', \undef, '>', \my $output, '2>&1');
}

# Does it in a session that stands still at the mark.
sub stop_writer {
    my ($mark, $script) = @_;
    $points->arm($mark, 'wait');
    my $session = begin($script);
    ok($points->wait_for($mark), "a writer stands still at $mark");
    return $session;
}

sub go_on {
    my ($mark, $session) = @_;
    $points->release($mark);
    return ok($session->finish, 'the writer ends');
}

# Another change goes all the way.
sub pass_by {
    my $id = $next++;
    sql(change($id));
    return ok($redis->wait_gone("item:$id"), 'others are delivered meanwhile');
}

sub visit {
    my ($mark, $times) = @_;
    my $before = $points->visits($mark);
    return ok(wait_until("$times more visits of $mark", sub { $points->visits($mark) >= $before + $times }), "the worker comes to $mark");
}

sub is_delivered {
    my ($what, @ids) = @_;
    return ok($redis->wait_gone(map { "item:$_" } @ids), "$what: it is delivered");
}

# A checkpoint is begun, or has been, that is to contain what the writer at the mark has committed.
sub begin_checkpoint {
    for (1 .. 2) {
        pass_by();
        visit('worker.tick', 2);
    }
    return;
}

# The worker stands still with something else, between looking for scans that are due and ending a checkpoint.
sub halt_worker {
    my ($mark) = @_;
    $points->arm($mark, 'wait');
    my $id = $next++;
    sql(change($id));
    return ok($points->wait_for($mark), "the worker stands still at $mark");
}

# --- In the journal, and not committed

{
    my $id = $next++;
    my $writer = stop_writer('commit.flushed', change($id));
    pass_by() for 1 .. 2;
    visit('worker.tick', 2);
    is($redis->has("item:$id"), 1, 'nothing is sent before the commit');
    go_on('commit.flushed', $writer);
    is_delivered('after the commit', $id);
}

# --- Visible, and not handed over: no checkpoint may count it as taken

{
    my $id = $next++;
    my $writer = stop_writer('handover', change($id));
    begin_checkpoint();
    pass_by() for 1 .. 3;
    visit('worker.tick', 2);
    is($redis->has("item:$id"), 1, 'it was not handed over yet');
    go_on('handover', $writer);
    is_delivered('a checkpoint while a writer has not handed over', $id);
}

# --- Handed over, and not taken: the checkpoint that has waited for the writer waits for the ring as well

{
    my $id = $next++;
    my $writer = stop_writer('handover', change($id));
    begin_checkpoint();
    halt_worker('target.send');
    go_on('handover', $writer);
    $points->release('target.send');
    is_delivered('a checkpoint while the ring is not taken', $id);
}

# --- In the journal only, and the worker has not begun to read it

{
    my $id = $next;
    $next += 2000;
    my $writer = stop_writer('handover', large_change($id, 2000));
    begin_checkpoint();
    halt_worker('target.send');
    go_on('handover', $writer);
    $points->release('target.send');
    is_delivered('a checkpoint while the journal is to be read', $id .. $id + 1999);
}

# --- In the journal only, and the worker has not read it to the end

{
    my $id = $next;
    $next += 60_000;
    my $writer = stop_writer('handover', large_change($id, 60_000));
    begin_checkpoint();
    # More than is read at once.
    $points->arm('feed.scan.begun', 'wait');
    go_on('handover', $writer);
    ok($points->wait_for('feed.scan.begun'), 'a scan stands still at its beginning');
    $points->release('feed.scan.begun');
    is_delivered('a checkpoint while the journal is read', $id .. $id + 59_999);
}

# --- In the journal only, and flagged when the worker has just looked what there is

{
    my $id = $next;
    $next += 4000;
    $points->arm('feed.scan.begun', 'wait');
    sql(large_change($id, 2000));
    ok($points->wait_for('feed.scan.begun'), 'a scan stands still at its beginning');
    sql(large_change($id + 2000, 2000));
    $points->release('feed.scan.begun');
    is_delivered('a flag that is raised while a scan begins', $id .. $id + 3999);
}

# --- Whoever writes to a segment keeps it

# Somebody writes to a segment, and the worker stands still where it is about to truncate that one, if nobody keeps it.
sub stop_before_truncation {
    my ($write, $give_up) = @_;
    for (1 .. 10) {
        $points->arm('rotate.done', 'wait');
        my $writer = $write->();
        if ($points->pid('rotate.done')) {
            # It is the other one, to which new changes go by now.
            $points->release('rotate.done');
            $give_up->($writer);
            next;
        }
        sql(change($next++));
        ok($points->wait_for('rotate.done'), 'new changes go to the other segment');
        $points->arm('worker.tick', 'wait');
        $points->release('rotate.done');
        ok($points->wait_for('worker.tick'), 'the worker stands still before it looks at the segments');
        return $writer;
    }
    return fail('a writer comes in time');
}

sub recover {
    ok(wait_for_server($node), 'the server is there again');
    ok(wait_until('up', sub { target($node, 'postgres', 'state') eq 'up' }), 'and the worker');
    $points = CacheInvalidate::CrashPoints->new($node);
    return;
}

{
    my $id = $next++;
    my $writer = stop_writer('handover', change($id));
    my $truncations = $points->visits('truncate.done');
    pass_by();
    my $kept = sub { sql('SELECT journal_hold FROM cache_invalidate_condition()') eq 'transaction' };
    ok(wait_until('tried', sub { $points->visits('truncate.done') > $truncations || $kept->() }), 'the worker has tried to truncate');
    my $worker = worker_pid($node, 'postgres');
    is(kill('KILL', $points->pid('handover')), 1, 'kill -9 of the writer');
    ok(wait_until('everybody is told', sub { !is_running($worker) }), 'which ends everybody');
    $writer->kill_kill;
    recover();
    is_delivered('a segment to which somebody writes', $id);
}

# --- Who writes to a segment hands over just before it is truncated

{
    my $id = $next++;
    my $go_on  = sub { go_on('commit.flushed', $_[0]) };
    my $writer = stop_before_truncation(sub { stop_writer('commit.flushed', change($id)) }, $go_on);
    $go_on->($writer);
    # Only what is in the journal outlives that.
    $points->arm('truncate.done', 'kill');
    $points->release('worker.tick');
    ok($points->wait_for('truncate.done'), 'kill -9 of the worker when it has truncated');
    recover();
    is_delivered('handed over just before the truncation', $id);
}

{
    my $id = $next;
    $next += 2000;
    my $go_on  = sub { go_on('commit.flushed', $_[0]) };
    my $writer = stop_before_truncation(sub { stop_writer('commit.flushed', large_change($id, 2000)) }, $go_on);
    $go_on->($writer);
    $points->release('worker.tick');
    is_delivered('in the journal only, just before the truncation', $id .. $id + 1999);
}

{
    my $id = $next++;
    my $commit = sub { sql("COMMIT PREPARED 'late'") };
    stop_before_truncation(sub { sql('BEGIN; ' . change($id) . "; PREPARE TRANSACTION 'late'") }, $commit);
    # One of them it comes to: no watermark has been written since the segments changed roles.
    my @marks = qw(watermark.committed truncate.watermark);
    $points->arm($_, 'wait') for @marks;
    $points->release('worker.tick');
    ok(wait_until('there', sub { grep { $points->pid($_) } @marks }), 'the worker stands still when it has looked for prepared transactions');
    $commit->();
    $points->disarm($_) for @marks;
    is_delivered('prepared, and committed just before the truncation', $id);
}

# --- One of two servers stands still, with the last change of a segment

{
    my $other = CacheInvalidate::Redis->new('other');
    my $wire  = CacheInvalidate::Wire->new($other);
    sql("CREATE SERVER other FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $wire->url }')");
    ok(wait_until('up', sub { target($node, 'postgres', 'state', 'other') eq 'up' }), 'there is another server');
    my ($first, $sent, $id, $untouched) = ($next++, $next++, $next++, $next++);
    $other->fill(map { "item:$_" } $first, $sent, $id, $untouched);
    sql(change($first));
    ok($other->wait_gone("item:$first"), 'it gets what the first one gets');
    # What was sent and not read is gone.
    $wire->stall;
    sql(change($sent));
    is_delivered('to the first', $sent);
    ok(wait_until('owed', sub { target($node, 'postgres', 'keys_pending', 'other') == 2 }), 'and owed to the other one');
    $wire->cut;
    $wire->mend;
    ok($other->wait_gone("item:$sent"), 'and sent again when the connection is lost');
    ok(wait_until('up', sub { target($node, 'postgres', 'state', 'other') eq 'up' }), 'which is soon there again');
    $wire->stall;
    sql(change($id));
    is_delivered('to the first', $id);
    my ($truncations, $watermarks) = map { $points->visits($_) } qw(truncate.done watermark.committed);
    my $held = sub { sql('SELECT journal_hold FROM cache_invalidate_condition()') eq 'target' };
    my $said = sub { $points->visits('watermark.committed') > $watermarks };
    ok(wait_until('held', sub { $points->visits('truncate.done') > $truncations || ($held->() && $said->()) }), 'the segment is kept for it');
    ok(kill_postmaster($node), 'kill -9 of the postmaster');
    $wire->cut;
    $wire->mend;
    $node->start;
    recover();
    ok($other->wait_gone("item:$id"), 'what was owed to one server only is delivered after a crash');
    is($other->has("item:$untouched"), 1, 'and nothing else');
    sql('DROP SERVER other');
}

# --- A server is enabled, and named at once, while the worker takes changes

{
    my $late = CacheInvalidate::Redis->new('late');
    my $id   = $next++;
    sql("CREATE SERVER late FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $late->url }', enabled 'false')");
    ok(wait_until('disabled', sub { target($node, 'postgres', 'state', 'late') eq 'disabled' }), 'there is a server that is disabled');
    halt_worker('feed.ring');
    $late->fill(map { "item:$_" } 1 .. $id);
    sql("ALTER SERVER late OPTIONS (SET enabled 'true')");
    sql(change($id));
    $points->release('feed.ring');
    ok($late->wait_gone("item:$id"), 'what was changed since it is enabled is deleted there');
    is($late->command('EXISTS', map { "item:$_" } 1 .. 100), 100, 'and nothing that was changed before');
    sql('DROP SERVER late');
}

# --- The error log is locked, so that its row is not written yet

{
    sql("CREATE TABLE broken (a int);
         CREATE TRIGGER broken AFTER INSERT ON broken FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=b:{a}', 'channel=');
         SET session_replication_role = replica; ALTER TABLE broken RENAME COLUMN a TO b");
    my $holder = $node->background_psql('postgres');
    $holder->query_safe('BEGIN; LOCK TABLE trigger_error_log');
    my $worker = worker_pid($node, 'postgres');
    # Between the first attempt and the fourth watermarks are written; after the fifth nothing waits for the row.
    $points->arm('errors.write', 'kill', 4);
    sql('INSERT INTO broken VALUES (1)');
    ok($points->wait_for('errors.write'), 'kill -9 of the worker when it has tried to write to the error log');
    ok(wait_until('everybody is told', sub { !is_running($worker) }), 'which ends everybody');
    eval { $holder->quit };
    recover();
    ok(wait_until('logged', sub { sql("SELECT count(*) FROM trigger_error_log WHERE table_name = 'broken'") == 1 }), 'the row is there after a crash');
}

is(sql('SELECT count(*) FROM item WHERE version = 0') - $redis->command('DBSIZE'), 0, 'and nothing else was deleted');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|damaged row/, 'nothing broke');
done_testing();
