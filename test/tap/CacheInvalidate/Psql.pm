# A psql on a pipe, for forked processes that ask much: each statement gives one value.
package CacheInvalidate::Psql;

use strict;
use warnings;

use Carp;
use IO::Handle;
use IPC::Open2;

# new(NODE, DATABASE): ends with the process that made it, also by _exit.
sub new {
    my ($class, $node, $database) = @_;
    my $self = bless {}, $class;
    $self->{pid} = open2($self->{out}, $self->{in}, 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', '-');
    $self->{in}->autoflush(1);
    return $self;
}

# The value, a line, of a statement that gives exactly one.
sub value {
    my ($self, $statement) = @_;
    local $SIG{PIPE} = 'IGNORE';
    print { $self->{in} } "$statement;\n\\echo .\n" or croak "psql: $!";
    my @lines;
    while (!@lines or $lines[-1] ne '.') {
        push @lines, scalar readline $self->{out};
        croak "psql ended: $statement" unless defined $lines[-1];
        chomp $lines[-1];
    }
    croak "not one value: $statement" if @lines != 2;
    return $lines[0];
}

1;
