# Servers and user mappings: changes are taken up at once, passwords work and stay secret, privileges hold,
# and test_cache_invalidation() tells what arrives.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $node  = new_node('main');
my $first = CacheInvalidate::Redis->new('first');
my $other = CacheInvalidate::Redis->new('other', tcp => 1);
$node->start;

sub sql { return $node->safe_psql('postgres', @_) }

create_items($node, 'postgres', $first, rows => 30);
$other->fill(map { ("item:$_", "app:item:$_") } 1 .. 30);
my $worker = wait_for_worker($node, 'postgres');
my $next = 1;

# Changes the next item; true when its key is gone from this Redis.
sub reaches {
    my ($redis, $prefix) = @_;
    my $id = $next++;
    sql("UPDATE item SET version = version + 1 WHERE id = $id");
    return $redis->wait_gone(($prefix // '') . "item:$id");
}

# --- Changes of a server

ok(reaches($first), 'the first Redis');
sql(sprintf "ALTER SERVER cache OPTIONS (SET url '%s')", $other->url);
ok(reaches($other), 'ALTER SERVER leads to another one at once');
ok($first->has('item:2'), 'and the first is left alone');
sql("ALTER SERVER cache OPTIONS (ADD key_prefix 'app:')");
ok(reaches($other, 'app:'), 'key_prefix');
ok($other->has('item:3'), 'no key without it');
sql("ALTER SERVER cache OPTIONS (DROP key_prefix, ADD enabled 'false')");
ok(wait_until('the view says "disabled"', sub { target($node, 'postgres', 'state') eq 'disabled' }), 'enabled = false');
my $listener = CacheInvalidate::Listener->new($node, 'postgres');
sql('UPDATE item SET version = 1 WHERE id = 4');
ok(scalar $listener->take_until('item 4', sub { $_[0]{record_id} eq '4' }), 'messages are sent then');
ok($other->has('item:4'), 'no key is deleted');
$next = 5;
sql("ALTER SERVER cache OPTIONS (SET enabled 'true')");
ok(reaches($other), 'enabled = true');
sql(sprintf "ALTER SERVER cache OPTIONS (SET url '%s')", $first->url(3));
$first->command('SELECT', 3);
$first->fill('item:6');
ok(reaches($first), 'another database of the first Redis');
$first->command('SELECT', 0);
ok($first->has('item:6'), 'and not its database 0');

# --- A second server, and the argument "server"

sql(sprintf "ALTER SERVER cache OPTIONS (SET url '%s')", $first->url);
sql(sprintf "CREATE SERVER second FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '%s')", $other->url);
ok(reaches($first) && $other->wait_gone('item:7'), 'two servers get the same');
sql('DROP TRIGGER cache_invalidation_item ON item; ' . items_trigger(q('key=item:{id}', 'server=second')));
ok(reaches($other), 'server=second reaches the second');
ok($first->has('item:8'), 'and no other');
sql('DROP TRIGGER cache_invalidation_item ON item; ' . items_trigger());
sql('DROP SERVER second');
ok(reaches($first), 'DROP SERVER of one leaves the other');
ok(wait_until('DROP SERVER closes the connection', sub { $other->command('CLIENT', 'LIST', 'TYPE', 'normal') !~ /\n./ }),
    'and closes its connection');

# --- Privileges: the table's owner needs USAGE, at any time

sql('CREATE ROLE app_owner LOGIN; GRANT CREATE ON SCHEMA public TO app_owner; ALTER TABLE item OWNER TO app_owner');
my $writer = $node->background_psql('postgres', extra_params => [ '-U', 'app_owner' ]);

sub writes {
    my $id = $next++;
    $writer->query_safe("UPDATE item SET version = version + 1 WHERE id = $id");
    $listener->take_until("item $id", sub { $_[0]{record_id} eq $id });
    return "item:$id";
}
ok($first->has(writes()), 'without USAGE nothing is deleted');
sql('GRANT USAGE ON FOREIGN SERVER cache TO app_owner');
ok(!$first->has(writes()), 'GRANT USAGE works on a session that runs');
sql('REVOKE USAGE ON FOREIGN SERVER cache FROM app_owner');
ok($first->has(writes()), 'REVOKE USAGE as well');
sql('ALTER TABLE item OWNER TO CURRENT_USER');

# --- Passwords. Each text is looked for in everything that the server says.

my @secrets = ('first-Secret-1', 'wrong-Secret-2', 'user-Secret-3');
my $rights = "~item:* ~cache_invalidate:test:* +unlink +del";
my $locked = CacheInvalidate::Redis->new("locked",
    config => [ "requirepass $secrets[0]", "user invalidator on >$secrets[2] $rights" ]);
$locked->log_in_by('AUTH', $secrets[0]);
$locked->fill(map { "item:$_" } 1 .. 30);
sql(sprintf "ALTER SERVER cache OPTIONS (SET url '%s')", $locked->url);
$next = 15;
sql('UPDATE item SET version = 1 WHERE id = 14');
my $said = '';

sub problem_is {
    my ($pattern, $what) = @_;
    my $text;
    ok(wait_until($what, sub { ($text = target($node, 'postgres', "state || ': ' || problem")) =~ $pattern }), $what) or diag($text);
    $said .= sql('SELECT t.*, s.* FROM cache_invalidation_targets t, cache_invalidation_stats s');
}
problem_is(qr/^down: .*(NOAUTH|password)/, 'a missing password shows as a problem');
sql("CREATE USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (password '$secrets[1]')");
problem_is(qr/^down: .*(WRONGPASS|password)/, 'a wrong password shows as a problem');
$said .= sql("SELECT test_cache_invalidation('item')");
like($said, qr/"target":"cache","success":false,[^}]*"problem":"[^"]+"/, 'test_cache_invalidation() says so too');
like($said, qr/"target":"NOTIFY","success":true/, 'and that messages were sent');
like($said, qr/"success":false,"message"/, 'on the whole it failed');
ok($locked->has('item:14'), 'nothing is deleted so far');
sql("ALTER USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (SET password '$secrets[0]')");
ok($locked->wait_gone('item:14'), 'ALTER USER MAPPING heals it: what was owed is deleted');
is(target($node, 'postgres', "state || coalesce(problem, '')"), 'up', 'and the problem is gone');
sql("ALTER USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (ADD username 'invalidator', SET password '$secrets[2]')");
ok(reaches($locked), 'a user with few rights, of an access control list');
ok(wait_until('he is logged in', sub { $locked->command('CLIENT', 'LIST') =~ / user=invalidator / }), 'it is this user that is logged in');
sql("ALTER USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (SET username 'nobody')");
problem_is(qr/^down: /, 'an unknown user shows as a problem');
sql("ALTER USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (SET username 'invalidator')");
ok(reaches($locked), 'and is healed');

my ($status, $output, $problem) = $node->psql('postgres',
    "CREATE SERVER leak FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'redis://:$secrets[0]\@127.0.0.1:6379/0')");
isnt($status, 0, 'a password in the URL is refused');
# The statement itself is the user's own, and the server logs it; our words must not repeat it.
my $log = slurp_file($node->logfile);
$log =~ s/STATEMENT:  CREATE SERVER leak [^\n]*//g;
$problem =~ s/^LINE .*//mg;
for my $secret (@secrets) {
    my $pattern = qr/\Q$secret\E/;
    unlike($log, $pattern, 'a password is not in the server log');
    unlike($said . $problem, $pattern, 'nor in a view or an answer');
    unlike(slurp_file($locked->{log}), $pattern, 'nor in the log of Redis');
}
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'cache_invalidate%' AND query ~ 'Secret'"), '0', 'nor in pg_stat_activity');

# --- test_cache_invalidation()

my $user = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11';
my $answer = JSON::PP->new->decode(sql("SELECT test_cache_invalidation('item', '$user')"));
my @targets = @{ delete $answer->{targets} };
is($answer->{success} . " $answer->{table} $answer->{user_id}", "1 item $user", 'test_cache_invalidation() succeeds');
is_deeply([ map { [ $_->{target}, $_->{success} . '', $_->{problem} ] } @targets ],
    [ [ 'cache', '1', undef ], [ 'NOTIFY', '1', undef ] ], 'and names each target');
is(scalar(grep { $_->{milliseconds} < 0 || $_->{milliseconds} > 10000 } @targets), 0, 'with its time');
my ($test) = reverse $listener->take_until('the test message', sub { ($_[0]{user_id} // '') eq $user });
is($test->{message}{operation}, 'TEST', 'its message is marked');
$answer = JSON::PP->new->decode(sql("SELECT test_cache_invalidation('nothing_there')"));
ok(!$answer->{success} && $answer->{message} =~ /"nothing_there" does not exist/, 'an unknown table is told');

is(worker_pid($node, 'postgres'), $worker, 'the worker was never restarted');
$writer->quit;
$listener->quit;
$node->stop;
done_testing();
