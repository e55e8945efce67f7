# From a broken set-up to the cure that get_cache_invalidation_health() names: each is broken as people break it, shown, put right
# as it says, and then a change deletes its key.
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
my $redis = CacheInvalidate::Redis->new('cache', tcp => 1);
create_items($node, 'postgres', $redis);
sql('CREATE ROLE app LOGIN; ALTER TABLE item OWNER TO app; GRANT CREATE ON SCHEMA public TO app;
     GRANT USAGE ON FOREIGN SERVER cache TO app;');
wait_for_worker($node, 'postgres');

sub sql { return $node->safe_psql('postgres', @_) }
sub as_app { return $node->safe_psql('postgres', $_[0], extra_params => [ '-U', 'app' ]) }

# As the operator sees it.
sub shows {
    my ($status, $problem, $what) = @_;
    my $shown;
    my $sound = wait_until($what, sub { $shown = sql(q(SELECT status || ': ' || array_to_string(problems, E'\n') FROM get_cache_invalidation_health())); $shown =~ /^$status: $problem/s });
    ok($sound, "$what: health shows it") or diag($shown);
    return $sound;
}

sub test_of { return sql("SELECT test_cache_invalidation('$_[0]')") }

sub works {
    my ($what) = @_;
    shows('ok', qr/$/, "$what, put right");
    $redis->fill('item:1');
    as_app('UPDATE item SET version = version + 1 WHERE id = 1');
    ok($redis->wait_gone('item:1'), "$what, put right: a key is deleted");
    return like(test_of('item'), qr/"success":true/, "$what, put right: test_cache_invalidation() succeeds");
}

my $url = $redis->url;
my @setups = (
    {   what    => 'wrong port',
        broken  => sub { sql(q(ALTER SERVER cache OPTIONS (SET url 'redis://127.0.0.1:1/0'))) },
        status  => 'down',
        problem => qr/server "cache" is down: could not connect to "redis:\/\/127.0.0.1:1\/0": Connection refused.* correct the host and port/,
        cure    => sub { sql("ALTER SERVER cache OPTIONS (SET url '$url')") }
    },
    {   what    => 'a host that nobody knows',
        broken  => sub { sql(q(ALTER SERVER cache OPTIONS (SET url 'redis://no-such-host.invalid/0'))) },
        status  => 'down',
        problem => qr/server "cache" is down: .*no-such-host\.invalid.*Correct the name of the host/,
        cure    => sub { sql("ALTER SERVER cache OPTIONS (SET url '$url')") }
    },
    {   what    => 'a number of a database that is not there',
        broken  => sub { sql("ALTER SERVER cache OPTIONS (SET url '${\ $redis->url(99) }')") },
        status  => 'down',
        problem => qr/server "cache" is down: the server refused SELECT.*correct the end of the option "url"/,
        cure    => sub { sql("ALTER SERVER cache OPTIONS (SET url '$url')") }
    },
    {   what    => 'something that is no Redis',
        broken  => sub { sql("ALTER SERVER cache OPTIONS (SET url 'unix://${\ $node->host }/.s.PGSQL.${\ $node->port }')") },
        status  => 'down',
        problem => qr/server "cache" is down: .*(?:no Redis|look at the server's log)/i,
        cure    => sub { sql("ALTER SERVER cache OPTIONS (SET url '$url')") }
    },
    {   what    => 'no password',
        broken  => sub { $redis->command('CONFIG', 'SET', 'requirepass', 'sesame'); $redis->command('CLIENT', 'KILL', 'TYPE', 'normal') },
        status  => 'down',
        problem => qr/server "cache" is down: .*(?:NOAUTH|AUTH).*CREATE USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS/,
        cure    => sub { $redis->log_in_by('AUTH', 'sesame'); sql(q(CREATE USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (password 'sesame'))) }
    },
    {   what    => 'a wrong password',
        broken  => sub { sql(q(ALTER USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (SET password 'open sesame'))) },
        status  => 'down',
        problem => qr/server "cache" is down: .*does not accept the user name or the password.*ALTER USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS/,
        cure    => sub { sql(q(ALTER USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (SET password 'sesame'))) }
    },
    {   what   => 'a user who may not delete',
        broken => sub {
            $redis->command('ACL', 'SETUSER', 'invalidator', 'on', '>secret', '~*', '+ping', '+info', '+client|setname', '+auth', '+select');
            sql(q(ALTER USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (ADD username 'invalidator', SET password 'secret')));
            as_app('UPDATE item SET version = version + 1 WHERE id = 2');
        },
        status  => 'down',
        problem => qr/server "cache" is down: .*NOPERM.*ACL SETUSER/,
        cure    => sub { $redis->command('ACL', 'SETUSER', 'invalidator', '+unlink', '+del', '+scan') }
    },
    {   what    => 'a Redis that has become a replica',
        broken  => sub { $redis->command('REPLICAOF', '127.0.0.1', '1'); as_app('UPDATE item SET version = version + 1 WHERE id = 2') },
        status  => 'down',
        problem => qr/server "cache" is down: .*READONLY.*Let "url" lead to the primary/,
        cure    => sub { $redis->command('REPLICAOF', 'NO', 'ONE') }
    },
    {   what    => 'an owner who may not use the server',
        broken  => sub { sql('REVOKE USAGE ON FOREIGN SERVER cache FROM app') },
        status  => 'degraded',
        problem => qr/trigger "cache_invalidation_item" of table public\.item: .*GRANT USAGE ON FOREIGN SERVER "?cache"? TO "?app"?/,
        test    => qr/"success":false,"message":"[^"]*a trigger of the table has a problem.*GRANT USAGE/,
        cure    => sub { sql('GRANT USAGE ON FOREIGN SERVER cache TO app') }
    },
    {   what    => 'a disabled trigger',
        broken  => sub { as_app('ALTER TABLE item DISABLE TRIGGER ALL') },
        status  => 'degraded',
        problem => qr/trigger "cache_invalidation_item" of table public\.item: .*disabled.*ENABLE TRIGGER "?cache_invalidation_item/,
        cure    => sub { as_app('ALTER TABLE item ENABLE TRIGGER cache_invalidation_item') }
    },
    {   what    => 'a column that is gone, and the trigger with it',
        broken  => sub { as_app('ALTER TABLE item RENAME COLUMN title TO old_title; ALTER TABLE item DROP COLUMN id CASCADE') },
        status  => 'ok',
        problem => qr/no table has a trigger that calls notify_cache_invalidation\(\): nothing is captured\. CREATE TRIGGER, or SELECT public\.enable_cache_invalidation\('tasks'/,
        cure    => sub {
            as_app('ALTER TABLE item ADD COLUMN id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY');
            as_app(q(SELECT enable_cache_invalidation('item', keys => 'item:{id}')));
        }
    },
    {   what    => 'a server that was disabled for a while',
        broken  => sub { sql(q(ALTER SERVER cache OPTIONS (ADD enabled 'false'))) },
        status  => 'ok',
        problem => qr/server "cache" is disabled: nothing is deleted there.*reset_cache\(\) follows: ALTER SERVER cache OPTIONS \(SET enabled 'true'\)/,
        test    => qr/"success":false.*"target":"cache","success":false,[^}]*enabled/,
        cure    => sub { sql(q(ALTER SERVER cache OPTIONS (SET enabled 'true'))); sql('SELECT public.reset_cache()') }
    },
    {   what    => 'no server',
        broken  => sub { sql('DROP SERVER cache CASCADE') },
        status  => 'ok',
        problem => qr/triggers name keys, but there is no server to delete them in\. CREATE SERVER/,
        cure    => sub {
            sql("CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '$url'); GRANT USAGE ON FOREIGN SERVER cache TO app;
                 CREATE USER MAPPING FOR CURRENT_USER SERVER cache OPTIONS (username 'invalidator', password 'secret')");
        }
    },
    {   what    => 'a pause that was forgotten',
        broken  => sub { sql('SELECT pause_cache_invalidation()') },
        status  => 'degraded',
        problem => qr/everything is paused by hand since .*SELECT public\.resume_cache_invalidation\(\)/,
        cure    => sub { sql('SELECT resume_cache_invalidation()') }
    },
);

for my $setup (@setups) {
    $setup->{broken}->();
    shows($setup->{status}, $setup->{problem}, $setup->{what});
    like(test_of('item'), $setup->{test}, "$setup->{what}: test_cache_invalidation() says it too") if $setup->{test};
    $setup->{cure}->();
    works($setup->{what});
}

# --- Who is granted the test needs nothing else

sql('GRANT EXECUTE ON FUNCTION test_cache_invalidation(text, uuid) TO app');
like(as_app("SELECT test_cache_invalidation('item')"), qr/"success":true/, 'a role that is granted the test may run it');

# --- No free process, and no preloading: these need a restart

# One of them is the server's own.
$node->append_conf('postgresql.conf', 'max_worker_processes = 1');
$node->restart;
shows('down', qr/the launcher, which starts the workers, is not running.*max_worker_processes/, 'no process for the launcher');
$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
$node->restart;
shows('down', qr/no worker runs in this database: max_worker_processes is exhausted\. Raise max_worker_processes and restart/, 'no free process');
$node->append_conf('postgresql.conf', "max_worker_processes = 8\nshared_preload_libraries = ''");
$node->restart;
shows('down', qr/the library is not preloaded.*Add cache_invalidate to shared_preload_libraries and restart/, 'no preloading');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'cache_invalidate'");
$node->restart;
works('preloading and processes');

done_testing();
