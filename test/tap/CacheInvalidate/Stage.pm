# What the consistency checker acts on: a primary with a synchronous standby, two Redis servers behind wires, and the clients that
# read and write. Which server is the primary changes; whoever asks here gets the present one.
package CacheInvalidate::Stage;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use File::Path qw(remove_tree);
use IPC::Run;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Installation;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;
use CacheInvalidate::Wire;

use constant {
    # Milliseconds, of the second cache's server. How late its readers may be.
    SECOND_DELETE => 500,
    PATIENCE      => 120,       # seconds
    # Rights can be taken away from whom the worker logs in as, and settings given to whom it runs as.
    REDIS_USER  => 'invalidator',
    PASSWORD    => 'right',
    WORKER_ROLE => 'cache_worker',
};

our @EXPORT_OK = qw(REDIS_USER SECOND_DELETE WORKER_ROLE);

my %settings = (
    # which error, and whose
    log_line_prefix      => '%m [%p] %e %b: ',
    checkpoint_timeout   => '30s',
    max_wal_size         => '2GB',
    # for a standby that starts late
    wal_keep_size        => '1GB',
    max_connections      => 100,
    max_wal_senders      => 10,
    max_prepared_transactions => 100,
    synchronous_commit   => 'on',
    # A standby that lost its primary is back before anybody misses it.
    wal_retrieve_retry_interval => '200ms',
    # longer than the age of what a Redis is restarted from; whatever is in the journal is read again and again
    'cache_invalidate.replay_window' => '20s',
    'cache_invalidate.worker_role'   => WORKER_ROLE,
);

my @stages;

# Recovery may take long on a machine that has much else to do.
$ENV{PGCTLTIMEOUT} //= 180;

# new(DIR): the servers run, with the extension and its servers "cache" and "cache2", but without tables. DIR is for the logs of the
# clients.
sub new {
    my ($class, $dir) = @_;
    my $self = bless { dir => $dir, servers => [] }, $class;
    push @stages, $self;
    my @user = ('user ' . REDIS_USER . ' on >' . PASSWORD . ' ~* &* +@all', 'dbfilename dump.rdb', 'lua-time-limit 100');
    $self->{redis} = [ map { CacheInvalidate::Redis->new($_, config => \@user) } qw(cache cache2) ];
    $self->{wires} = [ map { CacheInvalidate::Wire->new($_) } @{ $self->{redis} } ];
    my @install;
    if (my $name = $ENV{CACHE_INVALIDATE_VARIANT}) {
        @install = (install_path => make_installation(library => variant($name) // croak "scripts/variant has not built $name"));
    }
    $self->{install} = \@install;
    my $node = $self->{primary} = new_node($self->_name, @install, allows_streaming => 1, %settings);
    push @{ $self->{servers} }, $node;
    $node->start;
    my @options = ("publish_channel 'consistency'", "second_delete_after '" . SECOND_DELETE . "ms'");
    $node->safe_psql('postgres', join ';', 'CREATE ROLE ' . WORKER_ROLE . ' LOGIN', 'CREATE EXTENSION cache_invalidate',
        map { $_->[0], sprintf "CREATE USER MAPPING FOR CURRENT_USER SERVER $_->[1] OPTIONS (username '%s', password '%s')", REDIS_USER, PASSWORD }
        map { [ "CREATE SERVER $_->[0] FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '" . $self->{wires}[ $_->[1] ]->url
            . "', command_timeout '2s', lease_prefix 'lease:', $options[$_->[1]])", $_->[0] ] } [ 'cache', 0 ], [ 'cache2', 1 ]);
    return $self;
}

sub _name { return 'server' . (1 + @{ $_[0]{servers} }) }

sub primary { return $_[0]{primary} }
sub redis   { return $_[0]{redis}[ $_[1] ] }
sub wire    { return $_[0]{wires}[ $_[1] ] }

# What the primary answers; undef if it does not. A psql that finds nobody may have gone before it was told what to ask.
sub ask {
    my ($self, $sql) = @_;
    my ($status, $said, $complaint) = eval { $self->{primary}->psql('postgres', $sql, timeout => 20, timed_out => \my $late) };
    return defined $status && $status == 0 ? $said : undef;
}

# The same, until it does: for statements that may be repeated.
sub insist {
    my ($self, $sql) = @_;
    my $said;
    wait_until($sql, sub { defined($said = $self->ask($sql)) }, PATIENCE) or croak "the primary does not take: $sql";
    return $said;
}

# --- The standby

# Makes one of the primary as it is, and waits until commits wait for it.
sub add_standby {
    my ($self) = @_;
    my $primary = $self->{primary};
    my $name    = $self->_name;
    $primary->backup($name);
    my $standby = $self->{standby} = PostgreSQL::Test::Cluster->new($name, @{ $self->{install} });
    $standby->init_from_backup($primary, $name, has_streaming => 1);
    remove_tree($primary->backup_dir . "/$name");
    # or it would wait for a standby of its own
    configure($standby, synchronous_standby_names => '');
    $standby->start;
    push @{ $self->{servers} }, $standby;
    configure($primary, synchronous_standby_names => '*');
    $primary->reload;
    wait_until('a synchronous standby', sub { ($self->ask('SELECT count(*) FROM pg_stat_replication WHERE sync_state = \'sync\'') // 0) > 0 }, PATIENCE)
      or croak 'no standby';
    _write("$self->{dir}/replica", $standby->connstr('postgres'));
    return;
}

# The primary is lost, and the standby takes over. It has all that anybody can have seen: after a crash of the primary it may for a moment
# lack what became visible there with nobody waiting any more, so that moment is waited for.
sub promote {
    my ($self) = @_;
    my ($primary, $standby) = @$self{qw(primary standby)};
    my $flushed = $self->insist('SELECT pg_current_wal_flush_lsn()');
    wait_until('the standby is in step',
        sub { ($self->ask("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND flush_lsn >= '$flushed'") // 0) > 0 }, PATIENCE)
      or croak 'the standby is not in step';
    $primary->stop('immediate');
    $standby->promote;
    @$self{qw(primary standby)} = ($standby, undef);
    unlink "$self->{dir}/replica";
    $self->insist('SELECT 1');
    $self->tell_clients;
    remove_tree($primary->data_dir);
    return;
}

# --- Clients and judge

sub _program {
    my ($name) = @_;
    my $program = "$ENV{TESTDIR}/../programs/$name";
    croak "make consistency has not built $program" unless -x $program;
    return $program;
}

sub _places {
    my ($self) = @_;
    return ('--log', $self->{dir}, '--database', $self->{primary}->connstr('postgres'),
        '--redis', $self->{redis}[0]{path}, '--second-redis', $self->{redis}[1]{path});
}

# Runs a program to its end; returns its status and all that it said.
sub run_program {
    my ($self, $name, @arguments) = @_;
    my $said = '';
    my $run = IPC::Run::start([ _program($name), $self->_places, @arguments ], '<', \undef, '>', \$said, '2>', "$self->{dir}/$name.err");
    $run->finish;
    return ($run->result(0), $said);
}

sub start_clients {
    my ($self, @arguments) = @_;
    # of those before
    unlink "$self->{dir}/progress";
    my @command = (_program('clients'), $self->_places, '--replica', "$self->{dir}/replica", @arguments);
    $self->{clients} = fork // croak "fork: $!";
    return if $self->{clients};
    open STDIN,  '<', '/dev/null';
    open STDOUT, '>', "$self->{dir}/clients.out";
    open STDERR, '>&', \*STDOUT;
    exec @command or POSIX::_exit(127);
}

# Whole, for who may just be reading it.
sub _write {
    my ($name, $line) = @_;
    open my $file, '>', "$name.new" or croak "$name.new: $!";
    print $file "$line\n";
    close $file;
    rename "$name.new", $name or croak "$name: $!";
    return;
}

# Where the primary is now.
sub tell_clients {
    my ($self) = @_;
    _write("$self->{dir}/database", $self->{primary}->connstr('postgres'));
    kill 'HUP', $self->{clients} if $self->{clients};
    return;
}

sub clients_run { return $_[0]{clients} && is_running($_[0]{clients}) }

# What they have done so far: {commits, reads, fills}.
sub progress {
    my ($self) = @_;
    my $file = "$self->{dir}/progress";
    return { commits => 0, reads => 0, fills => 0, -f $file ? split(' ', slurp_file($file)) : () };
}

# Ends them in order; returns their status as of a shell.
sub stop_clients {
    my ($self) = @_;
    my $pid = delete $self->{clients};
    kill 'TERM', $pid;
    my $status;
    wait_until('the clients end', sub { waitpid($pid, POSIX::WNOHANG) == $pid and defined($status = $?) }, PATIENCE);
    return defined $status ? ($status & 127 ? 128 + ($status & 127) : $status >> 8) : 'none';
}

# --- Rest

# Whether both caches are told of changes, though maybe late.
sub are_up {
    my ($self) = @_;
    return ($self->ask("SELECT count(*) FROM cache_invalidation_targets WHERE state = 'up'") // 0) == 2;
}

# Whether nothing is owed to any cache or listener.
sub is_drained {
    my ($self) = @_;
    my $idle = "state = 'up' AND keys_pending = 0 AND patterns_pending = 0 AND batches_owed = 0 AND NOT reads_journal";
    return ($self->ask("SELECT (SELECT count(*) = 2 AND bool_and($idle) FROM cache_invalidation_targets)"
              . ' AND (SELECT lag_batches = 0 FROM get_cache_invalidation_health())') // '') eq 't';
}

# How long the oldest change has been owed to anybody, in seconds; undef: there is no worker that would know.
sub lag {
    my $lag = $_[0]->ask('SELECT lag_seconds FROM get_cache_invalidation_health()');
    return defined $lag && length $lag ? $lag : undef;
}

# The url of the server object of a cache.
sub set_url {
    my ($self, $number, $url) = @_;
    my $server = $self->{redis}[$number]{name};
    $self->insist("ALTER SERVER $server OPTIONS (SET url '$url')");
    return;
}

END {
    my $status = $?;
    for my $stage (@stages) {
        next unless $stage->{clients};
        kill 'KILL', $stage->{clients};
        waitpid $stage->{clients}, 0;
    }
    $? = $status;
}

1;
