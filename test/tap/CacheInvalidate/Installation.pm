# A copy of the server's installation with other extension scripts: the programs find their folders relative to where
# they are.
package CacheInvalidate::Installation;

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(basename dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;

our @EXPORT = qw(extension_folder make_installation);

sub _place { my ($what) = @_; chomp(my $place = `pg_config --$what`); return $place }

# The folder of control files and scripts of the installation under test.
sub extension_folder { return _place('sharedir') . '/extension' }

# make_installation(NAME => TEXT...): with these files beside the extensions' own. Returns what Cluster->new wants as
# install_path.
sub make_installation {
    my (%files) = @_;
    my $root = PostgreSQL::Test::Utils::tempdir();
    my ($bin, $share, $libraries) = map { _place($_) } qw(bindir sharedir pkglibdir);
    make_path("$root$bin", "$root$share/extension", dirname("$root$libraries"));
    for my $program (qw(initdb pg_config pg_ctl postgres psql)) {
        copy("$bin/$program", "$root$bin/$program") && chmod(0755, "$root$bin/$program") or die "$bin/$program: $!";
    }
    symlink $libraries, "$root$libraries" or die "$root$libraries: $!";
    for my $source (grep { basename($_) ne 'extension' } glob "$share/*") {
        symlink $source, "$root$source" or die "$root$source: $!";
    }
    for my $source (grep { !exists $files{ basename($_) } } glob "$share/extension/*") {
        symlink $source, "$root$source" or die "$root$source: $!";
    }
    append_to_file("$root$share/extension/$_", $files{$_}) for keys %files;
    return dirname("$root$bin");
}

1;
