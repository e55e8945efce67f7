# What a Redis answers when it cannot or will not delete, or is none at all: nothing is lost, the view says why and what
# helps, the log says so once, and all is well again when the cause is gone.
use strict;
use warnings;

use IO::Socket::UNIX;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Relay;
use CacheInvalidate::Resp;
use CacheInvalidate::Wait;

use constant { KEYS => 300, CUTS => 30 };

my $node = new_node('main');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
create_items($node, 'postgres', $redis, rows => KEYS + 100);
my $worker = wait_for_worker($node, 'postgres');
my $next   = KEYS + 1;

sub sql { return $node->safe_psql('postgres', @_) }

sub lead_to {
    my ($url) = @_;
    sql("ALTER SERVER cache OPTIONS (SET url '$url')");
}

# Changes the next item; its key.
sub change {
    my $id = $next++;
    sql("UPDATE item SET version = version + 1 WHERE id = $id");
    return "item:$id";
}

sub is_shown {
    my ($problem, $cure, $what) = @_;
    my $shown;
    ok(wait_until($what, sub { ($shown = target($node, 'postgres', "state || ': ' || problem")) =~ $problem }), "$what: the problem is shown")
      or diag($shown);
    like(target($node, 'postgres', "coalesce(cure, '')"), $cure, "$what: what helps is shown");
}

sub heals {
    my ($key, $what) = @_;
    ok($redis->wait_gone($key), "$what: what was owed is deleted");
    ok(wait_until('up', sub { target($node, 'postgres', "state || coalesce(problem, '') || coalesce(cure, '')") eq 'up' }),
        "$what: all is well again");
}

# How often the log says that it came up again.
sub recoveries {
    my $log = slurp_file($node->logfile);
    return scalar(() = $log =~ /server "cache" is up again/g);
}

# A server that takes connections but refuses what it is sent is not taken for healed by each attempt.
sub stays_down {
    my ($what) = @_;
    my $before = recoveries();
    my $count  = target($node, 'postgres', 'connections');
    ok(wait_until('attempts', sub { target($node, 'postgres', 'connections') >= $count + 2 }), "$what: it is tried again");
    is(target($node, 'postgres', 'state'), 'down', "$what: it stays down");
    is(recoveries(), $before, "$what: and the log does not say otherwise");
}

ok($redis->wait_gone(change()), 'at first');

# --- Connections that are lost within the answers to a pipeline of three commands. Each delivers one set at least, so that
# the next attempt is immediate.

my $cutter = CacheInvalidate::Relay->new($redis, 'cut', 17 .. 16 + CUTS);
lead_to($cutter->url);
my @keys = map { "item:$_" } 1 .. KEYS;
my ($rounds, $left, $failures) = (0, 0, target($node, 'postgres', 'failures'));
do {
    $redis->fill(@keys);
    sql('UPDATE item SET version = version + 1 WHERE id <= ' . KEYS);
    $left++ unless $redis->wait_gone(@keys);
} until $left or ++$rounds == 10 * CUTS or target($node, 'postgres', 'failures') >= $failures + CUTS;
is($left, 0, 'cut at every byte: every key is deleted');
cmp_ok(target($node, 'postgres', 'failures'), '>=', $failures + CUTS, 'cut at every byte: it was');
is($redis->command('DBSIZE'), 99, 'cut at every byte: no other key is deleted');

# --- Not a Redis, or one that is not ready

for my $mode (qw(http greets)) {
    my $relay = CacheInvalidate::Relay->new($redis, $mode);
    lead_to($relay->url);
    my $key = change();
    is_shown(qr/^down: the peer does not speak the Redis protocol/, qr/is no Redis/, $mode);
    lead_to($redis->url);
    heals($key, $mode);
}
for ([ bulk => qr/too large/ ], [ line => qr/too large/ ], [ deep => qr/too deeply/ ], [ push => qr/does not speak/ ]) {
    my ($mode, $problem) = @$_;
    my $relay = CacheInvalidate::Relay->new($redis, $mode);
    lead_to($relay->url);
    my $key = change();
    is_shown(qr/^down: .*$problem/, qr/./, $mode);
    lead_to($redis->url);
    heals($key, $mode);
}
my $loading = CacheInvalidate::Relay->new($redis, 'loading');
lead_to($loading->url);
my $key = change();
is_shown(qr/^down: .*\(LOADING\)/, qr/wait/, 'loading');
lead_to($redis->url);
heals($key, 'loading');
lead_to($redis->url(99));
$key = change();
is_shown(qr/^down: the server refused SELECT \(ERR\)/, qr/"databases"/, 'a wrong database');
lead_to($redis->url);
heals($key, 'a wrong database');
lead_to("unix://$redis->{dir}/nobody");
$key = change();
is_shown(qr/^down: could not connect .*No such file/, qr/Start the server/, 'nobody there');
lead_to($redis->url);
heals($key, 'nobody there');
$redis->command('CONFIG', 'SET', 'requirepass', 'x');
$redis->command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
$key = change();
is_shown(qr/^down: .*\(NOAUTH\)/, qr/CREATE USER MAPPING/, 'a missing password');
$redis->command('CONFIG', 'SET', 'requirepass', '');
sql("ALTER SERVER cache OPTIONS (ADD command_timeout '300ms')");
heals($key, 'a missing password');

# --- A script that does not end

$redis->command('CONFIG', 'SET', 'lua-time-limit', 1);
my $script = IO::Socket::UNIX->new(Peer => $redis->{path});
syswrite $script, "EVAL 'while true do end' 0\r\n";
ok(wait_until('the script', sub { !eval { $redis->command('DBSIZE') } && $@ =~ /BUSY/ }), 'a script runs');
$key = change();
is_shown(qr/^down: .*BUSY/, qr/SCRIPT KILL/, 'a script');
$redis->command('SCRIPT', 'KILL');
ok(wait_until('the end of the script', sub { eval { $redis->command('PING') } }), 'it ends');
heals($key, 'a script');

# --- A pause

$redis->command('CLIENT', 'PAUSE', 120000, 'WRITE');
$key = change();
is_shown(qr/^down: no answer within command_timeout/, qr/SLOWLOG/, 'a pause');
stays_down('a pause');
$redis->command('CLIENT', 'UNPAUSE');
heals($key, 'a pause');

# --- Memory

$redis->command('CONFIG', 'SET', 'maxmemory', 1);
ok(!eval { $redis->command('SET', 'more', 1) } && $@ =~ /OOM/, 'a server without memory takes nothing in');
ok($redis->wait_gone(change()), 'but deletes');
$redis->command('CONFIG', 'SET', 'maxmemory', 0);

# --- A disk on which nothing can be saved: where its file should be, a folder is

$redis->command('CONFIG', 'SET', 'save', '3600 1');
mkdir "$redis->{dir}/dump.rdb";
$redis->command('BGSAVE');
ok(wait_until('MISCONF', sub { $redis->command('INFO', 'persistence') =~ /rdb_last_bgsave_status:err/ }), 'a server cannot save');
$key = change();
is_shown(qr/^down: .*MISCONF/, qr/stop-writes-on-bgsave-error/, 'a full disk');
rmdir "$redis->{dir}/dump.rdb";
$redis->command('CONFIG', 'SET', 'save', '');
heals($key, 'a full disk');

# --- A primary that became a replica

$redis->command('REPLICAOF', '127.0.0.1', 1);
$key = change();
is_shown(qr/^down: UNLINK was answered with READONLY/, qr/replica/, 'a replica');
stays_down('a replica');
$redis->command('REPLICAOF', 'NO', 'ONE');
heals($key, 'a replica');

# --- Messages, and a channel that the user may not use

sql(q(ALTER SERVER cache OPTIONS (ADD publish_channel 'changes:{$resource}:{$id}')));
my $subscriber = CacheInvalidate::Resp->connect(path => $redis->{path});
$subscriber->command('SUBSCRIBE', "changes:item:$next");
$key = change();
my $message = $subscriber->reply;
is("@$message[0, 1]", "message changes:$key", 'a message is published');
like($message->[2], qr/"record_id":"\d+"/, 'as it is sent by NOTIFY');
ok(!$redis->has($key), 'after its delete');
ok(wait_until('counted', sub { target($node, 'postgres', 'published') >= 1 }), 'and counted');
$redis->command('ACL', 'SETUSER', 'default', 'resetchannels');
$key = change();
is_shown(qr/^up: a message was refused with NOPERM/, qr/&<key_prefix>/, 'a channel that is not allowed');
ok($redis->wait_gone($key), 'a channel that is not allowed: deletes go on');
$redis->command('ACL', 'SETUSER', 'default', 'allchannels');

# --- Too old for UNLINK

my $old = CacheInvalidate::Redis->new('old', config => ['rename-command UNLINK ""']);
$old->fill(map { "item:$_" } 1 .. KEYS);
lead_to($old->url);
my $before = recoveries();
sql('UPDATE item SET version = version + 1 WHERE id <= ' . KEYS);
ok($old->wait_gone(map { "item:$_" } 1 .. KEYS), 'a server without UNLINK gets DEL');
is(recoveries(), $before, 'without being down');

is(worker_pid($node, 'postgres'), $worker, 'the worker was never restarted');
my %lines;
$lines{$_}++ for slurp_file($node->logfile) =~ /server "cache" is down: (.*)/g;
delete $lines{$_} for grep { /connection lost/ } keys %lines;  # often, by the first rows
is(scalar(grep { $_ > 3 } values %lines), 0, 'no problem fills the log') or diag(explain(\%lines));
$node->stop;
done_testing();
