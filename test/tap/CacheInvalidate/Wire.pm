# A wire to a Redis that can be cut: a process that passes bytes on, both ways, and ends with the test.
package CacheInvalidate::Wire;

use strict;
use warnings;

use Carp;
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();

my @wires;

# new(REDIS)
sub new {
    my ($class, $redis) = @_;
    my $self = bless { to => $redis->{path}, path => "$redis->{dir}/wire" }, $class;
    push @wires, $self;
    $self->mend;
    return $self;
}

# As a server's option says it.
sub url { return "unix://$_[0]{path}" }

# Nobody answers any more, and nobody says so.
sub stall   { kill 'STOP', $_[0]{pid} }
sub unstall { kill 'CONT', $_[0]{pid} }

# All connections break, and new ones are refused.
sub cut {
    my ($self) = @_;
    my $pid = delete $self->{pid} // return;
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return;
}

# With a limit each connection breaks when the Redis has answered so many bytes, which may be in the middle of an answer.
sub mend {
    my ($self, $limit) = @_;
    return if $self->{pid};
    unlink $self->{path};
    my $listener = IO::Socket::UNIX->new(Local => $self->{path}, Listen => 16) or croak "$self->{path}: $!";
    $self->{pid} = fork // croak "fork: $!";
    return if $self->{pid};
    $SIG{PIPE} = 'IGNORE';
    _pass($listener, $self->{to}, $limit);
    POSIX::_exit(0);
}

sub _pass {
    my ($listener, $to, $limit) = @_;
    my $readable = IO::Select->new($listener);
    my (%other, %left);
    my $hang_up = sub {
        for my $socket (grep { defined } $_[0], delete $other{ $_[0] }) {
            delete $other{$socket};
            $readable->remove($socket);
            close $socket;
        }
    };
    while (my @ready = $readable->can_read) {
        for my $socket (@ready) {
            if ($socket == $listener) {
                my $client = $listener->accept or next;
                my $server = IO::Socket::UNIX->new(Peer => $to) or next;
                @other{ $client, $server } = ($server, $client);
                delete $left{$client};
                $left{$server} = $limit;
                $readable->add($client, $server);
                next;
            }
            my $peer = $other{$socket} // next;
            my $read = sysread $socket, my $bytes, $left{$socket} // 65536;
            my $is_sent = $read && _send($peer, $bytes);
            $left{$socket} -= $read if $read && defined $left{$socket};
            $hang_up->($socket) unless $is_sent && ($left{$socket} // 1) > 0;
        }
    }
}

sub _send {
    my ($socket, $bytes) = @_;
    while (length $bytes) {
        my $sent = syswrite $socket, $bytes or return 0;
        substr $bytes, 0, $sent, '';
    }
    return 1;
}

END {
    my $status = $?;
    $_->cut for @wires;
    $? = $status;
}

1;
