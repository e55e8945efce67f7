# What is in monitoring/, with the real programs: exporters that run as a role with nothing but pg_monitor, Prometheus with
# the alerts, and every query of the dashboard. The programs are Debian's; where they are missing nothing is tested.
use strict;
use warnings;

use FindBin;
use HTTP::Tiny;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $folder   = "$FindBin::Bin/../../monitoring";
my @programs = qw(prometheus promtool prometheus-postgres-exporter prometheus-sql-exporter);
my @missing  = grep { my $program = $_; !grep { -x "$_/$program" } split /:/, $ENV{PATH} } @programs;
plan skip_all => 'missing: ' . join ', ', @missing if @missing == @programs;
my %is_missing = map { ($_ => 1) } @missing;

my $dir  = PostgreSQL::Test::Utils::tempdir();
my $http = HTTP::Tiny->new(timeout => 10);
my $node = new_node('main', 'cache_invalidate.max_journal_size' => '64MB');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
$node->safe_psql('postgres', 'CREATE SCHEMA tools; CREATE EXTENSION cache_invalidate SCHEMA tools; ALTER DATABASE postgres SET search_path = public, tools');
create_items($node, 'postgres', $redis);
$node->safe_psql('postgres', q(CREATE SERVER gone FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'redis://127.0.0.1:1/0')));
# As monitoring/README.md says.
$node->safe_psql('postgres', 'CREATE ROLE cache_monitor LOGIN IN ROLE pg_monitor CONNECTION LIMIT 5; ALTER ROLE cache_monitor SET search_path = public, tools; GRANT USAGE ON SCHEMA tools TO cache_monitor');
wait_for_worker($node, 'postgres');
# Messages that nobody hears are not sent.
my $hearer = $node->background_psql('postgres');
$hearer->query_safe('LISTEN cache_invalidation');
$node->safe_psql('postgres', "UPDATE item SET version = 1");
ok($redis->wait_gone(map { "item:$_" } 1 .. 10), 'there is something to measure');
wait_until('it is counted', sub { target($node, 'postgres', 'keys_deleted') == 10 && stat_of($node, 'postgres', 'notifications') >= 10 });
wait_until('the other server is known to be down', sub { target($node, 'postgres', 'state', 'gone') eq 'down' });

# --- The programs: they end with the test

my %pids;
END {
    my $status = $?;
    for my $pid (values %pids) { kill 'KILL', $pid; waitpid $pid, 0 }
    $? = $status;
}
sub run_program {
    my ($name, @arguments) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>>', "${PostgreSQL::Test::Utils::log_path}/$name.log";
        open STDERR, '>&', \*STDOUT;
        exec $name, @arguments or POSIX::_exit(127);
    }
    $pids{$name} = $pid;
    return;
}
sub get { my ($url) = @_; my $answer = $http->get($url); return $answer->{success} ? $answer->{content} : '' }
# {NAME{LABELS} => value}, labels that are only of the exporter left out.
sub scrape {
    my ($port) = @_;
    my %metrics;
    for (split /\n/, get("http://127.0.0.1:$port/metrics")) {
        next unless /^((?:sql_)?cache_invalidate\w*)\{(.*)\} (\S+)$/;
        my ($name, $labels, $value) = ($1, $2, $3);
        my %labels = $labels =~ /(\w+)="((?:[^"\\]|\\.)*)"/g;
        $name = ($name =~ s/^sql_//r) . "_$labels{col}" if defined $labels{col};
        $metrics{"$name " . join ',', map { "$_=$labels{$_}" } grep { exists $labels{$_} } qw(datname target state step quantile table trigger)} = $value;
    }
    return \%metrics;
}
sub config_file {
    my ($name, $change) = @_;
    my $text = slurp_file("$folder/$name");
    append_to_file("$dir/$name", $change->($text));
    return "$dir/$name";
}
sub names_of { my ($metrics) = @_; my %names = map { /^(\S+) / ? ($1 => 1) : () } keys %$metrics; return join ' ', sort keys %names }

# --- What the exporters give

my $database = 'datname=postgres';
my $trigger  = 'table=public.item,trigger=cache_invalidation_item';
# Not between two attempts to reach the other server.
my $is_down = "cache_invalidate_target_state_info $database,target=gone,state=down";
my @declared;
my $namespace;
for (split /\n/, slurp_file("$folder/postgres_exporter.yml")) {
    $namespace = $1 if /^(\w+):/;
    push @declared, "${namespace}_$1" if /^ +- (\w+): \{usage: (?:GAUGE|COUNTER)/;
}
sub check_metrics {
    my ($what, $metrics) = @_;
    is(names_of($metrics), join(' ', sort @declared), "$what: all figures are there, and no others");
    my %expected = (
        "cache_invalidate_status $database"                                   => 1,
        "cache_invalidate_triggers $database"                                 => $node->safe_psql('postgres', 'SELECT triggers_total FROM tools.get_cache_invalidation_health()'),
        "cache_invalidate_trigger_problem $database,$trigger"                 => 0,
        "cache_invalidate_trigger_changes_total $database,$trigger"           => 10,
        "cache_invalidate_worker_up $database"                                => 1,
        "cache_invalidate_targets_up $database"                               => 1,
        "cache_invalidate_targets $database"                                  => 2,
        "cache_invalidate_journal_limit_bytes $database"                      => 64 << 20,
        "cache_invalidate_keys_total $database"                               => $node->safe_psql('postgres', 'SELECT keys FROM tools.cache_invalidation_stats'),
        "cache_invalidate_target_keys_deleted_total $database,target=cache"   => 10,
        "cache_invalidate_target_state_info $database,target=cache,state=up"  => 1,
        "cache_invalidate_target_state_info $database,target=gone,state=up"   => 0,
        "cache_invalidate_target_state_info $database,target=gone,state=down" => 1);
    for my $metric (sort keys %expected) {
        cmp_ok($metrics->{$metric} // -1, '==', $expected{$metric}, "$what: $metric");
    }
    cmp_ok($metrics->{"cache_invalidate_latency_seconds $database,step=delete,quantile=0.5"} // 0, '>', 0, "$what: latency");
    cmp_ok($metrics->{"cache_invalidate_problems $database"} // 0, '>=', 1, "$what: problems");
    return;
}

my $socket = $node->host;
my %ports;
SKIP: {
    skip 'prometheus-postgres-exporter is missing', 1 if $is_missing{'prometheus-postgres-exporter'};
    $ports{postgres} = PostgreSQL::Test::Cluster::get_free_port();
    local $ENV{DATA_SOURCE_NAME} = "user=cache_monitor host=$socket port=${\ $node->port } dbname=postgres sslmode=disable";
    run_program('prometheus-postgres-exporter', "--web.listen-address=127.0.0.1:$ports{postgres}", "--extend.query-path=$folder/postgres_exporter.yml",
        '--disable-default-metrics', '--disable-settings-metrics');
    my $metrics;
    wait_until('postgres_exporter answers', sub { $metrics = scrape($ports{postgres}); $metrics->{$is_down} });
    check_metrics('postgres_exporter', $metrics);
    unlike(slurp_file("${PostgreSQL::Test::Utils::log_path}/prometheus-postgres-exporter.log"), qr/level=error|permission denied/, 'postgres_exporter: complains of nothing');
}
SKIP: {
    skip 'prometheus-sql-exporter is missing', 1 if $is_missing{'prometheus-sql-exporter'};
    $ports{sql} = PostgreSQL::Test::Cluster::get_free_port();
    my $config = config_file('sql_exporter.yml', sub {
        $_[0] =~ s{postgres://\S+}{postgres://cache_monitor\@/postgres?host=$socket&port=${\ $node->port }&sslmode=disable}r =~ s/interval: 15s/interval: 1s/r });
    run_program('prometheus-sql-exporter', "-config.file=$config", "-web.listen-address=127.0.0.1:$ports{sql}");
    my $metrics = {};
    wait_until('sql_exporter answers', sub { $metrics = scrape($ports{sql}); $metrics->{$is_down} && $metrics->{"cache_invalidate_status $database"} });
    check_metrics('sql_exporter', $metrics);
}
is($node->safe_psql('postgres', q(SELECT rolsuper OR rolcreaterole OR rolreplication FROM pg_roles WHERE rolname = 'cache_monitor')), 'f', 'with a role that may do nothing else');

# --- Rules, and the queries of the dashboard in Prometheus

SKIP: {
    skip 'promtool is missing', 1 if $is_missing{promtool};
    $node->command_ok([ 'promtool', 'check', 'rules', "$folder/alerts.yml" ], 'the alerts are rules');
    $node->command_ok([ 'promtool', 'test', 'rules', "$folder/alerts_test.yml" ], 'the alerts fire when they should');
    $node->command_ok([ 'promtool', 'check', 'config', "$folder/prometheus.yml" ], 'the example is a configuration');
    my ($tested) = scalar(() = slurp_file("$folder/alerts.yml") =~ /^ +- alert: /mg);
    my %named = map { ($_ => 1) } slurp_file("$folder/alerts_test.yml") =~ /alertname: (\w+)\n/g;
    is(scalar keys %named, $tested, 'each alert has a test in which it fires');
}

my $dashboard = JSON::PP->new->decode(slurp_file("$folder/grafana.json"));
my @queries   = map { my $panel = $_; map { [ $panel->{title}, $_->{expr} ] } @{ $panel->{targets} } } @{ $dashboard->{panels} };
my %ids       = map { ($_->{id} => 1) } @{ $dashboard->{panels} };
is(scalar keys %ids, scalar @{ $dashboard->{panels} }, 'each panel has its number');
is(scalar(grep { $_->{gridPos}{x} + $_->{gridPos}{w} > 24 || !$_->{datasource}{uid} || !$_->{title} } @{ $dashboard->{panels} }), 0, 'its place, title and data source');
my %measured = map { ($_ => 1) } @declared;
my @unknown = grep { !$measured{$_} } map { $_ =~ /\b(cache_invalidate_\w+)/g } slurp_file("$folder/alerts.yml"), map { $_->[1] } @queries;
is(join(' ', @unknown), '', 'alerts and dashboard use what the exporters give');

SKIP: {
    skip 'prometheus is missing', 1 if $is_missing{prometheus};
    my $port = PostgreSQL::Test::Cluster::get_free_port();
    append_to_file("$dir/alerts.yml", slurp_file("$folder/alerts.yml"));
    for my $exporter (sort keys %ports) {
        my $job = $exporter eq 'postgres' ? 0 : 1;
        my $config = "$dir/prometheus_$exporter.yml";
        my $text   = slurp_file("$folder/prometheus.yml");
        # the other job has no exporter
        my @jobs = split /(?=  - job_name: )/, $text;
        append_to_file($config, "global: {scrape_interval: 1s, evaluation_interval: 1s}\n$jobs[0]" . $jobs[ $job + 1 ] =~ s/127\.0\.0\.1:\d+/127.0.0.1:$ports{$exporter}/r);
        run_program('prometheus', "--config.file=$config", "--storage.tsdb.path=$dir/$exporter", "--web.listen-address=127.0.0.1:$port", '--log.level=warn');
        my $query = sub {
            my ($expr) = @_;
            my $answer = get("http://127.0.0.1:$port/api/v1/query?" . $http->www_form_urlencode({ query => $expr }));
            return $answer ? @{ JSON::PP->new->decode($answer)->{data}{result} // [] } : ();
        };
        wait_until("Prometheus has scraped $exporter twice", sub { grep { $_->{value}[1] >= 2 } $query->('count_over_time(cache_invalidate_status[1m])') });
        for (@queries) {
            my ($title, $expr) = @$_;
            my $bound = $expr =~ s/\$__rate_interval/1m/gr =~ s/"\$(?:datname|target)"/".*"/gr;
            ok(wait_until("data for $bound", sub { scalar $query->($bound) }), "$exporter, $title: $expr");
        }
        my ($status) = $query->('max(cache_invalidate_status{datname="postgres"})');
        is($status->{value}[1], 1, "$exporter: Prometheus has the value");
        my $firing = sub { map { "$_->{labels}{alertname} $_->{state}" } @{ JSON::PP->new->decode(get("http://127.0.0.1:$port/api/v1/alerts"))->{data}{alerts} } };
        my @alerts;
        ok(wait_until('an alert waits', sub { @alerts = $firing->(); grep { /^CacheInvalidateTargetDown pending/ } @alerts }), "$exporter: the alert of the server that is down begins");
        is(scalar(grep { /NotMeasured/ } @alerts), 0, "$exporter: that of nothing measured does not");
        kill 'TERM', $pids{prometheus};
        waitpid delete $pids{prometheus}, 0;
    }
}

$node->stop;
done_testing();
