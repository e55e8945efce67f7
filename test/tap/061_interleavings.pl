# Moments that are too short to be met by chance: by marks (src/pg/crash_point.hpp) at which a process waits while others go on.
# Mostly: a transaction that is visible and has not handed over yet, or one that has not committed, against a worker that remembers,
# truncates, reads the journal or ends.
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
use CacheInvalidate::Wire;

my $library = variant('crash_points') // plan skip_all => 'scripts/variant crash_points has not built the module';
my $node = new_node('main', install_path => make_installation(library => $library), 'cache_invalidate.replay_window' => 0, 'cache_invalidate.signal_timeout' => '1min',
    wal_writer_delay => '10s');    # what nobody waits for is lost in a crash
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
my $wire  = CacheInvalidate::Wire->new($redis);
create_items($node, 'postgres', undef, rows => 1000, arguments => q('resource=item', 'key=item:{id}', 'fields=version'));
sql("CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $wire->url }')");
my $points = CacheInvalidate::CrashPoints->new($node);
my $worker = wait_for_worker($node, 'postgres');
my $next   = 0;
my $listener;

sub sql { return $node->safe_psql('postgres', @_) }
sub update { my ($id) = @_; return "UPDATE item SET version = version + 1 WHERE id = $id" }
sub change { my ($id) = @_; sql(update($id)); return }
sub is_visible { my ($id) = @_; return sql("SELECT version FROM item WHERE id = $id") == 1 }

# So many rows that nobody changed before, their keys filled.
sub new_rows {
    my ($count) = @_;
    my @ids = map { ++$next } 1 .. $count;
    $redis->fill(map { "item:$_" } @ids);
    return @ids;
}

# A session of its own, which waits at the mark.
sub waits_at {
    my ($point, $script) = @_;
    $points->arm($point, 'wait');
    my ($out, $errors) = ('', '');
    my @psql = ('psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $script);
    my $run = IPC::Run::start(\@psql, '<', \undef, '>', \$out, '2>', \$errors, IPC::Run::timeout(180));
    ok($points->wait_for($point), "a session waits at $point");
    return { run => $run, point => $point, errors => \$errors };
}

sub goes_on {
    my ($session) = @_;
    $points->release($session->{point});
    $session->{run}->finish;
    is(${ $session->{errors} }, '', "$session->{point}: it goes on, and nothing is wrong");
    return;
}

# The worker comes to the mark, so many times.
sub comes_to {
    my ($point, $times, $before) = @_;
    $before //= $points->visits($point);
    return ok(wait_until($point, sub { $points->visits($point) >= $before + ($times // 1) }), "the worker comes to $point");
}

sub checkpointer { return sql(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer')) }

# After a crash: all processes are other ones.
sub restarts {
    my ($checkpointer) = @_;
    my $other = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'checkpointer' AND pid <> $checkpointer";
    wait_until('it has restarted', sub { try_psql($node, 'postgres', $other, stdout => \my $count); return ($count // '') eq '1' });
    return wait_for_worker($node, 'postgres');
}

# With kill -9, so that the server restarts all.
sub crash {
    my $checkpointer = checkpointer();
    $listener = undef;
    kill 'KILL', wait_for_worker($node, 'postgres');
    return restarts($checkpointer);
}

sub new_worker {
    my $before = wait_for_worker($node, 'postgres');
    sql("SELECT pg_terminate_backend($before)");
    return wait_until('another worker', sub { $node->reload; my $now = worker_pid($node, 'postgres'); defined $now && $now != $before && $now });
}

sub start_listening { $listener = CacheInvalidate::Listener->new($node, 'postgres'); return }

# All that was told of the row before the last one, which is changed to know the end.
sub told {
    my ($id) = @_;
    my ($last) = new_rows(1);
    change($last);
    my @heard = $listener->take_until("row $last", sub { ($_[0]{record_id} // '') eq $last });
    return scalar grep { ($_->{message}{record_id} // '') eq $id } @heard;
}

# --- Visible, not handed over, and the worker wants to remember: it has to wait, or a crash loses it

for my $point (qw(handover handover.push handover.wake handover.withdraw)) {
    my ($slow, $other) = new_rows(2);
    my $session = waits_at($point, update($slow));
    ok(is_visible($slow), 'its change is visible');
    my $taken = $points->visits('checkpoint.taken');
    change($other);
    ok($redis->wait_gone("item:$other"), 'another one is delivered');
    comes_to('worker.tick', 4);
    # One may have begun before. At the wake-up all is handed over already.
    cmp_ok($points->visits('checkpoint.taken'), '<=', $taken + 1, 'the worker does not believe that it has all of what is visible')
      if $point ne 'handover.wake';
    crash();
    $session->{run}->kill_kill;
    ok(is_visible($slow), 'after a crash the change is there');
    ok($redis->wait_gone("item:$slow"), 'and its key is deleted');
}

# --- The same, and the worker alone ends: the next one reads it in the journal, and does not take it from the ring again

{
    change(new_rows(1));
    ok(wait_until('remembered', sub { is_noted($node, 'postgres') }), 'what was delivered is remembered');
    start_listening();
    my ($slow) = new_rows(1);
    my $session = waits_at('handover.push', update($slow));
    new_worker();
    ok($redis->wait_gone("item:$slow"), 'the next worker finds it in the journal');
    goes_on($session);
    is(told($slow), 1, 'it is told once');
}

# --- A scan that sees it in the journal while it hands over

{
    my ($slow, $late) = new_rows(2);
    my $session = waits_at('handover', update($slow));
    $points->arm('feed.scan.begun', 'wait');
    sql("SELECT 1; BEGIN; SET LOCAL cache_invalidate.max_change_set_memory = '64kB';
         INSERT INTO item SELECT n, repeat('x', 100) FROM generate_series(2001, 5000) n; COMMIT");
    ok($points->wait_for('feed.scan.begun'), 'the worker begins to read the journal');
    change($late);
    goes_on($session);
    $points->release('feed.scan.begun');
    ok($redis->wait_gone("item:$slow", "item:$late"), 'what was visible then is deleted, and what was committed since');
    is(told($slow), 1, 'told once');
}

# --- Visible, not handed over, and another transaction that sees it changes the same row: it does not wait for the first, but
# what it says has to

# The flag is raised for what has no room in the ring.
use constant LARGE => q(SELECT count(invalidate_cache_key(n || repeat('x', 1000))) FROM generate_series(1, 5000) n;);

# What is told of $slow, until $other is.
sub tells_in_order {
    my ($slow, $other, $why) = @_;
    my @heard = $listener->take_until("row $other", sub { ($_[0]{record_id} // '') eq $other });
    my @versions = map { $_->{message}{version} } grep { ($_->{message}{record_id} // '') eq $slow } @heard;
    return is("@versions", '1 2', "$why: told in the order of the commits");
}

for my $point (qw(handover handover.push handover.flag)) {
    start_listening();
    my ($slow, $other) = new_rows(2);
    my $session = waits_at($point, 'BEGIN; ' . ($point eq 'handover.flag' ? LARGE : '') . update($slow) . '; COMMIT');
    ok(is_visible($slow), 'its change is visible');
    $redis->fill("item:$slow");
    change($slow);
    change($other);
    ok($redis->wait_gone("item:$slow", "item:$other"), 'what others commit is deleted meanwhile');
    comes_to('worker.tick', 2);
    my @early = $listener->take;
    is(@early, 0, 'but nothing is told');
    goes_on($session);
    tells_in_order($slow, $other, $point);
}

# --- The same, and the flag is raised when the worker has looked for it, and not yet for who has handed over

{
    start_listening();
    my ($slow, $other) = new_rows(2);
    my $session = waits_at('handover.flag', 'BEGIN; ' . LARGE . update($slow) . '; COMMIT');
    $redis->fill("item:$slow");
    change($slow);
    ok($redis->wait_gone("item:$slow"), 'the second change is deleted, and could be told');
    $points->arm('feed.ring', 'wait');
    change($other);
    ok($points->wait_for('feed.ring'), 'the worker is about to take another one');
    goes_on($session);
    $points->release('feed.ring');
    tells_in_order($slow, $other, 'flag');
}

# --- Written to the journal, not committed: its segment is not truncated

{
    my ($slow, $other) = new_rows(2);
    my $session = waits_at('journal.appended', update($slow));
    change($other);
    ok($redis->wait_gone("item:$other"), 'another one is delivered');
    ok(wait_until('locked', sub { sql('SELECT journal_hold FROM cache_invalidate_condition()') eq 'transaction' }), 'its segment is in the way');
    my ($locked, $done) = map { $points->visits($_) } qw(truncate.locked truncate.done);
    comes_to('worker.tick', 3);
    is($points->visits('truncate.locked'), $locked, 'the worker cannot lock its segment');
    goes_on($session);
    ok($redis->wait_gone("item:$slow"), 'when it has committed it is delivered');
    comes_to('truncate.done', 1, $done);
}

# --- The worker is about to truncate: writers do not wait for it, and lose nothing

for my $point (qw(truncate.locked truncate truncate.done)) {
    my ($first, $second) = new_rows(2);
    $points->arm($point, 'wait');
    change($first);
    ok($points->wait_for($point), "the worker waits at $point");
    sql("SET lock_timeout = '30s'; " . update($second));
    ok(is_visible($second), 'another change commits meanwhile');
    crash();
    $points->disarm($point);
    ok($redis->wait_gone("item:$first", "item:$second"), 'after a crash both are delivered');
}

# --- Killed in the middle of a truncation: what is long is stored apart, with an index, and must fit in afterwards

for my $point (qw(truncate truncate.done truncate.committed)) {
    my $long = "SELECT invalidate_cache_key('$point' || repeat('x', 3000))";
    my ($first) = new_rows(1);
    sql($long);
    $points->arm($point, 'kill');
    my $checkpointer = checkpointer();
    change($first);
    ok($points->wait_for($point), "the worker is killed at $point");
    restarts($checkpointer);
    for my $segment (1, 2) {
        my $before = $points->visits('rotate.done');
        is($node->psql('postgres', $long), 0, 'a long key is written');
        comes_to('rotate.done', 1, $before);
    }
    ok($redis->wait_gone("item:$first"), 'and the change before is delivered');
}

# --- Prepared and committed while the worker takes its snapshot

for my $point (qw(checkpoint checkpoint.snapshot)) {
    start_listening();
    my ($first, $other) = new_rows(2);
    $points->arm($point, 'wait');
    change($other);
    ok($points->wait_for($point), "the worker waits at $point");
    sql('BEGIN; ' . update($first) . "; PREPARE TRANSACTION 'p'");
    sql("COMMIT PREPARED 'p'");
    $points->release($point);
    ok($redis->wait_gone("item:$first"), 'what is prepared and committed there is delivered');
    is(told($first), 1, 'and told once');
}

# --- Committed while the worker remembers: not in what it remembers, but in what it does next

{
    my ($first, $second) = new_rows(2);
    ok(wait_until('remembered', sub { is_noted($node, 'postgres') }), 'what was delivered is remembered');
    start_listening();
    $points->arm('checkpoint.snapshot', 'wait');
    change($first);
    ok($points->wait_for('checkpoint.snapshot'), 'the worker has taken its snapshot');
    change($second);
    my $taken = $points->visits('checkpoint.taken');
    $points->release('checkpoint.snapshot');
    ok(wait_until('taken', sub { $points->visits('checkpoint.taken') > $taken }), 'and goes on');
    ok($redis->wait_gone("item:$second"), 'what was committed since is delivered');
    new_worker();
    is(told($second), 1, 'and not told again by the next worker');
}

# --- By the ring only: allowed by a worker that ends before the change is committed

my $ring_only = 'SET cache_invalidate.durability = off';

sub become_allowed {
    my $before = $points->visits('ring_only.allowed');
    my ($id) = new_rows(1);
    sql("$ring_only; " . update($id));
    wait_until('allowed', sub { $points->visits('ring_only.allowed') > $before });
    return;
}

for my $end (qw(crash stop)) {
    for my $point (qw(ring_only.announced ring_only.permitted)) {
        new_worker();
        become_allowed();
        my ($slow, $other) = new_rows(2);
        my $session = waits_at($point, "$ring_only; " . update($slow));
        my $resets = $points->visits('reset.done');
        new_worker();
        ok(wait_until('a reset', sub { $points->visits('reset.done') > $resets }), 'another worker is there, and resets');
        my $watermarks = $points->visits('watermark.committed');
        change($other);
        ok(wait_until('a watermark', sub { $points->visits('watermark.committed') > $watermarks }), 'and remembers that it did');
        ok($redis->wait_gone("item:$slow"), 'so the key is gone before the commit');
        $redis->fill("item:$slow");
        $wire->cut;
        ok(wait_until('down', sub { target($node, 'postgres', 'state') eq 'down' }), 'the server is away');
        goes_on($session);
        ok(is_visible($slow), 'the change is committed');
        # It is owed by now, if it is anywhere.
        comes_to('worker.tick', 2);
        $end eq 'crash' ? crash() : new_worker();
        $wire->mend;
        $node->reload;
        ok($redis->wait_gone("item:$slow"), "$point, then a $end of the worker: its key is deleted all the same");
    }
}

# --- A server came back with older data than the journal reaches back to, and the worker ends before it has made a reset

{
    my ($id) = new_rows(1);
    sql('ALTER SYSTEM SET cache_invalidate.replay_window = 3600000');
    sql('ALTER SYSTEM SET cache_invalidate.max_journal_size = 16');
    $node->reload;
    $redis->command('SAVE');
    change($id);
    ok($redis->wait_gone("item:$id"), 'a key is deleted');
    ok(crowd_out_journal($node, 'postgres'), 'the journal has it no more');
    my $before = wait_for_worker($node, 'postgres');
    $points->arm('target.ready', 'wait');
    $redis->kill9;
    $redis->start;
    ok($points->wait_for('target.ready'), 'the worker is about to learn who it is');
    is($redis->has("item:$id"), 1, 'the dump has it');
    # It ends by the next thing that it does.
    sql('ALTER SYSTEM SET cache_invalidate.worker_role = ' . sql('SELECT quote_literal(current_user)'));
    kill 'HUP', $before;
    $node->reload;
    $points->release('target.ready');
    isnt(wait_for_worker($node, 'postgres', $before), $before, 'there is another worker');
    ok($redis->wait_gone("item:$id"), 'which makes the reset');
}

$node->stop;
done_testing();
