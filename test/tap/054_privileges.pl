# What a role without privileges tries: to read secrets, to delete where it may not, to have its code run by others, to reach other
# keys through the values of columns, to stop the worker. Each attempt is made as that role.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Resp;
use CacheInvalidate::Wait;

use constant { SECRET => 'S3cr3t.of.the.cache', FLOOD => 200_000, TABLES => 200, TRIGGERS => 50 };

# No message is told before its keys are deleted, and once more then.
my $node   = new_node('main', 'cache_invalidate.signal_timeout' => '1min');
my $theirs = CacheInvalidate::Redis->new('theirs', config => [ 'requirepass ' . SECRET ]);
my $own    = CacheInvalidate::Redis->new('own');
$theirs->log_in_by('AUTH', SECRET);
$node->start;
sub sql { return $node->safe_psql('postgres', @_) }

# As a role: the error, or undef; the result goes to $_[2].
sub attempt {
    my ($role, $sql) = @_;
    my $status = $node->psql('postgres', $sql, extra_params => [ '-U', $role ], on_error_stop => 1, stdout => \$_[2], stderr => \my $error);
    return $status ? $error || 'failed' : undef;
}
sub allowed { my ($role, $sql, $what) = @_; my $error = attempt($role, $sql); is($error, undef, $what); return }
sub refused { my ($role, $sql, $what) = @_; like(attempt($role, $sql) // 'it worked', qr/permission denied|must be owner|must be (?:a )?(?:superuser|member)|must have|may use no server/i, $what); return }

# Commits of a table that everybody may see delivered: what was committed before has left then, too.
my $mark = 0;
sub settled {
    $mark++;
    $_->fill("mark:$mark") for $theirs, $own;
    sql("INSERT INTO mark VALUES ($mark)");
    return $theirs->wait_gone("mark:$mark") && $own->wait_gone("mark:$mark");
}
sub is_untouched {
    my ($redis, $what, @keys) = @_;
    settled() or fail("$what: nothing is delivered");
    is($redis->command('EXISTS', @keys), scalar @keys, $what);
    return;
}

my $log_start = "SET log_min_error_statement = 'panic';";
sql(q(CREATE EXTENSION cache_invalidate;
    CREATE ROLE tenant LOGIN; CREATE ROLE plain LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
    CREATE SCHEMA home AUTHORIZATION tenant; GRANT CREATE ON DATABASE postgres TO tenant;
    CREATE TABLE mark (id int PRIMARY KEY);
    CREATE TRIGGER mark AFTER INSERT ON mark FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=mark:{id}', 'channel=')));
sql("$log_start CREATE SERVER theirs FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '" . $theirs->url . "');
    CREATE SERVER own FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '" . $own->url . "');
    CREATE USER MAPPING FOR CURRENT_USER SERVER theirs OPTIONS (password '" . SECRET . "');
    GRANT USAGE ON FOREIGN SERVER own TO tenant");
my $worker = wait_for_worker($node, 'postgres');
ok(settled(), 'both servers are reached');

# --- Secrets: whatever relation a role may read, of whatever schema

my $search = q(
    CREATE TEMP TABLE found (name text); CREATE TEMP TABLE looked (name text);
    DO $$ DECLARE r regclass; is_there boolean; BEGIN
      FOR r IN SELECT c.oid FROM pg_class c WHERE relkind IN ('r', 'v', 'm') AND relpersistence <> 't'
                  AND has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(relnamespace, 'USAGE') LOOP
        BEGIN
          EXECUTE format('SELECT EXISTS (SELECT FROM %s r WHERE r::text ~ ''S3c[r]3t'')', r) INTO is_there;
          INSERT INTO looked VALUES (r);
          IF is_there THEN INSERT INTO found VALUES (r); END IF;
        EXCEPTION WHEN insufficient_privilege THEN NULL; END;
      END LOOP; END $$;
    SELECT (SELECT count(*) FROM looked), (SELECT string_agg(name, ' ' ORDER BY name COLLATE "C") FROM found));
my $seen = sql($search);
like($seen, qr/\|.*\bpg_user_mapping pg_user_mappings\b/, 'a superuser finds the password');
for my $role (qw(plain tenant watcher)) {
    is(attempt($role, $search, $seen), undef, "$role looks everywhere");
    my ($looked, $found) = split /\|/, $seen, -1;
    cmp_ok($looked, '>', 100, "$role: in $looked relations");
    is($found, '', "$role finds no password");
}
is(attempt('watcher', "SELECT cure || problem FROM cache_invalidation_problems; SELECT get_cache_invalidation_health(); SHOW ALL", $seen), undef, 'watcher asks for health');
unlike($seen, qr/S3cr3t/, 'which tells no password');
refused('tenant', "ALTER USER MAPPING FOR \"$_\" SERVER theirs OPTIONS (SET password 'x')", "nor does anybody change the mapping of $_") for sql('SELECT current_user');
refused('tenant', "CREATE USER MAPPING FOR \"$_\" SERVER own OPTIONS (password 'x')", 'also where USAGE is granted') for sql('SELECT current_user');
refused('tenant', "ALTER SERVER own OPTIONS (SET url 'redis://127.0.0.1:1')", 'nor where the server is');
refused('tenant', "CREATE SERVER more FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'redis://127.0.0.1:1')", 'nobody leads the worker to an address');
allowed('tenant', "CREATE USER MAPPING FOR tenant SERVER own OPTIONS (password 'wrong')", 'a mapping of his own he may make');
ok(settled(), 'which is not the worker\'s');

# --- Deletes where he may not

$theirs->fill('session:1', 'session:2');
allowed('tenant', q(CREATE TABLE home.mine (id int PRIMARY KEY);
    CREATE TRIGGER a AFTER INSERT ON home.mine FOR EACH ROW EXECUTE FUNCTION public.notify_cache_invalidation('key=session:{id}', 'pattern=session:*', 'server=theirs');
    CREATE TRIGGER b AFTER INSERT ON home.mine FOR EACH ROW EXECUTE FUNCTION public.notify_cache_invalidation('key=session:{id}', 'resource=mine');
    INSERT INTO home.mine VALUES (1)), 'a trigger names another server');
$own->fill('session:1');
is_untouched($theirs, 'which deletes nothing there', 'session:1', 'session:2');
sql('INSERT INTO home.mine VALUES (2)');
is_untouched($theirs, 'nor if a superuser writes', 'session:1', 'session:2');
for my $call ("invalidate_cache_key('session:1')", "invalidate_cache_pattern('*')", "invalidate_cache_resource('mine')", 'reset_cache()', "pause_cache_invalidation('theirs')",
    "resume_cache_invalidation()", "test_cache_invalidation('home.mine')", 'reset_cache_invalidation_stats()', 'cleanup_trigger_error_log(0)') {
    refused($_, "SELECT public.$call", "$_: $call") for qw(tenant watcher);
}
allowed('tenant', q(CREATE FUNCTION home.wrap() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ SELECT public.invalidate_cache_key('session:1') $$), 'a function wraps it');
sql('GRANT USAGE ON SCHEMA home TO plain; GRANT EXECUTE ON FUNCTION invalidate_cache_key(text[]), invalidate_cache_resource(text, jsonb) TO tenant, plain');
$own->fill('session:1', 'session:3');
allowed('tenant', q(SELECT home.wrap(); SELECT public.invalidate_cache_key('session:3'), public.invalidate_cache_resource('mine')), 'where it is granted');
ok($own->wait_gone('session:1', 'session:3'), 'it deletes on his server');
is_untouched($theirs, 'and on no other', 'session:1', 'session:2');
refused('plain', q(SELECT public.invalidate_cache_key('session:1')), 'a grant of the function alone is none of a server');
$own->fill('session:1', 'session:5');
sql('SELECT home.wrap()');
ok($own->wait_gone('session:1'), 'a superuser calls a SECURITY DEFINER function of his');
is_untouched($theirs, 'which has his privileges', 'session:1', 'session:2');
sql('REVOKE USAGE ON FOREIGN SERVER own FROM tenant');
allowed('tenant', 'INSERT INTO home.mine VALUES (5)', 'a trigger of before the REVOKE fires');
is_untouched($own, 'and deletes nothing', 'session:5');
sql('GRANT USAGE ON FOREIGN SERVER own TO tenant');
refused('tenant', q(CREATE TRIGGER t AFTER INSERT ON public.mark FOR EACH ROW EXECUTE FUNCTION public.notify_cache_invalidation('key=session:1')), 'no trigger on a table of others');
refused('tenant', q(SELECT public.enable_cache_invalidation('public.mark', 'session:1')), 'nor by the helper');
refused('tenant', q(SELECT * FROM public.explain_cache_invalidation('public.mark', 'INSERT', new => '{"id": 1}')), 'nor is it explained');

# --- Code of his that others run

allowed('tenant', q(
    CREATE TABLE home.canary (who name, super bool, what text);
    GRANT USAGE ON SCHEMA home TO PUBLIC; GRANT INSERT ON home.canary TO PUBLIC;
    CREATE FUNCTION home.sing(what text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
      EXECUTE 'INSERT INTO home.canary SELECT current_user, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), ' || quote_literal(what); RETURN true; END $$;
    CREATE FUNCTION home.fall() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM home.sing(TG_NAME); RETURN NULL; END $$;
    CREATE DOMAIN home.checked AS int CHECK (home.sing('domain'));
    CREATE TABLE home.trap (id home.checked PRIMARY KEY, n int DEFAULT (home.sing('default')::int), s text COLLATE "C");
    CREATE INDEX ON home.trap (s);
    ALTER TABLE home.trap ENABLE ROW LEVEL SECURITY; ALTER TABLE home.trap FORCE ROW LEVEL SECURITY;
    CREATE POLICY p ON home.trap USING (home.sing('policy'));
    CREATE VIEW home.v AS SELECT id, home.sing('view') FROM home.trap;
    CREATE RULE r AS ON INSERT TO home.v DO INSTEAD SELECT home.sing('rule');
    CREATE TRIGGER w AFTER INSERT OR UPDATE ON home.trap FOR EACH ROW WHEN (home.sing('when')) EXECUTE FUNCTION public.notify_cache_invalidation('key=trap:{id}')),
    'a trap is set');
my @relations = split /\n/, sql(q(SELECT c.oid::regclass FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
    JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'cache_invalidate' WHERE relkind IN ('r', 'v') ORDER BY 1));
cmp_ok(scalar @relations, '>=', 8, 'relations of the extension are tried');
for my $relation (@relations) {
    refused('tenant', "CREATE TRIGGER t BEFORE INSERT ON public.$relation FOR EACH ROW EXECUTE FUNCTION home.fall()", "no trigger on $relation") if $relation =~ /journal_\d|log$|pauses/;
    refused('tenant', "CREATE RULE r AS ON UPDATE TO public.$relation DO ALSO SELECT home.sing('rule')", "no rule on $relation");
    refused('tenant', "CREATE POLICY p ON public.$relation USING (home.sing('policy'))", "no policy on $relation") if $relation =~ /journal_\d|log$|pauses/;
    refused('tenant', "CREATE INDEX ON public.$relation (home.sing('index'))", "no index on $relation") if $relation =~ /journal_\d|log$|pauses/;
    refused($_, "BEGIN; LOCK TABLE public.$relation IN ACCESS EXCLUSIVE MODE", "$_ does not lock $relation") for qw(tenant watcher);
}
# Somebody was given a privilege on the log that nobody needs.
sql('GRANT SELECT, DELETE, TRIGGER ON trigger_error_log TO tenant');
allowed('tenant', join('', map { "CREATE TRIGGER log_$_ BEFORE $_ ON public.trigger_error_log FOR EACH ROW EXECUTE FUNCTION home.fall();" } qw(INSERT UPDATE DELETE)), 'triggers on the log');
refused('tenant', 'ALTER TABLE public.trigger_error_log ENABLE ALWAYS TRIGGER log_DELETE', 'not ENABLE ALWAYS');
allowed('tenant', q(CREATE TABLE home.broken (id int, a int);
    CREATE TRIGGER broken AFTER INSERT ON home.broken FOR EACH ROW EXECUTE FUNCTION public.notify_cache_invalidation('key=b:{a}')), 'a table');
sql('SET session_replication_role = replica; ALTER TABLE home.broken RENAME COLUMN a TO b; RESET session_replication_role; INSERT INTO home.broken VALUES (1, 1)');
ok(wait_until('logged', sub { sql('SELECT count(*) FROM trigger_error_log') == 1 }), 'the worker writes to the log');
# The traps stand in the way of a careless superuser, and of the views and functions.
allowed('tenant', join('', map {
    my ($left, $right) = @$_;
    "CREATE FUNCTION home.same($left, $right) RETURNS boolean LANGUAGE sql AS 'SELECT home.sing(''operator'')';"
      . join '', map { "CREATE OPERATOR home.$_ (LEFTARG = $left, RIGHTARG = $right, FUNCTION = home.same);" } qw(= <> < >)
} [qw(oid oid)], [qw(name name)], [qw(text text)], [qw(name text)], [qw(timestamptz timestamptz)], [qw(bigint integer)], [qw(integer integer)]), 'operators');
allowed('tenant', q(CREATE FUNCTION home.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT home.sing(''now''); SELECT pg_catalog.now()';
    CREATE FUNCTION home.format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS 'SELECT home.sing(''format''); SELECT ''x''';
    CREATE FUNCTION home.quote_ident(text) RETURNS text LANGUAGE sql AS 'SELECT home.sing(''quote_ident''); SELECT ''x''';
    CREATE FUNCTION home.get_cache_invalidation_health() RETURNS text LANGUAGE sql AS 'SELECT home.sing(''health'')::text'), 'look-alikes');
sql(q(TRUNCATE home.canary));
my $functions = q(
    SELECT public.enable_cache_invalidation('home.trap', keys => 'trap:{id}', columns => '{n}');
    SELECT public.enable_cache_invalidation_for_schema('home', keys => 'x:{id}');
    SELECT * FROM public.explain_cache_invalidation('home.trap', 'TRUNCATE');
    SELECT public.invalidate_cache_resource('trap'), public.invalidate_cache_key('a'), public.invalidate_cache_pattern('b*'), public.reset_cache();
    SELECT public.test_cache_invalidation('home.trap');
    SELECT public.pause_cache_invalidation('own'), public.resume_cache_invalidation('own'), public.pause_cache_invalidation(), public.resume_cache_invalidation();
    SELECT public.disable_cache_invalidation('home.trap'); SELECT public.disable_cache_invalidation_for_schema('home');
    SELECT public.cleanup_trigger_error_log(0););
my $views = join '', map { "SELECT * FROM public.$_;" } @relations, 'get_cache_trigger_health()', 'get_cache_invalidation_health()';
for my $path ('home, pg_catalog, public', 'home, public') {
    sql("ALTER DATABASE postgres SET search_path = $path; ALTER ROLE watcher SET search_path = $path");
    my $status = $node->psql('postgres', "$views $functions", on_error_stop => 1, stdout => \my $ignored, stderr => \my $error);
    is($status, 0, "a superuser uses all of it with search_path = $path") or diag($error);
    is(attempt('watcher', join '', map { "SELECT * FROM public.$_;" } grep { !/journal_\d|pauses/ } @relations, 'get_cache_trigger_health()', 'get_cache_invalidation_health()'),
        undef, "and pg_monitor what it may");
    is(sql("SELECT pg_catalog.string_agg(DISTINCT what, ' ') FROM home.canary"), '', 'nothing of the tenant ran');
    settled();
}
sql('ALTER DATABASE postgres RESET search_path; ALTER ROLE watcher RESET search_path');
# Of an imagined row the domain and the condition are asked: as the table's owner.
allowed('tenant', q(DROP TRIGGER IF EXISTS w ON home.trap;
    CREATE TRIGGER w AFTER INSERT ON home.trap FOR EACH ROW WHEN (home.sing('when')) EXECUTE FUNCTION public.notify_cache_invalidation('key=trap:{id}')), 'the trap is set again');
sql(q(SELECT * FROM explain_cache_invalidation('home.trap', 'INSERT', new => '{"id": 1}')));
is(sql("SELECT string_agg(DISTINCT who || ' ' || what, ', ' ORDER BY who || ' ' || what) FROM home.canary"), 'tenant domain, tenant when', 'explaining runs them as the owner');
sql('REVOKE ALL ON trigger_error_log FROM tenant; TRUNCATE home.canary');

# --- Values of columns

allowed('tenant', q(CREATE TABLE home.doc (id text PRIMARY KEY, n int NOT NULL DEFAULT 0);
    CREATE TRIGGER doc AFTER UPDATE ON home.doc FOR EACH ROW EXECUTE FUNCTION
      public.notify_cache_invalidation('key={id}', 'key=doc:{id}:x', 'pattern=list:{id}:*', 'fields=id', 'resource=doc', 'channel=docs')), 'keys of values');
sql(q(ALTER SERVER own OPTIONS (ADD lease_prefix 'lease:', ADD publish_channel 'changes:{$id}')));
my @values = ('*', '?', '[a-z]', '[', ']', '[^x]*', '\\', '\\*', "a\nb", "a\r\nDEL bystander\r\n", "x\r\n*1\r\n\$8\r\nFLUSHALL\r\n", '}', '{', '{id}', '{{}}', '{$id}', '%s%n', ' ',
    q(","admin":true,"x":"), q(\\","x":1,"y":"), '\\u0000', '\\0', "\x01\x7f", "\xc3\xa9\xf0\x9f\x98\x80", "\xc2\x80\xef\xbf\xbd", 'x' x 70000, "'); DROP TABLE doc; --");
sub literal { return "convert_from(decode('" . unpack('H*', $_[0]) . "', 'hex'), 'UTF8')" }
sql('INSERT INTO home.doc SELECT unnest(ARRAY[' . join(', ', map { literal($_) } @values) . '])');
my @bystanders = ('bystander', 'a', 'b', 'doc', 'doc::x', 'doc:a:x', 'doc:z:x', 'list:a:1', 'list::1', 'lease:a', 'lease:doc:a:x', 'session:7', '{', 'doc:{id', 'x');
my $listener   = CacheInvalidate::Listener->new($node, 'postgres', 'docs');
my $subscriber = CacheInvalidate::Resp->connect(path => $own->{path});
$subscriber->command('PSUBSCRIBE', 'changes:*');
for my $value (@values) {
    my $name = length $value > 99 ? 'a long value' : unpack('H*', $value) . ' ' . ($value =~ s/[^ -~]/./gr);
    my @stale = ($value, "doc:$value:x", "list:$value:1", "list:$value:2", "lease:$value", "lease:doc:$value:x");
    my %is_stale = map { $_ => 1 } @stale;
    my @kept = grep { !$is_stale{$_} } @bystanders, map({ ($_, "doc:$_:x", "list:$_:1") } grep { length $_ < 99 } @values);
    $own->command('FLUSHALL');
    $own->fill(@stale, @kept);
    sql('UPDATE home.doc SET n = n + 1 WHERE id = ' . literal($value));
    ok($own->wait_gone(@stale), "$name: its keys are deleted");
    settled();
    is(join("\0", grep { !$own->has($_) } @kept), '', "$name: and no other");
    ok($subscriber->reply->[2] eq "changes:$value", "$name: it is published on one channel");
    my ($message) = map { $_->{message} } reverse $listener->take_until($name, sub { 1 });
    if (length $value > 99) {
        ok(!exists $message->{id} && !defined $message->{record_id}, "$name: has no place in a message");
        next;
    }
    is(join(' ', sort keys %$message), 'batch_id id operation record_id table timestamp', "$name: the message has the members of its shape");
    ok($message->{id} eq $value && $message->{record_id} eq $value, "$name: one of which is the value");
}
$listener->quit;
sql('ALTER SERVER own OPTIONS (DROP publish_channel, DROP lease_prefix)');

# --- Stopping and starving the worker

for my $role (qw(plain tenant watcher)) {
    for my $pid ($worker, sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'cache_invalidate launcher'")) {
        refused($role, "SELECT pg_$_($pid)", "$role: pg_$_()") for qw(terminate_backend cancel_backend);
    }
}
for my $statement ('TRUNCATE cache_invalidation_journal_0', 'DELETE FROM cache_invalidation_journal_1', "INSERT INTO cache_invalidation_journal_0 VALUES ('x')",
    "INSERT INTO cache_invalidation_pauses VALUES (0, '', now(), 'x')", 'DROP SERVER theirs CASCADE', "ALTER SYSTEM SET cache_invalidate.max_journal_size = '1MB'",
    'DROP EVENT TRIGGER cache_invalidate_check_trigger', 'ALTER EXTENSION cache_invalidate UPDATE', 'REINDEX TABLE trigger_error_log') {
    refused('tenant', $statement, $statement);
}
sql('CREATE TABLE other (id int PRIMARY KEY, n int DEFAULT 0); INSERT INTO other VALUES (1), (2);'
  . q(CREATE TRIGGER other AFTER UPDATE ON other FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=other:{id}', 'server=own')));
allowed('tenant', 'CREATE TABLE home.flood (id int); ' . join('', map { "CREATE TRIGGER flood_$_ AFTER INSERT ON home.flood FOR EACH ROW EXECUTE FUNCTION
    public.notify_cache_invalidation('key=flood:$_:{id}', 'channel=flood');" } 1 .. 2), 'a table for a flood');
my $flood = $node->background_psql('postgres', extra_params => [ '-U', 'tenant' ]);
$flood->query_safe('SET statement_timeout = 0');
$own->fill('other:1', 'other:2');
$flood->query_safe('INSERT INTO home.flood SELECT generate_series(1, ' . FLOOD . ')');
sql('UPDATE other SET n = 1 WHERE id = 1');
ok($own->wait_gone('other:1'), 'a flood of keys delays, and no more');
my $pieces = FLOOD / 200;
$flood->query_until(qr/begun/, "\\echo begun\nDO \$\$ BEGIN FOR i IN 1 .. 200 LOOP INSERT INTO home.flood SELECT generate_series(1, $pieces); COMMIT; END LOOP; END \$\$;\n");
sql('UPDATE other SET n = 1 WHERE id = 2');
ok($own->wait_gone('other:2'), 'nor does one of transactions');
$flood->quit;
$own->fill('many:1', 'other:1');
allowed('tenant', q(DO $$ BEGIN FOR i IN 1 .. ) . TABLES . q( LOOP EXECUTE format('CREATE TABLE home.many_%s (id int)', i); FOR j IN 1 .. ) . TRIGGERS . q( LOOP
    EXECUTE format('CREATE TRIGGER t%2$s AFTER INSERT ON home.many_%1$s FOR EACH ROW EXECUTE FUNCTION
      public.notify_cache_invalidation(%3$L, %4$L, %5$L)', i, j, 'key=many:{id}:' || i || ':' || j, 'channel=c' || i || '_' || j, 'resource=' || repeat('r', 200) || i || j);
    END LOOP; EXECUTE format('INSERT INTO home.many_%s VALUES (1)', i); END LOOP; END $$), 'thousands of templates and channels');
sql('UPDATE other SET n = 2 WHERE id = 1');
ok($own->wait_gone('other:1'), 'do no more either');
$node->psql('postgres', 'SELECT pg_notify(\'docs\', repeat(\'x\', 7999)) FROM generate_series(1, 2000)', extra_params => [ '-U', 'plain' ], stdout => \my $ignored);
ok(settled(), 'nor do large notifications of others');

is(worker_pid($node, 'postgres'), $worker, 'the worker is the same all along');
is(sql('SELECT count(*) FROM home.canary WHERE super'), '0', 'no code of the tenant ran with more than his rights');
my $log = slurp_file($node->logfile);
unlike($log, qr/S3cr3t/, 'no password is in the log');
unlike($log, qr/PANIC|TRAP|was terminated by signal/, 'no process died');
$node->stop;
done_testing();
