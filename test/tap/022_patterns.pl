# Patterns: what they match is what Redis says, several are looked for in one pass, keys may come and go meanwhile, and
# exact keys do not wait for it.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant { GLOBS => 400, KEYS => 150, MANY => 200_000 };

my $node  = new_node('main');
my $redis = CacheInvalidate::Redis->new('cache');
$node->start;
create_items($node, 'postgres', $redis, rows => 10);
wait_for_worker($node, 'postgres');

sub sql { return $node->safe_psql('postgres', @_) }

sub quoted {
    my ($text) = @_;
    return "'" . $text =~ s/'/''/gr . "'";
}

sql('CREATE TABLE mark (name text); CREATE TABLE hit (id int)');
sql('CREATE TRIGGER cache_invalidation_mark AFTER INSERT ON mark FOR EACH ROW'
      . q{ EXECUTE FUNCTION notify_cache_invalidation('key={name}')});

# Makes these globs, and keys, stale in one transaction.
sub invalidate {
    my ($globs, @keys) = @_;
    my @arguments = ((map { "pattern=$_" } @$globs), (map { "key=$_" } @keys));
    sql('DROP TRIGGER IF EXISTS cache_invalidation_hit ON hit; CREATE TRIGGER cache_invalidation_hit AFTER INSERT ON hit FOR EACH ROW'
          . ' EXECUTE FUNCTION notify_cache_invalidation(' . join(', ', map { quoted($_) } @arguments) . ')');
    sql('INSERT INTO hit VALUES (1)');
}

# When the key of a later change is gone, everything has been taken; then nothing may be owed.
my $marks = 0;
sub is_swept {
    my $mark = 'mark ' . ++$marks;
    $redis->command('SET', $mark, 1);
    sql("INSERT INTO mark VALUES ('$mark')");
    $redis->wait_gone($mark);
    return target($node, 'postgres', 'keys_pending + patterns_pending') eq '0';
}

sub sweep {
    invalidate([@_]);
    return wait_until('the sweep is over', \&is_swept);
}

# --- What matches, compared with Redis

srand 22;
my @letters = ('a', 'b', 'B', '-', '^', ']', '[', '\\', '*', '?', ' ', "\x{e9}");
sub text { return join '', map { $_[0][ rand @{ $_[0] } ] } 1 .. 1 + rand $_[1] }
my @pieces = ('*', '*', '?', '[ab]', '[^a]', '[a-b]', '[b-a]', '[^', '[', ']', '[\\]]', '\\*', '\\[', '\\\\', '\\', 'a', 'b', 'a', 'B', '-', '[a-', "\x{e9}", '[]', '[^]');
my %keys = map { (text(\@letters, 5) => 1) } 1 .. KEYS;
my @keys = sort keys %keys;
my @globs = map { text(\@pieces, 5) } 1 .. GLOBS;
utf8::encode($_) for @keys, @globs;
my @wrong;
my $matched = 0;
while (my @some = splice @globs, 0, 20) {
    $redis->command('FLUSHDB');
    $redis->fill(@keys);
    # What Redis matches itself: all of these globs.
    my %left = map { ($_ => 1) } @keys;
    for my $glob (@some) {
        delete @left{ @{ $redis->command('KEYS', $glob) } };
    }
    # One is left to Redis, two are looked for by ourselves.
    my @half = splice @some, 0, rand 2 < 1 ? 1 : 10;
    ok(sweep(@half) && sweep(@some), 'swept') or last;
    my @expected = sort keys %left;
    $matched += @keys - @expected;
    my @is = $redis->keys;
    push @wrong, "@half and @some: expected <@expected>, left <@is>" if "@is" ne "@expected";
}
is_deeply(\@wrong, [], 'what is deleted is what Redis matches');
cmp_ok($matched, '>', GLOBS / 20 * KEYS / 10, 'and that is something');

# --- Literal text of a pattern's values is escaped

$redis->command('FLUSHDB');
sql('CREATE TABLE page (id int PRIMARY KEY, path text)');
sql('CREATE TRIGGER cache_invalidation_page AFTER INSERT OR UPDATE OR DELETE ON page FOR EACH ROW'
      . q{ EXECUTE FUNCTION notify_cache_invalidation('pattern=page:{path}:*')});
my @paths = ('*', '[a-z]', '?', '\\', '[^', 'a*b');
$redis->fill((map { "page:$_:1" } @paths), 'page:a:1', 'page:aXb:1', 'page:z:1', 'page:[a-z]');
sql('INSERT INTO page VALUES ' . join ', ', map { "($_, " . quoted($paths[$_]) . ')' } 0 .. $#paths);
ok($redis->wait_gone(map { "page:$_:1" } @paths), 'values with glob characters');
ok(wait_until('swept', \&is_swept), 'the sweep is over');
is_deeply([ $redis->keys ], [ sort 'page:a:1', 'page:aXb:1', 'page:z:1', 'page:[a-z]' ], 'match only themselves');

# --- Many keys: exact keys go in between, progress shows, keys come and go

$redis->command('FLUSHDB');
$redis->fill((map { ("old:$_", "kept:$_") } 1 .. MANY), 'item:1');
my ($scans_before) = $redis->command('INFO', 'commandstats') =~ /cmdstat_scan:calls=(\d+)/;
# In one transaction: the key is not to wait for the pass.
invalidate([ 'old:*1', 'old:*[02-5]', 'old:*[6-9]' ], 'item:1');
my ($round, $told) = (0, 0);
my $over = wait_until('swept', sub {
    # Keys that come and go make the table grow and shrink while it is scanned.
    my @come = map { 'brief:' . ++$round . ":$_" } 1 .. 200;
    $redis->fill(@come);
    $redis->command('UNLINK', @come);
    # Looked at while Redis stands still, so that the sweep is seen however fast it is.
    $redis->pause;
    my ($patterns, $scanned, $total) = split /\|/, target($node, 'postgres', 'patterns_pending, sweep_scanned, sweep_total'), -1;
    my $is_running = $patterns && $total ne '';
    $redis->resume;
    if ($is_running && !$told++) {
        is($patterns, 3, 'three patterns are owed');
        cmp_ok($scanned, '<=', $total, 'the view shows how far it is');
        cmp_ok($total, '>=', 2 * MANY, 'of all keys');
        ok(!$redis->has('item:1'), 'the exact key does not wait');
    }
    return $patterns eq '0';
});
ok($over, 'the patterns are swept');
ok($told, 'which was seen while it went on');
is(target($node, 'postgres', 'sweep_scanned IS NULL AND sweep_total IS NULL'), 't', 'no progress is shown without a sweep');
my @left = $redis->keys;
is(scalar(grep { /^old:/ } @left), 0, 'every key that existed is gone');
is(scalar(grep { /^kept:/ } @left), MANY, 'no other key is');
my ($scans) = $redis->command('INFO', 'commandstats') =~ /cmdstat_scan:calls=(\d+)/;
# Some scans are our own.
cmp_ok($scans - ($scans_before // 0), '<', 2.2 * 2 * MANY / 256, 'the three were looked for in one pass');

# --- The connection is lost in the middle: the pass begins again

$redis->command('FLUSHDB');
$redis->fill(map { ("old:$_", "kept:$_") } 1 .. MANY);
my $connections = target($node, 'postgres', 'connections');
$redis->pause;
invalidate([ 'old:*[0-4]', 'old:*[5-9]' ]);
ok(wait_until('it begins', sub { target($node, 'postgres', 'sweep_scanned') eq '0' }), 'the sweep has begun');
$redis->resume;
for (1 .. 3) {
    $redis->command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    wait_until('it runs again', sub { target($node, 'postgres', "connections = $connections + $_ AND (patterns_pending = 0 OR sweep_scanned > 0)") eq 't' });
}
ok(wait_until('swept', sub { target($node, 'postgres', 'patterns_pending') eq '0' }), 'the patterns are swept');
@left = $redis->keys;
is(scalar(@left), MANY, 'all of them, and no other key');

# --- A user who may not ask for the size, nor delete all that is found

my $locked = CacheInvalidate::Redis->new('locked',
    config => [ 'user default on nopass ~* &* +@all', 'user invalidator on >secret ~item:* +unlink +del +scan' ]);
$locked->fill((map { "item:$_" } 1 .. 300), (map { "other:$_" } 1 .. 300));
# Both at once, or what is told again to a server that was replaced is told by a user who may do all.
sql(sprintf q{BEGIN; ALTER SERVER cache OPTIONS (SET url '%s'); CREATE USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (username 'invalidator', password 'secret');
    COMMIT}, $locked->url);
invalidate(['*']);
ok($locked->wait_gone(map { "item:$_" } 1 .. 300), 'it is swept');
ok(wait_until('swept', sub { target($node, 'postgres', q(state = 'up' AND patterns_pending = 0)) eq 't' }), 'the sweep comes to an end');
is_deeply([ grep { /^item:/ } $locked->keys ], [], 'what it may delete is gone');
is(scalar(grep { /^other:/ } $locked->keys), 300, 'and what it may not is there');
like(target($node, 'postgres', 'problem'), qr/NOPERM/, 'that it may not delete all shows');

# --- A user who may not look for keys

$locked->command('ACL', 'SETUSER', 'invalidator', '-scan');
$locked->fill('item:1', 'item:2');
my $before = target($node, 'postgres', 'connections');
invalidate(['item:*'], 'item:1');
ok($locked->wait_gone('item:1'), 'keys go on');
ok(wait_until('shown', sub { target($node, 'postgres', 'problem') =~ /SCAN was answered with NOPERM/ }), 'that patterns wait shows');
like(target($node, 'postgres', 'cure'), qr/\+scan/, 'with its cure');
is(target($node, 'postgres', 'patterns_pending'), 1, 'the pattern is owed');
$locked->command('SET', 'item:3', 1);
invalidate([], 'item:3');
ok($locked->wait_gone('item:3'), 'also later ones');
$locked->command('SET', 'item:4', 1);
sql('UPDATE item SET version = version + 1 WHERE id = 4');
ok($locked->wait_gone('item:4'), 'and those of a template that gives what the pattern matches');
is(target($node, 'postgres', 'connections'), $before, 'over the same connection');
$locked->command('ACL', 'SETUSER', 'invalidator', '+scan');
$node->reload;
ok($locked->wait_gone('item:2'), 'when it may, the pattern is swept');

$node->stop;
done_testing();
