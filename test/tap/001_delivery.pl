# A committed change reaches the cache and the listeners, and nothing else does; workers come and go with
# the extension and stand in nobody's way.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

# An autovacuum worker might be on its way to a database that is dropped.
my $node  = new_node('main', autovacuum => 'off');
my $redis = CacheInvalidate::Redis->new('cache');
$node->start;

sub sql { return $node->safe_psql('postgres', @_) }

# --- Installation

$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(app plain);
# One may have come to look.
ok(wait_until('none', sub { !defined worker_pid($node, 'app') }), 'no worker before CREATE EXTENSION');
my $installed = $node->safe_psql('app', "CREATE EXTENSION cache_invalidate; SELECT clock_timestamp()");
my $worker = wait_for_worker($node, 'app');
ok($worker, 'CREATE EXTENSION brings a worker without a restart');
is($node->safe_psql('app', "SELECT worker_started - '$installed' < interval '5 s' FROM cache_invalidation_stats"),
    't', 'it was there at once, not at the next look');

# --- Delivery

$node->safe_psql('app', "CREATE SCHEMA other; CREATE TABLE other.pair (a int, b int, note text, PRIMARY KEY (a, b))");
create_items($node, 'app', $redis, arguments => q('resource=item', 'key=item:{id}', 'fields=title'));
$node->safe_psql('app', q(
    CREATE TRIGGER by_pair AFTER INSERT OR UPDATE OR DELETE ON other.pair FOR EACH ROW
      EXECUTE FUNCTION notify_cache_invalidation('format=resource', 'key=pair:{a}:{b}', 'fields=text=note', 'channel=pairs')));
my $listener = CacheInvalidate::Listener->new($node, 'app', 'cache_invalidation', 'pairs');

sub received {
    my ($what, $id) = @_;
    my @all = $listener->take_until($what, sub { ($_[0]{record_id} // $_[0]{id} // '') eq $id });
    is(scalar @all, 1, "$what: one message");
    return $all[-1];
}

sub cached_items { return join ',', grep { /^item:/ } $redis->keys }

my $before = time;
$node->safe_psql('app', 'UPDATE item SET version = 1 WHERE id = 3');
ok($redis->wait_gone('item:3'), 'the key of the changed row is deleted');
is(cached_items(), 'item:1,item:10,item:2,item:4,item:5,item:6,item:7,item:8,item:9', 'the others are kept');
my $got = received('UPDATE', 3);
my %said = %{ $got->{message} };
is($got->{channel}, 'cache_invalidation', 'on the default channel');
my ($timestamp, $batch) = (delete $said{timestamp}, delete $said{batch_id});
is_deeply(\%said, { table => 'item', operation => 'UPDATE', record_id => '3', title => 'title 3' }, 'shape "record"');
cmp_ok(abs($timestamp - $before), '<', 30, 'its timestamp is a number of seconds');
like($got->{text}, qr/"batch_id":"\d+"/, 'its batch_id is the transaction, as a string');
like($batch, qr/^[1-9]\d*$/, 'its batch_id is a number');

$redis->fill('pair:1:2', 'pair:1:3');
$node->safe_psql('app', q(INSERT INTO other.pair VALUES (1, 2, 'line' || chr(10) || '"quoted" ' || chr(228))));
$got = received('INSERT', '1:2');
ok(!$redis->has('pair:1:2'), 'when the message arrives, the key of a composite primary key is deleted');
ok($redis->has('pair:1:3'), 'its neighbour is kept');
%said = %{ $got->{message} };
is($got->{channel}, 'pairs', 'on the channel of its trigger');
like(delete $said{timestamp}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00$/, 'its timestamp is ISO 8601');
$said{text} =~ s/[^\x20-\x7e\n]+/U/;
is_deeply(\%said, { resource => 'pair', id => '1:2', action => 'INSERT', text => qq(line\n"quoted" U) }, 'shape "resource"');

# One transaction, both sides of a change, each record once.
$redis->fill('item:3');
$node->safe_psql('app', 'BEGIN; UPDATE item SET id = 103 WHERE id = 4; UPDATE item SET version = 5 WHERE id = 5;
                         UPDATE item SET version = 6 WHERE id = 5; DELETE FROM item WHERE id = 6; COMMIT');
ok($redis->wait_gone('item:4', 'item:5', 'item:6'), 'the keys of the old rows are deleted');
my @all = map { "$_->{message}{operation} $_->{message}{record_id}" }
  $listener->take_until('DELETE', sub { $_[0]{record_id} eq '6' });
is_deeply([ sort @all ], [ 'DELETE 4', 'DELETE 6', 'INSERT 103', 'UPDATE 5' ], 'and one message names each record');

# --- What was rolled back

$redis->fill(map { "item:$_" } 1 .. 10);
$node->psql('app', 'BEGIN; UPDATE item SET version = 9 WHERE id = 1; ROLLBACK');
$node->psql('app', 'UPDATE item SET version = 9 WHERE id = 2; SELECT 1/0', extra_params => ['-1']);
$node->safe_psql('app', q(
    BEGIN; SAVEPOINT s; UPDATE item SET version = 9 WHERE id = 7; ROLLBACK TO s;
    DO $$ BEGIN UPDATE item SET version = 9 WHERE id = 8; RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END $$;
    UPDATE item SET title = 'sentinel' WHERE id = 9; COMMIT));
ok($redis->wait_gone('item:9'), 'the sentinel arrives');
is(cached_items(), 'item:1,item:10,item:2,item:3,item:4,item:5,item:6,item:7,item:8', 'keys of what was rolled back are kept');
is(received('sentinel', 9)->{message}{title}, 'sentinel', 'and there is no message of it');

# --- Several databases side by side

$node->safe_psql('postgres', 'CREATE DATABASE app2');
my $redis2 = CacheInvalidate::Redis->new('second', tcp => 1);
create_items($node, 'app2', $redis2);
ok(wait_for_worker($node, 'app2'), 'a second database has its own worker');
is(worker_pid($node, 'app'), $worker, 'the first one keeps its worker');
$node->safe_psql('app2', 'UPDATE item SET version = 1 WHERE id = 1');
ok($redis2->wait_gone('item:1'), 'the second database deletes in its cache, over TCP');
$node->safe_psql('app', 'UPDATE item SET version = 1 WHERE id = 10');
ok($redis->wait_gone('item:10'), 'the first database deletes in its own');
ok($redis2->has('item:10') && $redis->has('item:1'), 'neither in the other one');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'cache_invalidate%' AND datname IN ('plain', 'postgres', 'template1')"),
    '0', 'a database without the extension has no process');

# --- DROP EXTENSION and CREATE EXTENSION

my $second = worker_pid($node, 'app2');
$node->safe_psql('app2', 'DROP EXTENSION cache_invalidate CASCADE');
ok(wait_until('the worker of app2 is gone', sub { !is_running($second) }), 'DROP EXTENSION ends the worker');
$node->safe_psql('app2', 'UPDATE item SET version = version + 1');
ok($redis2->has('item:2'), 'without its trigger a change has no effect');
$node->safe_psql('app2', 'DROP TABLE item');
create_items($node, 'app2', $redis2);
my $third = wait_for_worker($node, 'app2', $second);
ok($third, 'CREATE EXTENSION brings a worker again');
$node->safe_psql('app2', 'UPDATE item SET version = 1 WHERE id = 2');
ok($redis2->wait_gone('item:2'), 'which delivers');
$node->safe_psql('app2', 'BEGIN; DROP EXTENSION cache_invalidate CASCADE; ROLLBACK; BEGIN; CREATE SCHEMA s; ROLLBACK');
$node->safe_psql('app2', 'UPDATE item SET version = 1 WHERE id = 3');
ok($redis2->wait_gone('item:3'), 'a DROP EXTENSION that is rolled back changes nothing');
$node->safe_psql('app2', 'BEGIN; DROP EXTENSION cache_invalidate CASCADE; DROP TABLE item; CREATE EXTENSION cache_invalidate; COMMIT');
create_items($node, 'app2', $redis2);
$node->safe_psql('app2', 'UPDATE item SET version = 1 WHERE id = 4');
ok($redis2->wait_gone('item:4'), 'DROP and CREATE EXTENSION in one transaction');

# --- Statements that need the database for themselves

sub is_quick {
    my ($what, $statement) = @_;
    my $start = time;
    my $status = $node->psql('postgres', $statement, stderr => \my $problem);
    is($status, 0, $what) or diag($problem);
    cmp_ok(time - $start, '<', 5, "$what: in less than 5 s");
}

is_quick('CREATE DATABASE ... TEMPLATE of a database with a worker', 'CREATE DATABASE copy TEMPLATE app2');
$node->safe_psql('app2', 'UPDATE item SET version = 1 WHERE id = 5');
ok($redis2->wait_gone('item:5'), 'afterwards its worker delivers');
is_quick('ALTER DATABASE ... RENAME', 'ALTER DATABASE app2 RENAME TO app3');
$node->safe_psql('app3', 'UPDATE item SET version = 1 WHERE id = 6');
ok($redis2->wait_gone('item:6'), 'afterwards its worker delivers');
ok(wait_for_worker($node, 'app3'), 'under its new name');
is_quick('DROP DATABASE', 'DROP DATABASE app3');
$redis2->pause;
ok(wait_for_worker($node, 'copy'), 'the copy has a worker');
$node->safe_psql('copy', 'UPDATE item SET version = 1 WHERE id = 7');
is_quick('DROP DATABASE while its cache hangs', 'DROP DATABASE copy');
$redis2->resume;

# The launcher has forgotten what is gone, and the first database never noticed.
is(worker_pid($node, 'app'), $worker, 'the other database kept its worker');
$node->safe_psql('app', 'UPDATE item SET version = 2 WHERE id = 1');
ok($redis->wait_gone('item:1'), 'and still delivers');
unlike(slurp_file($node->logfile), qr/database .* does not exist|PANIC|was terminated by signal/, 'no worker ran into a missing database');

$listener->quit;
$node->stop;
done_testing();
