# Leases and second deletes: the other halves of what readers do who are late.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Resp;
use CacheInvalidate::Wait;

my $node = new_node('main');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
create_items($node, 'postgres', $redis, rows => 400);
wait_for_worker($node, 'postgres');

sub sql { return $node->safe_psql('postgres', @_) }

sub options { sql("ALTER SERVER cache OPTIONS ($_[0])") }

# What Redis is told from now on.
my $monitor = CacheInvalidate::Resp->connect(path => $redis->{path});
$monitor->command('MONITOR');

# The next deletes that name this word, so many: [seconds, words...].
sub heard {
    my ($word, $count) = @_;
    my @found;
    while (@found < $count) {
        my $line = $monitor->reply;
        next unless $line =~ /"\Q$word\E"/ and $line =~ /^([\d.]+) \[.*?\] "(?:UNLINK|DEL)"/;
        my $time = $1;
        push @found, [ $time, $line =~ /"([^"]*)"/g ];
    }
    return @found;
}

# --- Leases

options("ADD lease_prefix 'lease:'");
$redis->fill('item:1', 'lease:item:1', 'item:2', 'lease:item:2');
sql('UPDATE item SET version = 1 WHERE id = 1');
ok($redis->wait_gone('item:1', 'lease:item:1'), 'a key and its lease are deleted');
my ($command) = heard('item:1', 1);
is("@{$command}[1 .. $#$command]", 'UNLINK lease:item:1 item:1', 'by one command, the lease first');
ok($redis->has('lease:item:2') && $redis->has('item:2'), 'and no other');
options("ADD key_prefix 'app:'");
$redis->fill(map { ("app:item:$_", "app:lease:item:$_") } 1 .. 400);
my $counted = target($node, 'postgres', 'keys_deleted');
sql('UPDATE item SET version = 2 WHERE id <= 300');
ok($redis->wait_gone(map { ("app:item:$_", "app:lease:item:$_") } 1 .. 300), 'both lie under key_prefix');
ok(wait_until('counted', sub { target($node, 'postgres', 'keys_deleted') >= $counted + 300 }), 'keys are counted');
is(target($node, 'postgres', 'keys_deleted'), $counted + 300, 'leases are not');
($command) = heard('app:item:1', 1);
cmp_ok(scalar @$command, '<=', 2 + 128, 'a command names no more than 128 of both');
my %names = map { $_ => 1 } @{$command}[2 .. $#$command];
is(scalar(grep { /^app:item/ && !$names{ s/app:/app:lease:/r } } keys %names), 0, 'pairs stay together');

# A user who may not touch leases: the pair is refused together, and the others are deleted.
options('DROP key_prefix');
$redis->fill(map { ("item:$_", "lease:item:$_") } 300 .. 310, 400);
$redis->command('ACL', 'SETUSER', 'default', 'resetkeys', '~item:*', '~lease:item:30*');
sql('UPDATE item SET version = 3 WHERE id IN (301, 302, 400)');
ok(wait_until('a problem', sub { target($node, 'postgres', "coalesce(problem, '')") =~ /refused with NOPERM/ }), 'a refused lease is shown');
like(target($node, 'postgres', 'cure'), qr/ACL SETUSER/, 'with its cure');
is(target($node, 'postgres', 'state'), 'up', 'the target is up');
$redis->command('ACL', 'SETUSER', 'default', 'allkeys');
ok($redis->wait_gone(map { ("item:$_", "lease:item:$_") } 301, 302), 'the others are deleted');
ok($redis->has('item:400') && $redis->has('lease:item:400'), 'the pair that was refused is there, both of it');

# --- Readers who are late, as docs/leases.md has it: each reads the row, and stores it when it has been changed and the key
# deleted.

sub version { return sql("SELECT version FROM item WHERE id = $_[0]") }

# Changes it, and waits for its delete, which names the lease; those of the test itself do not.
sub change {
    my ($id) = @_;
    sql("UPDATE item SET version = version + 1 WHERE id = $id");
    heard("lease:item:$id", 1);
}

sub reader { return CacheInvalidate::Resp->connect(path => $redis->{path}) }

# Takes the lease; the version read under it.
sub miss {
    my ($reader, $id, $token) = @_;
    is($reader->command('SET', "lease:item:$id", $token, 'NX', 'PX', 60000), 'OK', "$token gets the lease");
    return version($id);
}

# True: the value was stored.
sub fill {
    my ($reader, $id, $token, $value) = @_;
    my $found = $reader->command('GET', "lease:item:$id") // '';
    my @replies = $reader->pipeline(['MULTI'], [ 'SET', "item:$id", $value ], [ 'UNLINK', "lease:item:$id" ], ['EXEC']);
    return $found eq $token && defined $replies[-1];
}

my $reader = reader();
$reader->command('UNLINK', 'item:330');
my $read = version(330);
change(330);
$reader->command('SET', 'item:330', $read);
isnt($reader->command('GET', 'item:330'), version(330), 'plain cache-aside: an old value stays');

$read = miss($reader, 331, 'undisturbed');
$reader->command('WATCH', 'lease:item:331');
ok(fill($reader, 331, 'undisturbed', $read), 'an undisturbed reader stores');
is($reader->command('GET', 'item:331'), version(331), 'what is right');
ok(!$redis->has('lease:item:331'), 'and leaves no lease');

$reader->command('UNLINK', 'item:332');
$read = miss($reader, 332, 'late');
change(332);
$reader->command('WATCH', 'lease:item:332');
ok(($reader->command('GET', 'lease:item:332') // '') ne 'late', 'a late reader finds the lease taken away');
$reader->command('UNWATCH');
$reader->command('UNLINK', 'item:333');
$read = miss($reader, 333, 'later');
$reader->command('WATCH', 'lease:item:333');
change(333);
ok(!fill($reader, 333, 'later', $read), 'one who has looked before cannot store either');
ok(!$redis->has('item:333'), 'so the key is not there');
$read = miss($reader, 334, 'slow');
change(334);
my $next = reader();
my $newer = miss($next, 334, 'next');
$reader->command('WATCH', 'lease:item:334');
isnt($reader->command('GET', 'lease:item:334'), 'slow', "another's lease is not mistaken for one's own");
$next->command('WATCH', 'lease:item:334');
ok(fill($next, 334, 'next', $newer), 'the next reader stores');
is($next->command('GET', 'item:334'), version(334), 'what is right');

# --- Second deletes

# Long enough for a late reader of a slow machine.
options("ADD second_delete_after '5s'");
$redis->fill('item:320', 'lease:item:320');
sql('UPDATE item SET version = 1 WHERE id = 320');
ok($redis->wait_gone('item:320'), 'the first delete');
$redis->fill('item:320');
ok($redis->wait_gone('item:320'), 'what a late reader stored is deleted as well');
my ($first, $second) = heard('item:320', 2);
cmp_ok($second->[0] - $first->[0], '>=', 5, 'not before its time');
is("@{$second}[1 .. $#$second]", 'UNLINK lease:item:320 item:320', 'with its lease');

# Neither a lost connection nor an altered server takes a second delete back.
sql('UPDATE item SET version = 1 WHERE id = 321');
ok($redis->wait_gone('item:321'), 'the first delete');
$redis->command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
$redis->fill('item:321');
ok($redis->wait_gone('item:321'), 'the second one comes over the next connection');
sql('UPDATE item SET version = 1 WHERE id = 322');
ok($redis->wait_gone('item:322'), 'the first delete');
$redis->fill('item:322');
options("SET second_delete_after '0'");
ok($redis->wait_gone('item:322'), 'the second one comes though it was switched off since');

# Patterns
options("SET second_delete_after '5s'");
sql('TRUNCATE item');
ok($redis->wait_gone('item:350'), 'a pattern is swept');
$redis->fill('item:350', 'lease:item:351');
ok($redis->wait_gone('item:350', 'lease:item:351'), 'and once more, with the leases');

# More keys than may wait: what their template could give goes instead.
$node->stop;
configure($node, 'cache_invalidate.max_backlog_keys' => 1000);
$node->start;
# Not of these rows, all of whose keys would be widened as well.
sql("SET cache_invalidate.enabled = off; INSERT INTO item SELECT n, 'title', 0 FROM generate_series(1, 2000) n");
ok(wait_until('nothing is owed', sub { target($node, 'postgres', "state || ' ' || keys_pending || ' ' || patterns_pending") eq 'up 0 0' }), 'after a restart');
$redis->fill(map { "item:$_" } 1 .. 2000);
for my $from (1, 701) {
    my $to = $from + 699;
    sql("UPDATE item SET version = version + 1 WHERE id BETWEEN $from AND $to");
    ok($redis->wait_gone(map { "item:$_" } $from .. $to), "the first delete of $from to $to");
    ok($redis->has('item:1999') , 'and of no other');
}
$redis->fill('item:1000');
ok($redis->wait_gone('item:1000', 'item:1999'), 'the second one covers all that the template could give');

$node->stop;
done_testing();
