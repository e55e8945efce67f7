# A server that hangs while very many messages are published there, and nothing else is owed to it: everybody else hears each of them once,
# and its subscribers when it answers again.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Subscriber;
use CacheInvalidate::Wait;

use constant MANY => 30_000;    # more than are sent without an answer

my $node = new_node('main', 'cache_invalidate.signal_timeout' => '100ms');
$node->start;
my $cache = CacheInvalidate::Redis->new('cache');
create_items($node, 'postgres', $cache, rows => 1);
sql(q(ALTER SERVER cache OPTIONS (ADD publish_channel 'changes', ADD command_timeout '5min');
      CREATE TABLE told (id int PRIMARY KEY);
      CREATE TRIGGER cache_invalidation_told AFTER INSERT ON told FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation();));
wait_for_worker($node, 'postgres');
ok(wait_until('up', sub { target($node, 'postgres', 'state') eq 'up' }), 'the server is up');
my $listener   = CacheInvalidate::Listener->new($node, 'postgres');
my $subscriber = CacheInvalidate::Subscriber->new($cache, 'changes');

sub sql { return $node->safe_psql('postgres', @_) }
sub record { my ($id) = @_; return sub { ($_[0]{record_id} // '') eq $id } }

my $scans = stat_of($node, 'postgres', 'journal_scans');
$cache->pause;
sql("INSERT INTO told SELECT * FROM generate_series($_, $_ + 999)") for map { 1 + 1000 * $_ } 0 .. MANY / 1000 - 1;
my @heard = $listener->take_until('NOTIFY', record(MANY));
is(scalar @heard, MANY, 'each message is heard once while the server hangs');
sql(q(INSERT INTO told VALUES (0)));
ok(scalar $listener->take_until('NOTIFY', record(0)), 'and the next');
cmp_ok(stat_of($node, 'postgres', 'journal_scans') - $scans, '<=', 1, 'the journal is not read again and again for what it cannot be told');
$cache->resume;
my %ids = map { ($_->{message}{record_id} => 1) } $subscriber->take_until(record(MANY));
is(scalar(grep { !$ids{$_} } 1 .. MANY), 0, 'when it answers its subscribers hear them all');

$node->stop;
done_testing();
