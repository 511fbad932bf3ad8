#!/usr/bin/perl

# The demo of conf.example/run: it answers, it ends, and it leaves nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Cwd qw(chdir);
use POSIX ();

use Tee::Http;
use Tee::Util qw(root scratch slurp wait_until);

# it shows Debian's nginx, whatever the other tests run on
delete @ENV{qw(TEE_NGINX TEE_MODULE TEE_SANITIZE)};

my $root = root();
my $dir = scratch();

$ENV{TMPDIR} = $dir;
chdir '/';

sub demo {
    my ($out, @args) = @_;

    my $pid = fork // die "fork: $!\n";

    if (!$pid) {
        open STDOUT, '>', $out;
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';

        # what runs us may ignore them, and a shell could not undo that
        local @SIG{qw(INT TERM)} = ('DEFAULT') x 2;
        exec "$root/conf.example/run", @args;
    }

    return $pid;
}

sub leftovers {
    my @running = grep { slurp("$_/cmdline") =~ /\Q$dir\E/ } glob '/proc/[0-9]*';

    return join ' ', glob("$dir/tee-demo-*"), @running;
}

for my $args ([ '--once' ], [ '--once', '--chain' ]) {
    my $name = "@$args";

    waitpid demo("$dir/out", @$args), 0;

    is($?, 0, "$name: ends with status 0") or diag(slurp("$dir/out"));

    my $out = slurp("$dir/out");

    like($out, qr/^answer     You said: Who can read this\?$/m,
        "$name: prints the answer");
    like($out, qr/^verified   by nginx: true .* once more: yes$/m,
        "$name: it is verified");
    like($out, qr/^enclave    0x[0-9a-f]{64}$/m, "$name: names the TEE");
    like($out, qr/^ +image \(PCR\) 0x[0-9a-f]{64}$/m, "$name: its image");
    like($out, qr/^hashes .*^signature .*^pinned /ms, "$name: and the proof");
    is(leftovers(), '', "$name: leaves nothing");
}

# until it is told to stop

for my $signal (qw(INT TERM)) {
    my $pid = demo("$dir/out.$signal");

    ok(wait_until(sub { slurp("$dir/out.$signal") =~ /Ctrl-C/ }, 60),
        "$signal: keeps running");

    my ($next) = slurp("$dir/out.$signal") =~ m{^\s+(\S+/t/ask .*)$}m;

    like(scalar(`$next`), qr/^answer     You said: And this\?$/m,
        "$signal: what it says to try works");

    my ($port) = slurp("$dir/out.$signal")
        =~ m{curl http://127\.0\.0\.1:(\d+)/v1/chat};
    my @status = map {
        Tee::Http::request($port, GET => '/v1/models', [ Host => $_ ])->{status}
    } "127.0.0.1:$port", "localhost:$port", 'pages.example', "a.test:$port";

    is("@status", '200 200 421 421', "$signal: no page's name leads to it");

    kill $signal, $pid;

    my $status;
    ok(wait_until(sub {
        return waitpid($pid, POSIX::WNOHANG) == $pid && defined($status = $?);
    }, 30), "$signal: ends") or kill 'KILL', $pid;

    is($status, 0, "$signal: ends with status 0");
    is(leftovers(), '', "$signal: leaves nothing");
}

done_testing();
