# Caches first, signals second, with several servers of which one is down or hangs: messages wait for it once at most, and
# come again when it has deleted what they speak of.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;
use CacheInvalidate::Wire;

use constant TIMEOUT => 4;    # seconds a message waits for a target that does not answer

my $node = new_node('main', 'cache_invalidate.signal_timeout' => TIMEOUT . 's');
$node->start;
my $cache = CacheInvalidate::Redis->new('cache');
my $other = CacheInvalidate::Redis->new('other', config => [ 'appendonly yes', 'appendfsync always' ]);
create_items($node, 'postgres', $cache, rows => 100);
sql("CREATE SERVER other FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $other->url }', command_timeout '1min')");
$other->fill(map { "item:$_" } 1 .. 100);
wait_for_worker($node, 'postgres');
my $listener = CacheInvalidate::Listener->new($node, 'postgres');
ok(wait_until('both are up', sub { state_of('cache') eq 'up' && state_of('other') eq 'up' }), 'both servers are up');

sub sql { return $node->safe_psql('postgres', @_) }
sub state_of { return target($node, 'postgres', 'state', $_[0]) }
sub change { sql("UPDATE item SET version = version + 1 WHERE id = $_[0]") }

# What was sent in the second before may be repeated with what has to be.
sub ids { return join ' ', map { $_->{message}{record_id} } @_ }

# Waits for the message of this item; it may be preceded by others.
sub heard {
    my ($id, $what) = @_;
    my @messages = $listener->take_until($what, sub { $_[0]{record_id} eq $id });
    ok(scalar @messages, $what);
    return @messages;
}

# --- All are up: once, when both are clean

change(1);
heard(1, 'a message comes');
is($cache->has('item:1') + $other->has('item:1'), 0, 'after both servers deleted the key');

# --- Another worker: what the one before has sent is not sent again

for my $id (40 .. 42) {
    change($id);
    heard($id, 'a message comes');
    my $worker = worker_pid($node, 'postgres');
    sql("SELECT pg_terminate_backend($worker)");
    $node->reload;    # the launcher looks at once
    wait_for_worker($node, 'postgres', $worker);
    wait_until('both are up', sub { state_of('cache') eq 'up' && state_of('other') eq 'up' });
    change($id + 5);
    is(ids(heard($id + 5, 'the next worker sends the next message')), $id + 5, 'and does not repeat the last');
}

# --- One is down

$other->kill9;
ok(wait_until('it is seen', sub { state_of('other') eq 'down' }), 'the other server is seen to be down');
my $start = time;
change($_) for 2 .. 4;
heard(4, 'messages come while a server is down');
cmp_ok(time - $start, '<', TIMEOUT, 'without waiting for it');
is($cache->has('item:4'), 0, 'after the others deleted the key');
$other->start;
like(ids(heard(4, 'they come again when it is back')), qr/\b2 3 4$/, 'each once, in their order');
is($other->has("item:$_"), 0, "after it deleted key $_") for 2 .. 4;
change(5);
is(scalar(heard(5, 'the next message comes')), 1, 'nothing else is repeated');

# --- One hangs: the first message waits for it, the next do not

$other->pause;
$start = time;
change(10);
heard(10, 'a message comes while a server hangs');
my $first = time - $start;
cmp_ok($first, '>=', TIMEOUT - 0.5, 'when signal_timeout is over');
$start = time;
for my $id (11 .. 15) {
    change($id);
    heard($id, "message $id comes");
}
cmp_ok(time - $start, '<', 3 * TIMEOUT, 'it is waited for once, not each time');
is($cache->has('item:15'), 0, 'the others go on');
$other->resume;
like(ids(heard(15, 'all come again when it answers')), qr/\b10 11 12 13 14 15$/, 'in their order');
is($other->has("item:$_"), 0, "after it deleted key $_") for 10 .. 15;
$other->pause;
change(16);
$start = time;
heard(16, 'a server that answered is waited for again');
$other->resume;
heard(16, 'and the message repeated');

# The message of a change is sent and noted before the server stops; somebody listens again when it is back.
sub tell_and_restart {
    my ($id, $mode) = @_;
    change($id);
    heard($id, "a message comes before a stop ($mode)");
    ok(note_all($node, 'postgres'), 'and is noted as sent');
    $listener->quit;
    $node->stop($mode);
    $node->start;
    $listener = CacheInvalidate::Listener->new($node, 'postgres');
    return;
}

# --- Down across a restart, and a crash

for my $mode (qw(fast immediate)) {
    my $id = $mode eq 'fast' ? 20 : 21;
    $other->kill9;
    wait_until('it is seen', sub { state_of('other') eq 'down' });
    tell_and_restart($id, $mode);
    wait_for_worker($node, 'postgres');
    wait_until('it is tried', sub { state_of('other') eq 'down' });
    $listener->take;    # what a crash repeats
    $other->start;
    heard($id, "it comes again after a stop ($mode), when the server is back");
    is($other->has("item:$id"), 0, 'after it deleted the key');
}

# --- Not reached across a restart, and a crash, and there all the time: nothing else is a reason to tell its messages again

my $wire = CacheInvalidate::Wire->new($other);
sql("ALTER SERVER other OPTIONS (SET url '${\ $wire->url }')");
for my $mode (qw(fast immediate)) {
    my $id = $mode eq 'fast' ? 22 : 23;
    ok(wait_until('up', sub { state_of('other') eq 'up' }), 'the server is up, by way of a wire');
    $wire->cut;
    wait_until('it is seen', sub { state_of('other') eq 'down' });
    tell_and_restart($id, $mode);
    wait_until('it is tried', sub { state_of('other') eq 'down' });
    $listener->take;    # what a crash repeats
    $wire->mend;
    ok($other->wait_gone("item:$id"), 'when the wire is mended it deletes the key');
    heard($id, "and the message comes again after a stop ($mode)");
}

# --- The same of what is never told

sql(q(CREATE TABLE quiet (id int PRIMARY KEY, version int);
      CREATE TRIGGER cache_invalidation_quiet AFTER UPDATE ON quiet FOR EACH ROW
        EXECUTE FUNCTION notify_cache_invalidation('key=quiet:{id}', 'channel=');
      INSERT INTO quiet VALUES (1, 0), (2, 0)));
for my $mode (qw(fast immediate)) {
    my $id = $mode eq 'fast' ? 1 : 2;
    ok(wait_until('up', sub { state_of('other') eq 'up' }), 'the server is up');
    $_->fill("quiet:$id") for $cache, $other;
    $wire->cut;
    wait_until('it is seen', sub { state_of('other') eq 'down' });
    sql("UPDATE quiet SET version = version + 1 WHERE id = $id");
    ok($cache->wait_gone("quiet:$id"), 'the other server has deleted the key');
    ok(wait_until('noted', sub { is_noted($node, 'postgres') }), 'which is noted');
    $node->stop($mode);
    $node->start;
    wait_until('it is tried', sub { state_of('other') eq 'down' });
    $wire->mend;
    ok($other->wait_gone("quiet:$id"), "when the wire is mended after a stop ($mode) it deletes the key too");
}

# --- Afterwards nothing is left

ok(wait_until('empty', sub { journal_pages($node, 'postgres') <= 2 }), 'the journal is empty in the end');
is($cache->command('DBSIZE'), sql('SELECT count(*) FROM item WHERE version = 0'), 'no other key was deleted');

done_testing();
