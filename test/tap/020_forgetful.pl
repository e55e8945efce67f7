# A Redis that was restarted, replaced or made a replica, and may have forgotten what was deleted: the worker notices, at a
# connect and without one, and a connection lost to the same server is no such thing.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $node = new_node('main');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
my $other = CacheInvalidate::Redis->new('other');
create_items($node, 'postgres', $redis, rows => 20);
wait_for_worker($node, 'postgres');
my $next = 1;

# Changes the next item and waits until its key is gone.
sub reaches {
    my ($server, $what) = @_;
    my $id = $next++;
    $server->fill("item:$id");
    $node->safe_psql('postgres', "UPDATE item SET version = version + 1 WHERE id = $id");
    ok($server->wait_gone("item:$id"), $what);
}

sub suspicions {
    my $log = slurp_file($node->logfile);
    return scalar(() = $log =~ /server "cache" was restarted or replaced/g);
}

reaches($redis, 'at first');
is(suspicions(), 0, 'the first server is taken as it is');
my $connections = target($node, 'postgres', 'connections');
$redis->command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
ok(wait_until('the next connection', sub { target($node, 'postgres', 'connections') > $connections }), 'a lost connection');
reaches($redis, 'goes on');
is(suspicions(), 0, 'a lost connection is no restart');

$redis->kill9;
$redis->start;
reaches($redis, 'after a restart');
is(suspicions(), 1, 'a restart is noticed');

$node->safe_psql('postgres', sprintf "ALTER SERVER cache OPTIONS (SET url '%s')", $other->url);
reaches($other, 'another server');
is(suspicions(), 2, 'it is another one, whoever altered it');

# Its connection stays while it becomes a replica: the health check tells.
my $offset = -s $node->logfile;
$other->command('REPLICAOF', '127.0.0.1', 1);
ok(wait_until('the health check', sub { suspicions() == 3 }, 35), 'a change of role is noticed by the health check');
# What is deleted again for that it refuses, as a replica: so its log tells what was before.
unlike(slurp_file($node->logfile, $offset) =~ s/restarted or replaced.*//sr, qr/is down/, 'over the connection that is there');
$other->command('REPLICAOF', 'NO', 'ONE');
reaches($other, 'a primary again');

# A server that does not tell who it is
$other->command('ACL', 'SETUSER', 'default', '-info', '-ping');
$other->command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
reaches($other, 'a server that does not tell who it is serves');

$node->stop;
done_testing();
