# cache_invalidate.worker_role: a worker that is no superuser and has no privilege but to connect does all that a worker does. A role that is
# missing or may not connect costs one line in the log, and no more than time.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

# An autovacuum worker would be in the way of the owner who drops his database.
my $node = new_node('main', autovacuum => 'off', 'cache_invalidate.worker_role' => 'Cache worker', 'cache_invalidate.max_journal_size' => '16MB');
my $redis = CacheInvalidate::Redis->new('cache', config => ['requirepass right']);
$redis->log_in_by('AUTH', 'right');
$node->start;
my $version = $node->safe_psql('postgres', 'SHOW server_version_num');
sub sql { return $node->safe_psql('app', @_) }
sub admin { return $node->safe_psql('postgres', @_) }

sub health_knows {
    my ($obstacle) = @_;
    return ok(wait_until($obstacle, sub { sql('SELECT problems FROM get_cache_invalidation_health()') =~ /\Q$obstacle/ }), "health: $obstacle");
}

sub said {
    my ($what) = @_;
    return scalar(() = slurp_file($node->logfile) =~ /$what/g);
}

# Who the worker is.
sub runs_as {
    return admin("SELECT usename FROM pg_stat_activity WHERE backend_type = 'cache_invalidate worker' AND datname = 'app'");
}

# --- A role that cannot be used

admin('CREATE ROLE owner LOGIN');
admin('CREATE DATABASE app OWNER owner');
admin('REVOKE CONNECT, TEMPORARY ON DATABASE app FROM PUBLIC');
create_items($node, 'app', $redis, rows => 60);
sql(q(CREATE USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (password 'right')));
sql('UPDATE item SET version = 1 WHERE id = 1');
my $missing = 'no worker can be started: role "Cache worker" does not exist';
ok(wait_until('told', sub { said($missing) }), 'a role that does not exist is told');
health_knows('the role in cache_invalidate.worker_role does not exist');
admin('SELECT pg_reload_conf()');
if ($version < 170000) {
    admin('CREATE ROLE "Cache worker"');
    ok(wait_until('told', sub { said('role "Cache worker" is not permitted to log in') }), 'one that may not log in, too');
    health_knows('the role in cache_invalidate.worker_role may not log in');
    admin('ALTER ROLE "Cache worker" LOGIN; SELECT pg_reload_conf()');
} else {
    admin('CREATE ROLE "Cache worker"; SELECT pg_reload_conf()');
}
my $refused = 'no worker can be started in database "app": role "Cache worker" may not connect to it';
ok(wait_until('told', sub { said($refused) }), 'and one that may not connect');
health_knows('the role in cache_invalidate.worker_role may not connect to the database');
is(said($missing), 1, 'each is said once');
ok(said('Create it, with LOGIN, or set cache_invalidate.worker_role') == 1 && said('GRANT CONNECT ON DATABASE app TO "Cache worker"') == 1, 'with the cure');
is(worker_pid($node, 'app'), undef, 'there is no worker');
ok($redis->has('item:1'), 'and nothing is delivered');
admin('GRANT CONNECT ON DATABASE app TO "Cache worker"');
ok(wait_until('a worker', sub { worker_pid($node, 'app') }), 'when it may, the worker is started by itself');
ok($redis->wait_gone('item:1'), 'and delivers what was committed');
unlike(slurp_file($node->logfile), qr/FATAL|exited with exit code/, 'no process was started for nothing');

# --- A worker without privileges

is(runs_as(), 'Cache worker', 'the worker connects as that role');
is(admin(q(SELECT count(*) FROM pg_auth_members WHERE member = '"Cache worker"'::regrole)), 0, 'which has been given nothing');
my $next = 1;
sub works {
    my ($what) = @_;
    my $listener = CacheInvalidate::Listener->new($node, 'app');
    my $id = ++$next;
    $redis->fill("item:$id");
    sql("UPDATE item SET version = version + 1 WHERE id = $id");
    ok($redis->wait_gone("item:$id"), "$what: a key is deleted");
    ok(scalar($listener->take_until("of $id", sub { ($_[0]{record_id} // '') eq $id })), "$what: its message is sent");
    $listener->quit;
    return;
}
my $worker = worker_pid($node, 'app');
works('the role');
$redis->fill('item:10', 'item:11');
sql('SELECT reset_cache()');
ok($redis->wait_gone('item:10', 'item:11'), 'a pattern is looked for');
like(sql("SELECT test_cache_invalidation('item')"), qr/"success":true/, 'test_cache_invalidation() succeeds');
$redis->fill('item:12', 'item:13');
sql("BEGIN; UPDATE item SET version = 1 WHERE id = 12; PREPARE TRANSACTION 'one'");
sql("COMMIT PREPARED 'one'");
ok($redis->wait_gone('item:12'), 'a prepared transaction is seen');
sql('SELECT pause_cache_invalidation()');
ok(wait_until('paused', sub { target($node, 'app', 'state') eq 'paused' }), 'a pause is seen');
sql('UPDATE item SET version = 1 WHERE id = 13');
sql('SELECT resume_cache_invalidation()');
ok($redis->wait_gone('item:13'), 'and its end');
sql(q(CREATE TABLE broken (id int, a int);
    CREATE TRIGGER broken AFTER INSERT ON broken FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=b:{a}');
    SET session_replication_role = replica; ALTER TABLE broken RENAME COLUMN a TO b; RESET session_replication_role;
    INSERT INTO broken VALUES (1, 1)));
ok(wait_until('logged', sub { sql('SELECT count(*) FROM trigger_error_log') == 1 }), 'an error is logged');
$node->psql('app', 'INSERT INTO broken VALUES (2, 2)');
works('an error');
ok(wait_until('truncated', sub { stat_of($node, 'app', 'journal_truncations') > 0 }), 'the journal is truncated');
$redis->pause;
my $long = 'x' x 60;
sql("CREATE TABLE bulk (id int);
    CREATE TRIGGER bulk AFTER INSERT ON bulk FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=bulk:{id}:$long', 'channel=');");
sql("INSERT INTO bulk SELECT generate_series(1, 50000)") for 1 .. 5;
ok(wait_until('compacted', sub { stat_of($node, 'app', 'journal_compactions') > 0 }), 'and copied forward, when a server hangs');
$redis->resume;
works('after that');
is(worker_pid($node, 'app'), $worker, 'all by one worker');
admin("SELECT pg_terminate_backend($worker)");
$worker = wait_for_worker($node, 'app', $worker);
is(sql('SELECT sum(occurrences) FROM trigger_error_log'), 2, 'which counted the errors before it left');

# --- Whose user mapping

sql(q(ALTER USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (SET password 'wrong');
      CREATE USER MAPPING FOR "Cache worker" SERVER cache OPTIONS (password 'right')));
works('its own user mapping');
sql('DROP USER MAPPING FOR "Cache worker" SERVER cache');
ok(wait_until('down', sub { target($node, 'app', 'state') eq 'down' }), q(without one of its own the extension's owner's is used));
sql(q(ALTER USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (SET password 'right')));
works(q(the extension's owner's));

# --- Another role, and none

admin('CREATE ROLE other LOGIN; GRANT CONNECT ON DATABASE app TO other');
my %roles = (other => 'other', '' => admin('SELECT rolname FROM pg_roles WHERE oid = 10'));
for my $role ('other', '') {
    $node->adjust_conf('postgresql.conf', 'cache_invalidate.worker_role', "'$role'");
    $node->reload;
    $worker = wait_for_worker($node, 'app', $worker);
    is(runs_as(), $roles{$role}, "a reload: the worker runs as \"$role\"");
    works("the role \"$role\"");
}
$node->adjust_conf('postgresql.conf', 'cache_invalidate.worker_role', q('Cache worker'));
$node->reload;
wait_for_worker($node, 'app', $worker);
is(runs_as(), 'Cache worker', 'and as the first one again');

# --- An owner drops his database

# He may not send a superuser's session away, so the last one has to be gone.
my $others = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app' AND backend_type = 'client backend'";
ok(wait_until('no session', sub { $node->safe_psql('postgres', $others) == 0 }), 'nobody uses the database');
my ($stdout, $stderr);
is($node->psql('postgres', 'DROP DATABASE app WITH (FORCE)', extra_params => [ '-U', 'owner' ], stderr => \$stderr), 0,
    'the owner of the database drops it') or diag($stderr);
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal|permission denied/, 'nothing was refused, no process died');
$node->stop;
done_testing();
