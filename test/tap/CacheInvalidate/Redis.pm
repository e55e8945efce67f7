# A private Redis (or Valkey) server in a temporary folder, which ends with the test.
package CacheInvalidate::Redis;

use strict;
use warnings;

use Carp;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

use CacheInvalidate::Resp;
use CacheInvalidate::Wait;

my @servers;

# new(NAME, tcp => 1, config => [LINES]): listens on a unix socket, or with tcp on a port of the loopback.
# It is started.
sub new {
    my ($class, $name, %options) = @_;
    my $dir = PostgreSQL::Test::Utils::tempdir_short();
    my $self = bless {
        name   => $name,
        dir    => $dir,
        log    => "${PostgreSQL::Test::Utils::log_path}/${name}_redis.log",
        config => $options{config} // [],
        port   => $options{tcp} ? PostgreSQL::Test::Cluster::get_free_port() : 0,
        path   => "$dir/s",
        pid    => undef
    }, $class;
    push @servers, $self;
    $self->start;
    return $self;
}

# As a server's option says it; `database`: a number.
sub url {
    my ($self, $database) = @_;
    $database //= 0;
    return $self->{port} ? "redis://127.0.0.1:$self->{port}/$database" : "unix://$self->{path}?db=$database";
}

# Starts it and waits until it answers; what it had saved is loaded.
sub start {
    my ($self) = @_;
    croak "$self->{name} runs" if $self->{pid};
    my $file = "$self->{dir}/redis.conf";
    open my $config, '>', $file or croak "$file: $!";
    print $config "$_\n"
      for "port $self->{port}", 'bind 127.0.0.1', "unixsocket $self->{path}", "dir $self->{dir}",
      "logfile $self->{log}", 'daemonize no', 'save ""', @{ $self->{config} };
    close $config;
    my $pid = fork // croak "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>>', "$self->{log}.out";
        open STDERR, '>&', \*STDOUT;
        for my $program (qw(redis-server valkey-server)) {
            no warnings 'exec';
            exec $program, $file;
        }
        POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    my $answers = wait_until("Redis $self->{name} answers",
        sub { (waitpid($pid, POSIX::WNOHANG) == $pid and croak "Redis $self->{name} ended: see $self->{log}") or $self->_ready });
    croak "Redis $self->{name} does not start: see $self->{log}" unless $answers;
}

sub _ready {
    my ($self) = @_;
    my $connection = CacheInvalidate::Resp->connect(path => $self->{path}) or return 0;
    my ($reply) = $connection->pipeline(['PING']);
    return $reply eq 'PONG' || (ref $reply and $reply->{text} =~ /^NOAUTH/);
}

sub _reap {
    my ($self) = @_;
    waitpid $self->{pid}, 0;
    $self->{pid} = $self->{connection} = undef;
}

# What it holds is gone afterwards, unless the configuration keeps it.
sub stop {
    my ($self) = @_;
    kill 'TERM', $self->{pid};
    $self->_reap;
}

sub kill9 {
    my ($self) = @_;
    kill 'KILL', $self->{pid};
    $self->_reap;
}

# A server that hangs: it accepts connections and answers nothing.
sub pause  { kill 'STOP', $_[0]{pid} }
sub resume { kill 'CONT', $_[0]{pid} }

# The words that log the test's own connection in: ('AUTH', ...).
sub log_in_by {
    my ($self, @words) = @_;
    $self->{log_in} = \@words;
}

sub connection {
    my ($self) = @_;
    return $self->{connection} if $self->{connection};
    my $connection = CacheInvalidate::Resp->connect(path => $self->{path}) or croak "$self->{name}: $!";
    $connection->command(@{ $self->{log_in} }) if $self->{log_in};
    return $self->{connection} = $connection;
}

sub command {
    my ($self, @words) = @_;
    return $self->connection->command(@words);
}

# Sets all these keys, whatever they were.
sub fill {
    my ($self, @keys) = @_;
    while (@keys) {
        my @commands;
        while (@keys and @commands < 50) {
            push @commands, [ 'MSET', map { ($_, 'cached') } splice @keys, 0, 500 ];
        }
        ref $_ and croak "Redis answers: $_->{text}" for $self->connection->pipeline(@commands);
    }
}

sub has {
    my ($self, $key) = @_;
    return $self->command('EXISTS', $key);
}

# Waits until none of these keys is there.
sub wait_gone {
    my ($self, @keys) = @_;
    return wait_until("Redis $self->{name} has none of @keys[0 .. ($#keys < 3 ? $#keys : 3)]",
        sub { !$self->command('EXISTS', @keys) });
}

# All keys of database 0, in order.
sub keys {
    my ($self) = @_;
    my ($cursor, %found) = 0;
    do {
        my $reply = $self->command('SCAN', $cursor, 'COUNT', 5000);
        $cursor = $reply->[0];
        @found{ @{ $reply->[1] } } = ();
    } while $cursor ne '0';
    my @names = CORE::keys %found;
    return sort @names;
}

END {
    my $status = $?;
    for my $server (grep { $_->{pid} } @servers) {
        kill 'KILL', $server->{pid};
        waitpid $server->{pid}, 0;
    }
    $? = $status;
}

1;
