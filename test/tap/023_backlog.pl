# A target is away while far more is owed to it than max_backlog_keys: the worker's memory is bounded, and when the
# target is back every owed key is deleted, of the largest templates whatever they could give, and no other key.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant { ROWS => 20_000, WARM_UP => 5, ROUNDS => 20, FEW => 20, MEGABYTE => 1024 };    # the last in the unit of /proc

# What a process touches of the shared buffers counts as its memory: so they are few.
my $node = new_node('main', 'cache_invalidate.max_backlog_keys' => 1000, shared_buffers => '2MB');
my $redis = CacheInvalidate::Redis->new('cache', config => [ 'appendonly yes', 'appendfsync always' ]);
$node->start;

sub sql { return $node->safe_psql('postgres', @_) }

# A table of rows and its trigger, which has one message for all rows: messages take memory of their own.
sub create_table {
    my ($name, $rows, $argument) = @_;
    sql(qq{CREATE TABLE $name (id int PRIMARY KEY, part int, version int NOT NULL DEFAULT 0);
           INSERT INTO $name SELECT n, n % 7 FROM generate_series(1, $rows) n;
           CREATE TRIGGER cache_invalidation_$name AFTER UPDATE ON $name FOR EACH ROW
           EXECUTE FUNCTION notify_cache_invalidation('$argument', 'id=all')});
}
sql(sprintf q{CREATE EXTENSION cache_invalidate; CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '%s', key_prefix 'app:')},
    $redis->url);
# Long keys: kept, those of all rounds but the first would take more than 50 MB.
my $long = 'a-long-name-' x 10;
create_table('post', ROWS, "key=post:$long:{part}:{id}:{version}");
create_table('page', ROWS, 'key=page[{part}]:{id}');
create_table('rare', FEW, 'key=rare:{id}');
create_table('find', 2000, 'pattern=find:{id}:*');
wait_for_worker($node, 'postgres');
my $worker = worker_pid($node, 'postgres');

# Messages that nobody hears are not sent.
my $hearer = $node->background_psql('postgres');
$hearer->query_safe('LISTEN cache_invalidation');

# Waits until everything that was committed was taken from the ring and the journal, and its messages are sent.
sub all_is_taken {
    return wait_until('all is taken', sub { $hearer->query_safe('SELECT 1'); stat_of($node, 'postgres', 'ring_used_bytes = 0 AND messages > 0 AND notifications >= messages') eq 't' });
}

# The most memory that the worker ever had, in kB.
sub peak {
    return slurp_file("/proc/$worker/status") =~ /^VmHWM:\s+(\d+) kB/m ? $1 : die 'no such process';
}

my @bystanders = ('app:other:1', 'app:post', "post:$long:1:1:1", 'app:page1:1', 'app:page[1]', 'page[1]:1', 'app:rare:' . (FEW + 1), 'rare:1', 'app:find:1');
my @stale = ((map { ("app:post:$long:" . $_ % 7 . ":$_:0", 'app:page[' . $_ % 7 . "]:$_") } 1 .. ROWS),
    (map { "app:rare:$_" } 1 .. FEW), (map { "app:find:$_:x" } 1 .. 2000));
$redis->fill(@bystanders, @stale);

# --- Keys of few rows stay what they are; those of large tables are widened

$redis->kill9;
sql('UPDATE rare SET version = version + 1');
ok(wait_until('down', sub { target($node, 'postgres', q(state = 'down' AND keys_pending = 20)) eq 't' }), 'the target is down');
sql('UPDATE post SET version = version + 1');
ok(wait_until('widened', sub { target($node, 'postgres', 'patterns_pending') eq '1' }), 'a large table is widened');
my ($before, $all_taken) = (0, 0);
for my $round (1 .. ROUNDS) {
    sql('UPDATE post SET version = version + 1; UPDATE page SET version = version + 1');
    $all_taken += all_is_taken() ? 1 : 0;
    $before = peak() if $round == WARM_UP;
}
is($all_taken, ROUNDS, 'all of it is taken');
ok(wait_until('widened', sub { target($node, 'postgres', 'patterns_pending') eq '2' }), 'and the other is widened');
my $grown = peak() - $before;
note("the worker grew by $grown kB, to " . peak() . ' kB');
SKIP: {
    skip 'the sanitizers take memory of their own', 1 if $ENV{SANITIZED};
    cmp_ok($grown, '<', 8 * MEGABYTE, 'the memory of the worker is bounded');
}
is(target($node, 'postgres', 'keys_pending BETWEEN 20 AND 1000'), 't', 'as is what it owes');
cmp_ok(target($node, 'postgres', 'widened'), '>=', 2, 'the view counts');
my $widened = target($node, 'postgres', 'widened');

# --- Patterns are bounded as well

sql('UPDATE find SET version = version + 1');
ok(wait_until('widened', sub { target($node, 'postgres', 'widened') > $widened }), 'more than a thousand patterns are widened, too');
ok(all_is_taken(), 'all of it is taken');
cmp_ok(target($node, 'postgres', 'patterns_pending'), '<=', 1000, 'so that they are few');

# --- It is back

$redis->start;
ok($redis->wait_gone(@stale), 'every owed key is deleted');
ok(wait_until('settled', sub { target($node, 'postgres', q(state = 'up' AND keys_pending + patterns_pending = 0)) eq 't' }), 'nothing is owed any more');
is_deeply([ $redis->keys ], [ sort @bystanders ], 'no key that no template gives is, nor one of a small table that did not change');
is(worker_pid($node, 'postgres'), $worker, 'the worker was never restarted');
is(() = slurp_file($node->logfile) =~ /"cache" is owed more than max_backlog_keys/g, 1, 'one line tells of it');
ok(wait_until('the journal is empty', sub { journal_pages($node, 'postgres') <= 2 }), 'the journal is empty again');

# --- Afterwards keys are keys again

$redis->fill('app:page[3]:3', 'app:page[4]:4');
sql('UPDATE page SET version = version + 1 WHERE id = 3');
ok($redis->wait_gone('app:page[3]:3'), 'the key is deleted');
ok($redis->has('app:page[4]:4'), 'and no other');

$node->stop;
done_testing();
